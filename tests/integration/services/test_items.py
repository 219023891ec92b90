"""Periodic work processes items one by one.

When one item raises an exception, the others are processed in the same round. After its third
failure, an item is set aside until an operator resumes it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import DataError, IntegrityError, OperationalError, transaction

from carillon.cli.doctor import _set_aside
from notifications.domain.callers import SYSTEM
from notifications.domain.errors import NotFound
from notifications.domain.lifecycle import MessageStatus
from notifications.features.background.items import Items
from notifications.features.broadcasts.delivery import (
    clearing as broadcast_clearing,
)
from notifications.features.broadcasts.delivery import (
    fold as broadcast_fold,
)
from notifications.features.broadcasts.delivery import (
    retry as broadcast_retry,
)
from notifications.features.broadcasts.delivery import (
    rounds as broadcast_rounds,
)
from notifications.features.broadcasts.delivery import (
    upkeep as broadcast_upkeep,
)
from notifications.features.operations.metrics import metrics_response
from notifications.features.operations.set_aside import SetAsideService
from notifications.features.receipts import apply as receipts
from notifications.features.receipts import poll
from notifications.features.scheduling import recurring, rescheduling
from notifications.features.upkeep import digests, maintenance
from notifications.features.webhooks import deliver as posting
from notifications.infra.crypto import body_hash
from notifications.models import (
    Broadcast,
    BroadcastChange,
    DeadLetter,
    DeliveryBatch,
    DigestBucket,
    DigestItem,
    ItemFault,
    Notification,
    NotificationMessage,
    ProviderCallback,
    ScheduleClock,
    ScheduledStatus,
    StatusEvent,
    StoredAttachment,
    WebhookDelivery,
    Work,
    change_status,
)
from tests.integration.broadcasts.factories import (
    launch,
    make_broadcast,
    make_people,
    settle_messages,
)
from tests.integration.factories import make_messages, make_user, make_willing_user
from tests.integration.schedules.test_recurrence import schedule

pytestmark = pytest.mark.django_db


class Odd(Exception):
    """An unexpected exception."""


ERRORS: list[Callable[[], Exception]] = [
    Odd,
    RecursionError,
    MemoryError,
    OverflowError,
    lambda: KeyError("category"),
    lambda: DataError("invalid byte sequence"),
    lambda: IntegrityError("duplicate key"),
    lambda: UnicodeEncodeError("utf-8", "\ud83c", 0, 1, "surrogates not allowed"),
]


@dataclass
class Case:
    """Two items of one kind of work.

    bad, good: their keys. round: processes the due items. fail: patches the function that processes
    an item, so that the bad one raises. done: whether the good one was processed.
    """

    bad: int
    good: int
    round: Callable[[], Any]
    fail: Callable[[Any, Callable[[], Exception]], None]
    done: Callable[[int], bool]


def failing(module: Any, name: str, hits: Callable[..., bool]) -> Any:
    """Patches a function so that it raises where its arguments concern the bad item."""

    def fail(monkeypatch: Any, error: Callable[[], Exception]) -> None:
        real = getattr(module, name)

        def stand_in(*args: Any, **more: Any) -> Any:
            if hits(*args, **more):
                raise error()
            return real(*args, **more)

        monkeypatch.setattr(module, name, stand_in)

    return fail


def stored_call(frozen, event, name):
    body = base64.b64encode(json.dumps(event).encode()).decode()
    call = {"method": "POST", "url": "", "query": {}, "headers": {}, "body": body}
    ProviderCallback.objects.store(
        provider="generic", digest=body_hash(name.encode()), call=call, at=frozen.now
    )
    return ProviderCallback.objects.latest("pk").pk


def receipt(frozen) -> Case:
    messages = make_messages(2, in_batch=False)
    for message in messages:
        change_status([message.pk], MessageStatus.SENT, reason="test")
    references = [f"{each.notification.uuid.hex}.email" for each in messages]
    keys = [
        stored_call(frozen, {"event": "delivered", "reference": reference}, reference)
        for reference in references
    ]
    return Case(
        *keys,
        round=lambda: receipts.apply_due(now=frozen.now),
        fail=failing(receipts, "apply_to", lambda _, r, **__: r.reference == references[0]),
        done=lambda key: ProviderCallback.objects.get(pk=key).state == "applied",
    )


def digest(frozen) -> Case:
    keys = []
    for number, message in enumerate(make_messages(2, in_batch=False)):
        bucket = DigestBucket.objects.create(
            user=make_user(),
            channel="email",
            period=f"daily:2030-04-0{number + 1}",
            frequency="daily",
            closes_at=frozen.now - timedelta(hours=1),
            created_at=frozen.now - timedelta(hours=2),
        )
        DigestItem.objects.create(
            bucket=bucket,
            message_id=message.pk,
            notification_id=message.notification_id,
            category_id=message.notification.category_id,
            summary={"title": "T", "body": "B"},
            at=frozen.now,
        )
        keys.append(bucket.pk)
    return Case(
        *keys,
        round=lambda: digests.close_due(now=frozen.now),
        fail=failing(digests, "_groups", lambda ids: keys[0] in ids),
        done=lambda key: DigestBucket.objects.get(pk=key).closed_at is not None,
    )


def series(frozen) -> Case:
    people = [make_user(), make_user()]
    keys = [
        ScheduleClock.objects.get(series__uuid=schedule(person).schedule_id).pk for person in people
    ]
    frozen.forward(86_400)
    return Case(
        *keys,
        round=lambda: recurring.create_due_occurrences(now=frozen.now),
        fail=failing(
            recurring,
            "accept_groups",
            lambda intent, text, dues, **_: any(people[0].pk in due.people for due in dues),
        ),
        done=lambda key: ScheduleClock.objects.get(pk=key).make_at > frozen.now,
    )


def stuck(frozen) -> Case:
    messages = make_messages(2, in_batch=False)
    keys = [message.notification_id for message in messages]
    Notification.objects.filter(pk__in=keys).update(
        scheduled_status=ScheduledStatus.PENDING, scheduled_at=frozen.now - timedelta(hours=1)
    )
    return Case(
        *keys,
        round=lambda: rescheduling.retry_stuck(now=frozen.now),
        fail=failing(rescheduling, "_requeue", lambda some, **_: keys[0] in some),
        done=lambda key: Notification.objects.get(pk=key).scheduled_at > frozen.now,
    )


def cancelled(frozen) -> Case:
    keys = [message.notification_id for message in make_messages(2, in_batch=False)]
    Notification.objects.filter(pk__in=keys).update(
        scheduled_status=ScheduledStatus.CANCELLED, cancelled_at=frozen.now - timedelta(days=99)
    )
    return Case(
        *keys,
        round=lambda: rescheduling.clean_up_cancelled(now=frozen.now),
        fail=failing(rescheduling, "_delete_cancelled", lambda some, **_: keys[0] in some),
        done=lambda key: not Notification.objects.filter(pk=key).exists(),
    )


def webhook(frozen) -> Case:
    from notifications.features.webhooks.schemas import WebhookBody
    from notifications.features.webhooks.service import WebhookService
    from notifications.models import WebhookEndpoint

    for number in range(2):
        WebhookService().create(body=WebhookBody(url=f"http://127.0.0.1:9/{number}"), caller=SYSTEM)
    keys = list(WebhookEndpoint.objects.order_by("pk").values_list("pk", flat=True))
    (message,) = make_messages(1)
    change_status([message.pk], MessageStatus.CANCELLED, reason="test")

    def tried(key: int) -> bool:
        return WebhookDelivery.objects.filter(endpoint_id=key).earliest("pk").tries > 0

    return Case(
        *keys,
        round=lambda: posting.post_due(now=frozen.now),
        fail=failing(posting, "_claim", lambda endpoint, count: endpoint == keys[0]),
        done=tried,
    )


def doubts(frozen) -> Case:
    keys = []
    for message in make_messages(2, channel="sms", in_batch=False, user=make_willing_user()):
        NotificationMessage.objects.filter(pk=message.pk).update(status="uncertain")
        dead_letter = DeadLetter.objects.create(
            message_id=message.pk,
            notification_id=message.notification_id,
            channel="sms",
            provider="twilio",
            code="uncertain",
            failed_at=frozen.now - timedelta(hours=1),
        )
        keys.append(dead_letter.pk)
    return Case(
        *keys,
        round=lambda: poll.poll_due(now=frozen.now),
        fail=failing(poll, "_case_of", lambda dead_letter, _: dead_letter.pk == keys[0]),
        done=lambda key: DeadLetter.objects.get(pk=key).asked > 0,
    )


def broadcasts(module: Any, name: str, kind: str) -> Callable[[Any], Case]:
    """Two broadcasts for a step of the upkeep. kind: the state that they are in."""

    def case(frozen) -> Case:
        make_people(2)
        made = [make_broadcast(title=f"{kind} {number}") for number in range(2)]
        for broadcast in made:
            _bring_to(broadcast, kind, frozen)
        frozen.forward(10)
        keys = [broadcast.pk for broadcast in made]
        before = {key: _story(key, kind) for key in keys}
        return Case(
            *keys,
            round=lambda: _round(name, frozen),
            fail=failing(
                module, name, lambda which, *_, **__: getattr(which, "pk", which) == keys[0]
            ),
            done=lambda key: _story(key, kind) != before[key],
        )

    return case


def _bring_to(broadcast: Broadcast, kind: str, frozen: Any) -> None:
    if kind == "scheduled":
        Broadcast.objects.filter(pk=broadcast.pk).update(
            status="scheduled", scheduled_at=frozen.now - timedelta(minutes=1)
        )
        return
    launch(broadcast)
    people = list(broadcast.recipients.values_list("recipient_id", flat=True))
    if kind in ("counted", "failed", "settled"):
        ends = MessageStatus.FAILED if kind == "failed" else MessageStatus.DELIVERED
        settle_messages(broadcast, ends, people)
    if kind == "failed":
        broadcast_fold.fold_changes(now=frozen.now)
        broadcast_retry.retry(broadcast.pk, now=frozen.now)
    if kind == "cancelled":
        Broadcast.objects.filter(pk=broadcast.pk).update(status="cancelled", cleared=False)
    if kind == "unfinished":
        Broadcast.objects.filter(pk=broadcast.pk).update(messaged_done=False)
    if kind == "miscounted":
        Broadcast.objects.filter(pk=broadcast.pk).update(sent_count=7)


def _story(key: int, kind: str) -> Any:
    """Returns the rows that the step changes."""
    row = Broadcast.objects.get(pk=key)
    return {
        "scheduled": row.status,
        "unfinished": row.messaged_done,
        "failed": row.requeue_done,
        "cancelled": DeliveryBatch.objects.filter(source=row.source).exists(),
        "counted": BroadcastChange.objects.filter(broadcast_id=key).exists(),
        "settled": row.status,
        "miscounted": row.sent_count,
    }[kind]


def _round(name: str, frozen: Any) -> None:
    if name == "reconcile":
        broadcast_upkeep.check_counts(now=frozen.now)
    else:
        broadcast_upkeep.maintain_broadcasts(now=frozen.now)


CASES: list[tuple[Work, Callable[[Any], Case]]] = [
    (Work.RECEIPT, receipt),
    (Work.DIGEST, digest),
    (Work.SCHEDULE, series),
    (Work.STUCK, stuck),
    (Work.CLEAN_UP, cancelled),
    (Work.WEBHOOK, webhook),
    (Work.DOUBT, doubts),
    (Work.BEGIN, broadcasts(broadcast_upkeep, "begin", "scheduled")),
    (Work.LAUNCH, broadcasts(broadcast_rounds, "continue_launch", "unfinished")),
    (Work.REQUEUE, broadcasts(broadcast_retry, "requeue", "failed")),
    (Work.CLEAR, broadcasts(broadcast_clearing, "clear", "cancelled")),
    (Work.COUNT, broadcasts(broadcast_fold, "_fold", "counted")),
    (Work.SETTLE, broadcasts(broadcast_upkeep, "finish_if_settled", "settled")),
    (Work.CHECK, broadcasts(broadcast_upkeep, "reconcile", "miscounted")),
]


@pytest.fixture
def chosen(override_environment):
    override_environment(
        sms_provider="twilio", twilio_account_sid="AC" + "0" * 32, twilio_auth_token="t",
        twilio_from="+15005550006", twilio_base_url="http://127.0.0.1:9",
        webhook_allow_private=True,
    )  # fmt: skip


@pytest.mark.parametrize(("work", "make"), CASES, ids=[str(work) for work, _ in CASES])
def test_a_failing_item_blocks_no_other_and_is_set_aside_at_its_third_failure(
    work, make, frozen, chosen, monkeypatch
):
    case = make(frozen)
    with monkeypatch.context() as patched:
        case.fail(patched, Odd)
        case.round()

        assert case.done(case.good), "the other was held up"
        assert not case.done(case.bad)
        fault = ItemFault.objects.get(work=work)
        assert (fault.item, fault.tries, fault.set_aside) == (case.bad, 1, False)
        case.round()
        assert ItemFault.objects.get(work=work).tries == 1, "it does not wait"

        for _ in range(2):
            frozen.forward(301)
            case.round()
        fault = ItemFault.objects.get(work=work)
        assert (fault.tries, fault.set_aside) == (3, True)
        assert fault.error.startswith("Odd at tests.integration.services.test_items:")
        frozen.forward(3_600)
        case.round()
        assert ItemFault.objects.get(work=work).tries == 3, "it is tried although it is set aside"

    SetAsideService().resume(ids=[fault.pk], caller=SYSTEM)
    case.round()
    assert not ItemFault.objects.filter(work=work).exists()
    assert case.done(case.bad)


@pytest.mark.parametrize("error", ERRORS, ids=lambda make: type(make()).__name__)
@pytest.mark.parametrize("make", [receipt, digest, series], ids=lambda make: make.__name__)
def test_any_exception_is_attributed_to_its_item(make, error, frozen, monkeypatch):
    case = make(frozen)
    case.fail(monkeypatch, error)

    case.round()

    assert case.done(case.good)
    assert not case.done(case.bad)
    assert ItemFault.objects.get().item == case.bad


def away() -> OperationalError:
    return OperationalError("server closed the connection unexpectedly")


def locked(state: str) -> Callable[[], Exception]:
    def make() -> Exception:
        cause = Exception("canceling statement due to lock timeout")
        cause.sqlstate = state  # type: ignore[attr-defined]
        error = OperationalError("canceling statement due to lock timeout")
        error.__cause__ = cause
        return error

    return make


def test_an_unreachable_database_does_not_count_against_items(frozen, monkeypatch):
    case = receipt(frozen)
    case.fail(monkeypatch, away)

    with pytest.raises(OperationalError):
        case.round()

    assert not ItemFault.objects.exists()
    assert ProviderCallback.objects.get(pk=case.bad).next_at == frozen.now


@pytest.mark.parametrize("state", ["55P03", "40P01", "57014", "40001"])
def test_a_lock_makes_an_item_wait_and_does_not_count(state, frozen, monkeypatch):
    case = digest(frozen)
    case.fail(monkeypatch, locked(state))

    for _ in range(5):
        case.round()
        frozen.forward(301)

    assert case.done(case.good)
    fault = ItemFault.objects.get()
    assert (fault.tries, fault.set_aside) == (0, False)


def test_a_failed_item_is_tried_once_a_day(frozen, monkeypatch):
    case = digest(frozen)
    with monkeypatch.context() as patched:
        case.fail(patched, Odd)
        for _ in range(3):
            case.round()
            frozen.forward(301)
    assert ItemFault.objects.get().set_aside

    frozen.forward(86_400)
    case.round()
    assert case.done(case.bad)
    assert not ItemFault.objects.exists()


def test_success_deletes_earlier_failures(frozen, monkeypatch):
    case = receipt(frozen)
    with monkeypatch.context() as patched:
        case.fail(patched, Odd)
        case.round()
    frozen.forward(61)
    case.round()
    assert case.done(case.bad)
    assert not ItemFault.objects.exists()


def test_a_fault_that_all_items_share_does_not_count_against_them(frozen, monkeypatch):
    case = digest(frozen)
    monkeypatch.setattr(digests, "ensure_digest_template", lambda: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        case.round()

    assert not ItemFault.objects.exists()


def test_a_failing_upkeep_step_blocks_no_other(frozen, monkeypatch):
    case = digest(frozen)
    monkeypatch.setattr(StoredAttachment.objects, "delete_expired", lambda **_: 1 / 0)
    for _ in range(4):
        done = maintenance.maintain()
    assert done["attachments_deleted"] == 0
    assert case.done(case.good)
    fault = ItemFault.objects.get(work=Work.MAINTAIN)
    assert (fault.tries, fault.set_aside) == (4, True)
    assert fault.error.startswith("attachments_deleted: ZeroDivisionError at ")

    monkeypatch.undo()
    maintenance.maintain()
    assert not ItemFault.objects.exists()


def test_an_event_without_a_valid_body_blocks_no_other(frozen, chosen, monkeypatch):
    case = webhook(frozen)
    odd = StatusEvent.objects.create(
        message_id=0, kind="dead_letters.alert", code="many", at=frozen.now
    )
    WebhookDelivery.objects.create(
        endpoint_id=case.good, event_id=odd.pk, next_at=frozen.now, created_at=frozen.now
    )
    for _ in range(9):
        case.round()
        frozen.forward(6 * 3_600)
    row = WebhookDelivery.objects.get(event_id=odd.pk)
    assert (row.state, row.tries, row.next_at) == ("failed", 3, None)
    assert row.error.startswith("ValueError, trace ")
    assert case.done(case.good)


def test_items_are_processed_together_and_one_by_one_after_a_failure(frozen):
    calls: list[list[int]] = []

    def do(some: list[int]) -> int:
        calls.append(some)
        if 2 in some:
            raise Odd
        return len(some)

    items = Items(Work.DIGEST, now=frozen.now)
    assert items.run_many([1, 3], do) == 2
    assert items.run_many([1, 2, 3], do) == 2
    assert calls == [[1, 3], [1, 2, 3], [1], [2], [3]]
    assert ItemFault.objects.get().item == 2


class TestBeingSeen:
    def fail(self, work=Work.DIGEST, item=7, times=3):
        items = Items(work, now=_now())
        for _ in range(times):
            try:
                raise Odd("ada@example.com")
            except Odd as error:
                with transaction.atomic():
                    items.note(item, error)
        return ItemFault.objects.get(work=work, item=item)

    def test_operators_list_and_resume_by_http(self, as_staff):
        fault = self.fail()
        waits = self.fail(Work.SCHEDULE, times=1)
        response = as_staff.get("/api/v1/set-aside")
        first, second = response.data["results"]
        assert (first["work"], first["item"], first["tries"]) == ("digest", 7, 3)
        assert (first["set_aside"], second["set_aside"]) == (True, False)
        assert "ada@" not in str(response.data)
        assert first["trace"] == fault.trace

        assert as_staff.get("/api/v1/set-aside?work=schedule").data["results"][0]["id"] == waits.pk
        resumed = as_staff.post("/api/v1/set-aside/resume", {"ids": [fault.pk, 999_999]})
        assert (resumed.status_code, resumed.data) == (200, {"resumed": 1})
        again = as_staff.post("/api/v1/set-aside/resume", {"ids": [fault.pk]})
        assert (again.status_code, again.data["code"]) == (404, "unknown_item")

    def test_other_callers_do_not_see_failed_items(self, as_user, with_key):
        for client in (as_user, with_key("notifications:send")):
            assert client.get("/api/v1/set-aside").status_code == 403
            assert client.post("/api/v1/set-aside/resume", {"ids": [1]}).status_code == 403

    def test_the_doctor_and_the_metrics_count_failed_items(self):
        assert _set_aside().well
        self.fail()
        finding = _set_aside()
        assert (finding.well, finding.detail) == (False, "digest 1")
        assert b'notification_items_set_aside{work="digest"} 1.0' in metrics_response()

    def test_the_admin_shows_failed_items(self, admin_client):
        self.fail()
        page = admin_client.get("/admin/notifications/itemfault/")
        assert page.status_code == 200
        assert "Odd at" in page.content.decode()

    def test_a_resume_without_failed_items_is_reported(self):
        with pytest.raises(NotFound):
            SetAsideService().resume(ids=[1], caller=SYSTEM)


def _now():
    from notifications.infra import clock

    return clock.now()
