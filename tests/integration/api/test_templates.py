"""Templates by HTTP: written, published, compared, taken back, previewed, checked and listed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from notifications.infra import clock
from notifications.models import NotificationTemplate, OperatorAction, TemplateUsage
from tests.integration.api.conftest import KeyClient, send_body
from tests.integration.factories import make_template, make_user

pytestmark = pytest.mark.django_db
TEMPLATES = "/api/v1/templates"


@pytest.fixture
def author(with_key: KeyClient) -> APIClient:
    return with_key("templates:read", "templates:write")


def write(client: APIClient, **body: Any) -> Any:
    values = {"name": "Hello", "path": "test.hello", "push_template": "Hi {{ user.first_name }}"}
    return client.post(TEMPLATES, {**values, **body})


def test_a_template_goes_from_draft_to_sent_and_back(author: APIClient) -> None:
    made = write(author)
    assert (made.status_code, made.data["status"], made.data["version"]) == (201, "draft", None)
    one = f"{TEMPLATES}/{made.data['id']}"

    assert author.post(f"{one}/publish", {}).data["version"] == 1
    changed = author.put(one, {"push_template": "Bye"})
    assert (changed.status_code, changed.data["status"], changed.data["version"]) == (
        200,
        "draft",
        1,
    )
    assert author.post(f"{one}/publish", {}).data["version"] == 2

    back = author.post(f"{one}/rollback", {})

    assert (back.status_code, back.data["version"]) == (200, 3)
    assert back.data["push_template"] == "Hi {{ user.first_name }}"
    assert author.get(one).data == {**back.data, "warnings": []}
    assert [action.action for action in OperatorAction.objects.order_by("pk")] == [
        "template.create",
        "template.publish",
        "template.update",
        "template.publish",
        "template.rollback",
    ]


def test_a_key_does_not_write_the_mails_of_the_service(
    author: APIClient, as_staff: APIClient
) -> None:
    for path in ("system.your_data", "system.*"):
        refused = write(author, path=path)
        assert (refused.status_code, refused.data["code"]) == (403, "system_template")
    one = f"{TEMPLATES}/{write(as_staff, path='system.your_data').data['id']}"
    assert as_staff.post(f"{one}/publish", {}).status_code == 200
    for answer in (
        author.put(one, {"push_template": "Hi"}),
        author.post(f"{one}/publish", {}),
        author.post(f"{one}/rollback", {"version": 1}),
        author.delete(one),
    ):
        assert (answer.status_code, answer.data["code"]) == (403, "system_template")
    assert as_staff.put(one, {"push_template": "Hi"}).status_code == 200


def test_a_rollback_leaves_the_draft_that_waits(author: APIClient) -> None:
    one = f"{TEMPLATES}/{write(author, status='published').data['id']}"
    author.put(one, {"push_template": "Second", "status": "published"})
    author.put(one, {"push_template": "Third, half written"})

    back = author.post(f"{one}/rollback", {"version": 1}).data

    assert (back["status"], back["version"]) == ("draft", 3)
    assert back["push_template"] == "Third, half written"
    newest = author.get(f"{one}/versions?limit=1").data["results"][0]
    assert newest["content"]["en"]["push_template"] == "Hi {{ user.first_name }}"
    assert newest["is_current"] is True


def test_creating_is_idempotent(author: APIClient) -> None:
    bodies = [
        author.post(
            TEMPLATES,
            {"name": "Hello", "path": "test.hello", "push_template": "x"},
            headers={"Idempotency-Key": "once"},
        ).data["id"]
        for _ in range(2)
    ]

    assert bodies[0] == bodies[1]
    assert NotificationTemplate.objects.count() == 1


def test_every_error_of_a_template_is_reported_at_once(author: APIClient) -> None:
    refused = write(author, path="a..b", push_template="one\n{{ two", typo=1)

    assert refused.status_code == 400
    assert {(each["path"], each["code"]) for each in refused.data["errors"]} == {
        ("path", "invalid_path"),
        ("push_template", "template_syntax"),
        ("typo", "unknown_field"),
    }


def test_a_taken_path_is_a_conflict(author: APIClient) -> None:
    write(author)

    refused = write(author, name="Other")

    assert (refused.status_code, refused.data["code"]) == (409, "path_taken")


@pytest.mark.parametrize(
    ("method", "address", "body"),
    [
        ("get", "", None),
        ("put", "", {}),
        ("delete", "", None),
        ("post", "/publish", {}),
        ("post", "/rollback", {}),
        ("get", "/versions", None),
        ("get", "/diff", None),
        ("post", "/preview", {}),
        ("post", "/validate", {}),
    ],
)
def test_what_is_no_template_is_404(
    author: APIClient, method: str, address: str, body: dict[str, Any] | None
) -> None:
    response = getattr(author, method)(f"{TEMPLATES}/999999{address}", body)

    assert (response.status_code, response.data["code"]) == (404, "unknown_template")


def test_what_is_no_version_is_404(author: APIClient) -> None:
    one = f"{TEMPLATES}/{write(author).data['id']}"

    for response in (
        author.post(f"{one}/rollback", {}),
        author.post(f"{one}/rollback", {"version": 7}),
        author.post(f"{one}/publish", {"version": 7}),
        author.get(f"{one}/diff?from=7"),
        author.get(f"{one}/diff?to=7"),
    ):
        assert (response.status_code, response.data["code"]) == (404, "unknown_version")


def test_lists_are_filtered_and_paged_both_ways(author: APIClient) -> None:
    for path in ("user.a", "user.b", "other.c"):
        write(author, name=path, path=path, category="course")
    write(author, name="sms", path="user.sms", push_template="", sms_template="x")

    def paths(query: str = "") -> list[str]:
        return [row["path"] for row in author.get(f"{TEMPLATES}?{query}").data["results"]]

    assert paths() == ["user.a", "user.b", "other.c", "user.sms"]
    assert paths("category=course&path=user.") == ["user.a", "user.b"]
    assert paths("channel=sms") == ["user.sms"]
    first = author.get(f"{TEMPLATES}?limit=3").data
    second = author.get(first["next"]).data
    assert [row["path"] for row in second["results"]] == ["user.sms"]
    assert second["next"] is None
    assert author.get(second["previous"]).data["results"] == first["results"]
    assert author.get(f"{TEMPLATES}?channel=pigeon").status_code == 400


def test_versions_are_paged_the_newest_first(author: APIClient) -> None:
    one = f"{TEMPLATES}/{write(author, status='published').data['id']}"
    for number in range(4):
        author.put(one, {"push_template": str(number), "status": "published"})

    seen: list[int] = []
    address, previous = f"{one}/versions?limit=2", ""
    while address:
        page = author.get(address).data
        seen += [each["number"] for each in page["results"]]
        address, previous = page["next"], page["previous"]

    assert seen == [5, 4, 3, 2, 1]
    assert [each["number"] for each in author.get(previous).data["results"]] == [3, 2]


class TestDiff:
    def test_it_tells_each_text_and_locale_that_changed(self, author: APIClient) -> None:
        one = f"{TEMPLATES}/{write(author, status='published', sms_template='same').data['id']}"
        author.put(
            one,
            {
                "push_template": "Hi {{ user.full_name }}",
                "translations": {"ru": {"in_app_template": "Привет"}},
                "status": "published",
            },
        )

        found = author.get(f"{one}/diff?from=1&to=2").data

        assert (found["from_version"], found["to_version"]) == (1, 2)
        assert found["texts"] == [
            {
                "channel": "push",
                "field": "push_template",
                "locale": "en",
                "diff": "@@ -1 +1 @@\n-Hi {{ user.first_name }}\n+Hi {{ user.full_name }}",
            },
            {
                "channel": "in_app",
                "field": "in_app_template",
                "locale": "ru",
                "diff": "@@ -0,0 +1 @@\n+Привет",
            },
        ]

    def test_without_numbers_it_tells_what_publishing_would_change(self, author: APIClient) -> None:
        one = f"{TEMPLATES}/{write(author).data['id']}"
        first = author.get(f"{one}/diff").data
        assert (first["from_version"], first["to_version"]) == (None, None)
        assert first["texts"][0]["diff"].endswith("+Hi {{ user.first_name }}")

        author.post(f"{one}/publish", {})

        assert author.get(f"{one}/diff").data["texts"] == []

    def test_texts_of_very_many_lines_are_reported_as_replaced(self, author: APIClient) -> None:
        made = write(author, in_app_template="a\n" * 4_000)
        one = f"{TEMPLATES}/{made.data['id']}"
        author.post(f"{one}/publish", {})
        author.put(one, {"in_app_template": "b"})

        (text,) = author.get(f"{one}/diff").data["texts"]

        assert text["diff"].startswith("@@ -1,4000 +1,1 @@\n-a\n")
        assert text["diff"].endswith("\n+b")


def test_uses_are_reported_by_day_in_pages(author: APIClient) -> None:
    made = write(author, status="published").data
    row = NotificationTemplate.objects.get(pk=made["id"])
    assert row.current_version_id is not None
    today = clock.now().date()
    for days_ago, count in ((40, 1), (1, 2), (0, 3)):
        TemplateUsage.objects.create(
            version_id=row.current_version_id,
            channel="push",
            locale="en",
            day=today - timedelta(days=days_ago),
            count=count,
        )

    first = author.get(f"{TEMPLATES}/{row.pk}/usage", {"limit": 1}).data

    assert first["total"] == 5
    (reported,) = first["results"]
    assert (reported["day"], reported["count"], reported["version"]) == (today.isoformat(), 3, 1)
    (other,) = author.get(first["next"]).data["results"]
    assert other["count"] == 2
    assert author.get(f"{TEMPLATES}/{row.pk}/usage", {"days": 366}).data["total"] == 6
    assert author.get(f"{TEMPLATES}/{row.pk}/usage", {"days": 0}).status_code == 400
    assert author.get(f"{TEMPLATES}/999/usage").data["code"] == "unknown_template"


def test_a_preview_shows_every_channel_and_locale(author: APIClient) -> None:
    made = write(
        author,
        sms_template="{{ amount|currency }} €",
        translations={"ru": {"push_template": "Привет, {{ user.first_name }}"}},
        required_variables=["amount"],
    )

    shown = author.post(f"{TEMPLATES}/{made.data['id']}/preview", {"context": {"amount": "5"}}).data

    by_place = {(item["channel"], item["locale"]): item for item in shown["previews"]}
    assert by_place["push", "ru"]["body"] == "Привет, Alex"
    assert by_place["sms", "en"]["sms"] == {"encoding": "GSM-7", "units": 8, "segments": 1}


def test_validation_writes_nothing(author: APIClient) -> None:
    bad = author.post(f"{TEMPLATES}/validate", {"push_template": "{{ a"}).data
    assert (bad["valid"], bad["errors"][0]["code"]) == (False, "template_syntax")
    made = write(author, required_variables=["amount"]).data

    found = author.post(
        f"{TEMPLATES}/{made['id']}/validate", {"push_template": "{{ amount }} {{ code }}"}
    ).data

    assert (found["valid"], found["extra_variables"]) == (True, ["code"])
    stale = author.post(f"{TEMPLATES}/{made['id']}/validate", {}).data
    assert (stale["valid"], stale["missing_variables"]) == (False, ["amount"])


def test_reading_is_not_writing(with_key: KeyClient) -> None:
    reader = with_key("templates:read")

    assert reader.get(TEMPLATES).status_code == 200
    assert write(reader).data["scope"] == "templates:write"


def test_an_unused_template_is_deleted_and_a_used_one_is_switched_off(
    author: APIClient, with_key: KeyClient
) -> None:
    unused = write(author, path="test.other").data["id"]
    used = make_template("test.hello")
    sent = with_key("notifications:send").post("/api/v1/notifications/send", send_body(make_user()))
    assert sent.status_code == 201

    assert author.delete(f"{TEMPLATES}/{unused}").data == {"deleted": True}
    assert author.get(f"{TEMPLATES}/{unused}").status_code == 404
    assert author.delete(f"{TEMPLATES}/{used.pk}").data == {"deleted": False}
    assert author.get(f"{TEMPLATES}/{used.pk}").data["is_active"] is False
