"""The form of a series: written, launched as it was read, changed, and not overwritten."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from directory.models import SubscriberList
from notifications.domain.series.steps import MOST_STEPS
from notifications.models import Goal, MailSeries, MailSeriesVersion, NotificationTemplate
from tests.integration.console.conftest import As
from tests.integration.console.pressing import composer_fields, hidden_fields, press
from tests.integration.console.test_actions import actions, post
from tests.integration.console.test_records import text_of
from tests.integration.console.test_statements import statements
from tests.integration.factories import make_willing_user
from tests.integration.lists.factories import make_list
from tests.integration.series.factories import PATHS, THREE, go_on, happens, make_mails, make_series

pytestmark = pytest.mark.django_db
NEW = "/console/series/new"
CHANGED = "it was changed since you opened the page"


def form(**values: Any) -> dict[str, Any]:
    """What the browser sends for a series of three mails."""
    return {
        "once": "first",
        "do": "save",
        "name": "Welcome",
        "description": "For new people",
        "trigger_on": "event",
        "event": "trial.started",
        "holdout_percent": "0",
        "step_place": ["1", "2", "3", "4"],
        "step_template_path": [*PATHS, ""],
        "step_wait_days": ["", "1", "2", ""],
        "step_wait_minutes": ["", "30", "", ""],
        "step_at": ["", "", "09:00", ""],
        "context": "shop=Books",
        **values,
    }


def steps_of(row: MailSeries) -> list[dict[str, Any]]:
    version = MailSeriesVersion.objects.get(series=row, number=row.version)
    return [step.stored() for step in version.read_steps()]


def test_a_series_is_written_launched_and_sends(operator: Client) -> None:
    make_mails()
    Goal.objects.create(name="first order", event="order.paid")
    given = form(goal="first order", holdout_percent="0.5", reentry_days="30", track_opens="no",
                 category="announcement")  # fmt: skip
    assert "The series was written." in post(operator, NEW, **given)
    post(operator, NEW, **given)
    row = MailSeries.objects.get()
    assert (row.status, row.event, row.context) == ("draft", "trial.started", {"shop": "Books"})
    assert (row.holdout_percent, row.reentry_days, row.track_opens) == (0.5, 30, False)
    assert (row.goal and row.goal.name, row.category) == ("first order", "announcement")
    found = [(each["wait_days"], each["wait_minutes"], each["at"]) for each in steps_of(row)]
    assert found == [(0, 0, None), (1, 30, None), (2, 0, "09:00")]
    one = f"/console/series/{row.pk}"
    assert "The series is now: live" in press(operator, f"{one}/launch")
    MailSeries.objects.update(holdout_percent=0)
    happens(make_willing_user())
    go_on()
    assert "Waiting for it: <strong>1</strong>" in text_of(operator, one)
    assert actions()[-2:] == ["series.create", "series.launch"]


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ({"trigger_on": "list", "event": ""}, ("list", "", "", 0)),
        (
            {"trigger_on": "date", "event": "", "attribute": "plan.ends", "offset_days": "-3"},
            ("date", "", "plan.ends", -3),
        ),
    ],
)
def test_other_triggers(operator: Client, given: dict[str, Any], stored: tuple[Any, ...]) -> None:
    make_mails()
    if given["trigger_on"] == "list":
        given = {**given, "list_id": str(make_list().pk)}
    post(operator, NEW, **form(**given))
    row = MailSeries.objects.get()
    assert (row.trigger, row.event, row.attribute, row.offset_days) == stored
    assert (row.list_id is not None) is (row.trigger == "list")
    edit = f"/console/series/{row.pk}/edit"
    text = text_of(operator, edit)
    shown = f'value="{row.list_id}" selected' if row.list_id else 'value="-3"'
    assert shown in text
    SubscriberList.objects.all().delete()
    assert shown in text_of(operator, edit)


def test_rows_are_put_in_their_places_and_empty_ones_left_out(operator: Client) -> None:
    row = make_series(live=False)
    edit = f"/console/series/{row.pk}/edit"
    fields = composer_fields(operator, edit)
    given = form(**fields, step_place=["3", "2", "", "1.5"], step_wait_days=["", "", "", "4"],
                 step_wait_minutes=["", "", "", ""], step_at=["", "", "", ""],
                 step_template_path=[PATHS[0], PATHS[1], "", PATHS[2]])  # fmt: skip
    assert "The series was changed." in post(operator, edit, **given)
    assert [each["template_path"] for each in steps_of(row)] == [PATHS[2], PATHS[1], PATHS[0]]
    assert steps_of(row)[0]["wait_days"] == 4
    more = operator.post(edit, {**given, "do": "rows"}).content.decode()
    assert more.count('name="step_place"') == 4
    assert 'value="1.5"' not in more


def test_errors_are_those_of_the_api_with_their_fields(operator: Client) -> None:
    make_mails()
    for given, words in (
        (
            {"step_template_path": ["", *PATHS], "step_wait_days": ["1", "", "", ""]},
            "steps[0].template_path",
        ),
        ({"step_template_path": ["no.such", "", "", ""]}, "steps[0].template_path"),
        ({"step_wait_days": ["x", "", "", ""]}, "steps"),
        ({"trigger_on": "list"}, "trigger.event"),
        ({"event": "", "trigger_on": "date", "offset_days": "soon"}, "trigger"),
        ({"goal": "no such"}, "goal"),
        ({"context": "nonsense"}, "context"),
        ({"holdout_percent": "95"}, "holdout_percent"),
    ):
        waits = {f"step_{name}": [""] * 4 for name in ("wait_days", "wait_minutes", "at")}
        answer = operator.post(NEW, form(**{**waits, **given}))
        assert answer.status_code == 400, given
        assert f"<code>{words}</code>" in answer.content.decode(), given
    many = {f"step_{name}": [""] * 30 for name in ("place", "wait_days", "wait_minutes", "at")}
    answer = operator.post(NEW, form(**many, step_template_path=[PATHS[0]] * 30))
    assert (answer.status_code, answer.content.count(b"step_place")) == (400, 30)
    assert not MailSeries.objects.exists()


def test_it_is_launched_only_as_it_was_read(as_role: As) -> None:
    operator, row = as_role("operator"), make_series(live=False)
    launch = f"/console/series/{row.pk}/launch"
    assert "open the page again" in post(operator, launch)
    seen = hidden_fields(operator, launch)
    MailSeriesVersion.objects.filter(series=row).update(steps=THREE[:1])
    assert CHANGED in post(operator, launch, **seen)
    seen = hidden_fields(operator, launch)
    mail = NotificationTemplate.objects.filter(path=PATHS[0])
    version = mail.get().current_version_id
    mail.update(current_version_id=None)
    assert CHANGED in post(operator, launch, **seen)
    mail.update(current_version_id=version)
    row.refresh_from_db()
    assert row.status == "draft"
    assert "live" in post(operator, launch, **seen)


def test_after_the_launch_names_and_steps_change(operator: Client) -> None:
    row = make_series()
    edit = f"/console/series/{row.pk}/edit"
    text = text_of(operator, edit)
    for name in ("trigger_on", "goal", "holdout_percent", "context", "category"):
        assert f'name="{name}"' not in text
    given = form(**composer_fields(operator, edit), name="Hello", trigger_on="list",
                 step_template_path=[PATHS[1], "", "", ""], step_wait_days=["5", "", "", ""],
                 step_wait_minutes=[""] * 4, step_at=[""] * 4)  # fmt: skip
    assert "The series was changed." in post(operator, edit, **given)
    row.refresh_from_db()
    assert (row.name, row.trigger, row.version) == ("Hello", "event", 2)
    assert [each["wait_days"] for each in steps_of(row)] == [5]
    post(operator, edit, **{**given, **composer_fields(operator, edit), "name": "Hi"})
    row.refresh_from_db()
    assert (row.name, row.version) == ("Hi", 2)
    assert "ended" in post(operator, f"/console/series/{row.pk}/end")
    assert operator.get(edit).status_code == 302


def test_what_another_person_changed_is_not_overwritten(operator: Client) -> None:
    row = make_series(live=False)
    edit = f"/console/series/{row.pk}/edit"
    fields = composer_fields(operator, edit)
    MailSeries.objects.update(event="order.paid")
    MailSeriesVersion.objects.update(steps=THREE[:1])
    answer = operator.post(edit, form(**fields))
    text = answer.content.decode()
    assert (answer.status_code, CHANGED in text) == (409, True)
    assert "stored now: order.paid" in text
    assert f"stored now: {PATHS[0]}" in text
    fields = composer_fields(operator, edit)
    MailSeries.objects.update(status="live")
    assert operator.post(edit, form(**fields)).status_code == 409
    row.refresh_from_db()
    assert (row.name, row.event, len(steps_of(row))) == ("Welcome", "order.paid", 1)


def test_a_draft_is_deleted(operator: Client) -> None:
    row = make_series(live=False)
    assert "Deleted." in post(operator, f"/console/series/{row.pk}/delete")
    assert not MailSeries.objects.exists()
    live = f"/console/series/{make_series().pk}"
    assert "Delete the draft" not in text_of(operator, live)
    assert "Not done:" in post(operator, f"{live}/delete")


def test_the_form_and_the_page_make_a_fixed_number_of_statements(as_role: As) -> None:
    admin, row = as_role("admin"), make_series(live=False)
    one = f"/console/series/{row.pk}"
    few = [len(statements(admin, path)) for path in (NEW, f"{one}/edit", one)]
    for number in range(5):
        make_list()
        Goal.objects.create(name=f"goal {number}", event="order.paid")
    MailSeriesVersion.objects.update(steps=[THREE[0]] * MOST_STEPS)
    assert [len(statements(admin, path)) for path in (NEW, f"{one}/edit", one)] == few
    assert max(few) <= 30
