"""Lists of notifications and of a job's members; what waits is moved and taken back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from directory.models import User
from notifications.features.sending import queries as notification_list
from notifications.infra import clock
from notifications.models import Job, Notification, NotificationMessage, change_status
from notifications.models.delivery.batch import DeliveryBatch
from tests.integration.factories import make_messages, make_template, make_user
from tests.integration.preferences.conftest import work

pytestmark = pytest.mark.django_db
LIST = "/api/v1/notifications"
JOBS = "/api/v1/jobs"
BODY = {"template_path": "test.hello", "channel": "in_app", "context": {"amount": 1}}


@pytest.fixture
def platform(with_key: Callable[..., APIClient]) -> APIClient:
    return with_key("notifications:read", "notifications:send", "users:read")


def ids(client: APIClient, query: str = "") -> list[str]:
    """The ids of all pages."""
    found, address = [], f"{LIST}?{query}"
    for _ in range(50):
        page = client.get(address).json()
        found += [row["id"] for row in page["results"]]
        if not page["next"]:
            return found
        address = page["next"]
    raise AssertionError("the list has no end")


def bulk(client: APIClient, *people: User, **more: Any) -> str:
    body = {**BODY, "recipients": [{"user_id": each.pk} for each in people], **more}
    return str(client.post(f"{LIST}/bulk", body, format="json").json()["job_id"])


@pytest.fixture
def listed() -> dict[str, Any]:
    """Four notifications that differ in everything that is filtered by."""
    make_template()
    ada, beth = make_user(external_id="p-7"), make_user()
    payment = make_messages(2, user=ada, source="key:1")
    course = make_messages(1, user=beth, category="course", channel="in_app", source="key:2")
    change_status([payment[0].pk], "cancelled", reason="test")
    rows = [m.notification for m in (*payment, *course)]
    Notification.objects.filter(pk=rows[2].pk).update(correlation_id="r-1")
    return {"ada": ada, "rows": [str(row.uuid) for row in rows]}


FILTERS = [
    ("", [2, 1, 0]),
    ("user={ada.pk}", [1, 0]),
    ("user={ada.uuid}", [1, 0]),
    ("user=ext:p-7", [1, 0]),
    ("external_id=p-7", [1, 0]),
    ("external_id=p-7&status=cancelled", [0]),
    ("status=cancelled", [0]),
    ("status=pending", [2, 1]),
    ("channel=in_app", [2]),
    ("category=course", [2]),
    ("source=key:1", [1, 0]),
    ("correlation_id=r-1", [2]),
    ("correlation_id=r-2", []),
    ("from=2020-01-01T00:00:00Z", [2, 1, 0]),
    ("to=2020-01-01T00:00:00Z", []),
    ("template=test.hello", []),
]


@pytest.mark.parametrize(("query", "wanted"), FILTERS)
@pytest.mark.parametrize("walked", [1, 2, 20_000])
def test_each_filter_finds_its_rows_however_few_a_call_looks_at(
    query: str,
    wanted: list[int],
    walked: int,
    listed: dict[str, Any],
    platform: APIClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notification_list, "MAX_ROWS_SCANNED", walked)
    query = query.format(**listed)

    assert ids(platform, f"limit=1&{query}") == [listed["rows"][n] for n in wanted]
    assert ids(platform, query) == [listed["rows"][n] for n in wanted]


def test_a_call_that_stopped_early_says_until_when_it_looked(
    listed: dict[str, Any], platform: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notification_list, "MAX_ROWS_SCANNED", 1)
    page = platform.get(f"{LIST}?status=cancelled").json()

    assert (page["results"], page["scanned_until"] is None, page["next"] is None) == (
        [],
        False,
        False,
    )


def test_a_filter_of_one_users_list_reads_a_limited_number_of_rows(
    platform: APIClient, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_messages(3, user=user)
    NotificationMessage.objects.filter(pk=made[0].pk).update(status="cancelled")
    monkeypatch.setattr(notification_list, "MAX_ROWS_SCANNED", 2)

    query, seen, calls = f"{LIST}?user={user.pk}&status=cancelled", [], 0
    while query:
        page = platform.get(query).json()
        seen += [row["id"] for row in page["results"]]
        query, calls = page["next"], calls + 1

    assert (seen, calls) == ([str(made[0].notification.uuid)], 2)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("user=999999", "unknown_user"),
        ("user=p-7", "invalid_user"),
        ("external_id=p-9", "unknown_user"),
        ("external_id=p-7&user=1", "invalid"),
        ("category=none", "unknown_category"),
        ("template=no.such", "unknown_template"),
        ("from=yesterday", "invalid_time"),
        ("status=processing", "invalid"),
        ("channel=fax", "invalid"),
        ("cursor=x", "invalid_cursor"),
    ],
)
def test_a_filter_that_means_nothing_is_reported(
    query: str, code: str, platform: APIClient
) -> None:
    make_user(external_id="p-7")
    answer = platform.get(f"{LIST}?{query}")
    assert answer.status_code in (400, 404)
    assert answer.json()["code"] == code, answer.json()


def test_a_person_sees_their_own_alone(
    listed: dict[str, Any], as_user: APIClient, user: User
) -> None:
    (mine,) = make_messages(1, user=user)

    assert ids(as_user) == [str(mine.notification.uuid)]
    assert as_user.get(f"{LIST}/{mine.notification.uuid}").status_code == 200
    assert as_user.get(f"{LIST}/{listed['rows'][0]}").status_code == 404
    assert as_user.get(f"{LIST}?user={listed['ada'].pk}").json()["code"] == "missing_scope"
    assert as_user.patch(f"{LIST}/{listed['rows'][1]}", {}, format="json").status_code == 404


def test_one_notification_is_shown_as_in_the_list(platform: APIClient) -> None:
    (message,) = make_messages(1)
    DeliveryBatch.objects.update(journal=str(message.pk))  # its provider has it in hand

    row = platform.get(f"{LIST}/{message.notification.uuid}").json()

    assert row == platform.get(LIST).json()["results"][0]
    assert "text" not in row
    assert row["channels"][0]["channel"] == "email"


def test_a_jobs_members_are_shown_page_by_page(platform: APIClient) -> None:
    make_template()
    people = [make_user() for _ in range(3)]
    job = bulk(platform, *people)
    make_messages(1)
    NotificationMessage.objects.filter(user=people[1]).update(last_error="refused")

    first = platform.get(f"{JOBS}/{job}/members?limit=2").json()
    rest = platform.get(first["next"]).json()
    members = first["results"] + rest["results"]

    assert [each["user_id"] for each in members] == [each.pk for each in people]
    assert [each["error"] for each in members] == [None, "refused", None]
    assert {each["status"] for each in members} == {"pending"}
    assert rest["next"] is None


def test_a_cancelled_job_takes_back_what_waits_and_nothing_else(platform: APIClient) -> None:
    make_template()
    job = bulk(platform, make_user(), make_user())
    (other,) = make_messages(1)
    sent = NotificationMessage.objects.filter(notification__job__uuid=job).first()
    assert sent is not None
    change_status([sent.pk], "sent", reason="test")

    first = platform.post(f"{JOBS}/{job}/cancel", {}, format="json").json()
    again = platform.post(f"{JOBS}/{job}/cancel", {}, format="json").json()

    assert (first["cancelled"], again["cancelled"]) == (1, 0)
    assert first["progress"] == {"sent": 1, "cancelled": 1}
    other.refresh_from_db()
    assert other.status == "pending"
    assert work() >= 0
    assert NotificationMessage.objects.filter(status="cancelled").count() == 1


def test_a_broadcasts_job_is_cancelled_by_its_broadcast(platform: APIClient) -> None:
    job = Job.objects.create(
        kind="broadcast", source="broadcast:1", total=1, accepted=1, created_at=clock.now()
    )
    answer = platform.post(f"{JOBS}/{job.uuid}/cancel", {}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, "job_of_broadcast")


def test_a_job_of_somebody_else_is_not_cancelled(as_user: APIClient, platform: APIClient) -> None:
    make_template()
    job = bulk(platform, make_user())
    assert as_user.post(f"{JOBS}/{job}/cancel", {}, format="json").status_code == 404
    assert as_user.get(f"{JOBS}/{job}/members").status_code == 404
    assert NotificationMessage.objects.get().status == "pending"


def test_a_scheduled_notification_is_listed_moved_and_sent_at_its_new_time(
    platform: APIClient, frozen: Any
) -> None:
    make_template()
    make_messages(1)
    at = clock.now() + timedelta(hours=2)
    body = {**BODY, "user_id": make_user().pk, "scheduled_at": at.isoformat()}
    made = platform.post(f"{LIST}/send", body, format="json").json()["id"]
    assert ids(platform, "scheduled_status=pending&channel=in_app") == [made]

    moved = platform.patch(
        f"{LIST}/{made}", {"scheduled_at": (at - timedelta(hours=1)).isoformat()}, format="json"
    )
    assert moved.status_code == 200, moved.content
    message = NotificationMessage.objects.get(channel="in_app")
    due = DeliveryBatch.objects.get(pk=message.batch_id).due_at
    assert due == message.scheduled_at == at - timedelta(hours=1)
    frozen.forward(59 * 60)
    work()
    assert NotificationMessage.objects.get(pk=message.pk).status == "pending"
    frozen.forward(2 * 60)
    work()
    assert NotificationMessage.objects.get(pk=message.pk).status in ("sent", "delivered")

    late = platform.patch(
        f"{LIST}/{made}", {"scheduled_at": (at + timedelta(hours=9)).isoformat()}, format="json"
    )
    assert (late.status_code, late.json()["code"]) == (409, "not_pending")


@pytest.mark.parametrize(
    ("hours", "code"), [(-1, "in_the_past"), (30, "invalid"), (None, "required")]
)
def test_a_time_that_cannot_be_is_reported(
    hours: int | None, code: str, platform: APIClient
) -> None:
    make_template()
    now = clock.now()
    body = {
        **BODY,
        "user_id": make_user().pk,
        "scheduled_at": (now + timedelta(hours=1)).isoformat(),
        "expires_at": (now + timedelta(hours=24)).isoformat(),
    }
    made = platform.post(f"{LIST}/send", body, format="json").json()["id"]
    change = {} if hours is None else {"scheduled_at": (now + timedelta(hours=hours)).isoformat()}
    answer = platform.patch(f"{LIST}/{made}", change, format="json")
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_a_wrong_parameter_is_reported_by_its_own_name(platform: APIClient) -> None:
    (error,) = platform.get(f"{LIST}?user=p-7").json()["errors"]
    assert (error["path"], error["detail"][:12]) == ("user", "user must be")
