"""The routes of series, from outside."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from notifications.features.series import service
from notifications.models import MailSeries, OperatorAction
from tests.integration.api.conftest import api, as_staff, as_user, staff, user, with_key
from tests.integration.factories import make_user
from tests.integration.lists.factories import make_list, put_on
from tests.integration.series.factories import (
    EVENT,
    THREE,
    go_on,
    happens,
    make_mail,
    make_mails,
    make_series,
    where,
)

__all__ = ["api", "as_staff", "as_user", "staff", "user", "with_key"]
pytestmark = pytest.mark.django_db
URL = "/api/v1/series"
BODY: dict[str, Any] = {
    "name": "Welcome",
    "trigger": {"on": "event", "event": EVENT},
    "steps": THREE,
}


@pytest.fixture
def client(frozen: Any, with_key: Any) -> APIClient:
    make_mails()
    return with_key("broadcasts")


def post(client: APIClient, path: str, body: dict[str, Any] | None = None, **more: Any) -> Any:
    return client.post(f"{URL}{path}", body or {}, format="json", **more)


def errors_of(response: Any) -> set[tuple[str, str]]:
    assert response.status_code == 400, response.json()
    return {(each["path"], each["code"]) for each in response.json()["errors"]}


def test_a_series_from_draft_to_end(client: APIClient, frozen: Any) -> None:
    made = post(client, "", BODY)
    assert (made.status_code, made.json()["status"]) == (201, "draft")
    assert made.json()["steps"][2]["at"] == "09:00"
    one = f"/{made.json()['id']}"
    changed = client.patch(f"{URL}{one}", {"name": "Hello"}, format="json")
    assert (changed.json()["name"], changed.json()["version"]) == ("Hello", 1)
    assert post(client, f"{one}/launch").json()["status"] == "live"
    people = [make_user() for _ in range(3)]
    happens(*people)
    go_on()
    shown = client.get(f"{URL}{one}/report").json()
    assert (shown["waiting"], shown["completed"], shown["held_out"]) == (3, 0, 0)
    counts = [(each["step"], each["sent"], each["waiting"]) for each in shown["steps"]]
    assert counts == [(1, 3, 0), (2, 0, 3), (3, 0, 0)]
    listed = client.get(f"{URL}{one}/enrollments?limit=2").json()
    assert [each["user_id"] for each in listed["results"]] == [each.pk for each in people[:2]]
    assert [each["step"] for each in listed["results"]] == [2, 2]
    assert len(client.get(listed["next"]).json()["results"]) == 1
    assert client.get(f"{URL}{one}/enrollments?state=exited").json()["results"] == []
    assert post(client, f"{one}/pause").json()["status"] == "paused"
    assert post(client, f"{one}/resume").json()["status"] == "live"
    assert post(client, f"{one}/end").json()["status"] == "ended"
    go_on()
    shown = client.get(f"{URL}{one}/report").json()
    assert (shown["exited"], shown["waiting"]) == (3, 0)
    assert shown["steps"][1]["exited"] == {"series_ended": 3}
    assert [each["name"] for each in client.get(URL).json()["results"]] == ["Hello"]
    assert client.get(f"{URL}?status=draft").json()["results"] == []
    names = OperatorAction.objects.filter(target__startswith="series:").order_by("pk")
    actions = [name.removeprefix("series.") for name in names.values_list("action", flat=True)]
    assert actions == ["create", "change", "launch", "pause", "resume", "end"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"trigger": {"on": "list"}}, {("trigger.list_id", "required")}),
        ({"trigger": {"on": "list", "list_id": 77}}, {("trigger.list_id", "unknown_list")}),
        ({"trigger": {"on": "event"}}, {("trigger.event", "required")}),
        (
            {"trigger": {"on": "event", "event": "x", "offset_days": 2}},
            {("trigger.offset_days", "invalid")},
        ),
        ({"trigger": {"on": "date"}}, {("trigger.attribute", "required")}),
        ({"trigger": {"on": "moon"}}, {("trigger.on", "invalid_choice")}),
        ({"trigger": {"on": "date", "attribute": "..."}}, {("trigger.attribute", "invalid")}),
        ({"goal": "none"}, {("goal", "unknown_goal")}),
        ({"category": "none"}, {("category", "unknown_category")}),
        (
            {"steps": [*THREE, {"template_path": "no.such"}]},
            {("steps[3].template_path", "unknown_template")},
        ),
        ({"steps": []}, {("steps", "wrong_type")}),
        ({"steps": [THREE[0]] * 21}, {("steps", "wrong_type")}),
        ({"steps": [{**THREE[0], "at": "9:00"}]}, {("steps", "wrong_type")}),
        ({"steps": [{**THREE[0], "wait_days": 366}]}, {("steps", "wrong_type")}),
        ({"steps": [{**THREE[0], "channel": "sms"}]}, {("steps", "wrong_type")}),
        ({"holdout_percent": 91}, {("holdout_percent", "wrong_type")}),
        ({"reentry_days": 0}, {("reentry_days", "wrong_type")}),
    ],
)
def test_what_cannot_be_is_refused(
    client: APIClient, values: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    assert errors_of(post(client, "", {**BODY, **values})) == expected
    assert not MailSeries.objects.exists()


def test_a_step_needs_an_email_and_the_variables_of_its_template(client: APIClient) -> None:
    make_mail("needs.shop", required_variables=["shop"], email_body_template="{{ shop }}")
    steps = [{"template_path": "needs.shop"}]
    found = errors_of(post(client, "", {**BODY, "steps": steps}))
    assert found == {("context", "missing_variable")}
    made = post(client, "", {**BODY, "steps": steps, "context": {"shop": "Books"}})
    assert made.status_code == 201


def test_after_the_launch_only_names_and_steps_change(client: APIClient) -> None:
    one = f"{URL}/{make_series().uuid}"
    refused = client.patch(one, {"holdout_percent": 10}, format="json")
    assert (refused.status_code, refused.json()["code"]) == (409, "series_status")
    changed = client.patch(one, {"steps": THREE[:1], "name": "Short"}, format="json")
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    again = client.patch(one, {"steps": THREE[:1]}, format="json")
    assert again.json()["version"] == 2
    assert client.delete(one).status_code == 409


def test_each_state_forbids_what_it_must(client: APIClient) -> None:
    one = f"/{make_series(live=False).uuid}"
    for action in ("pause", "resume", "end"):
        refused = post(client, f"{one}/{action}")
        assert (refused.status_code, refused.json()["code"]) == (409, "series_status")
    assert client.delete(f"{URL}{one}").status_code == 204
    assert client.get(f"{URL}{one}").json()["code"] == "unknown_series"


def test_the_number_of_open_series_is_bounded(client: APIClient, monkeypatch: Any) -> None:
    monkeypatch.setattr(service, "MOST_OPEN", 1)
    make_series()
    second = make_series(live=False)
    assert post(client, f"/{second.uuid}/launch").status_code == 409


def test_it_needs_the_scope_of_campaigns(api: APIClient, with_key: Any, frozen: Any) -> None:
    assert api.get(URL).status_code == 401
    refused = with_key("users:read").get(URL)
    assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")


def test_the_list_of_a_series_that_has_not_ended_is_not_deleted(with_key: Any, frozen: Any) -> None:
    found = make_list()
    made = make_series(trigger={"on": "list", "list_id": found.pk})
    url = f"/api/v1/lists/{found.pk}"
    writer = with_key("lists:write")
    for status in ("draft", "live", "paused"):
        MailSeries.objects.filter(pk=made.pk).update(status=status)
        refused = writer.delete(url)
        assert (refused.status_code, refused.json()["code"]) == (409, "list_in_use")
        assert f"series 'Welcome' ({made.uuid})" in refused.json()["detail"]
    MailSeries.objects.filter(pk=made.pk).update(status="ended")
    assert writer.delete(url).status_code == 204


def test_a_series_whose_list_is_gone_is_paused_and_people_stay_in_it(
    client: APIClient, frozen: Any
) -> None:
    found, person = make_list(), make_user()
    made = make_series(trigger={"on": "list", "list_id": found.pk})
    draft = make_series(trigger={"on": "list", "list_id": found.pk}, live=False)
    put_on(found, person)
    found.delete()
    go_on()
    shown = client.get(f"{URL}/{made.pk}").json()
    assert (shown["status"], where(made, person)) == ("paused", ("waiting", 0, ""))
    assert "no list" in shown["error"]
    for call in (f"/{made.pk}/resume", f"/{draft.pk}/launch"):
        assert errors_of(post(client, call)) == {("trigger.list_id", "unknown_list")}


def test_a_page_of_people_is_in_the_order_in_which_they_entered(client: APIClient) -> None:
    made = make_series(holdout_percent=50)
    people = [make_user() for _ in range(12)]
    happens(*people)
    found: list[int] = []
    following = f"{URL}/{made.uuid}/enrollments?limit=5"
    while following:
        page = client.get(following).json()
        found += [each["user_id"] for each in page["results"]]
        following = page["next"]
    assert found == [person.pk for person in people]


def test_a_stop_may_name_a_series(with_key: Any, frozen: Any) -> None:
    made = make_series()
    value = {"scope": "source", "value": made.source, "reason": "a test"}
    answer = with_key("operations").post("/api/v1/kill-switch", value, format="json")
    assert answer.status_code == 201, answer.json()
