"""Rows of an older release: `carillon keys seal` seals all of them, in steps."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from click.testing import CliRunner
from django.db import connection

from carillon.cli.doctor import _old_rows
from carillon.cli.keys import command
from directory.models import AddressProof, ContactPoint, Suppression, User
from notifications.delivery.callbacks.inbound import InboundText
from notifications.domain.callers import SYSTEM
from notifications.domain.errors import Conflict
from notifications.domain.redaction import Known
from notifications.engine.runs import deliver_rows
from notifications.features.audit.sealer import seal_due
from notifications.features.people.proofs import ProofService
from notifications.features.privacy.schemas import EraseAddressBody
from notifications.features.privacy.service import PrivacyService
from notifications.features.privacy.steps import erase_due
from notifications.features.receipts.apply import apply_due
from notifications.features.receipts.inbound_sms import InboundSmsService
from notifications.features.sealing import service
from notifications.features.sealing.contents import redacted_trail
from notifications.features.sending.service import NotificationService
from notifications.infra import clock
from notifications.models import (
    Broadcast,
    BroadcastRecipient,
    DeadLetter,
    DeliveryAttempt,
    DigestBucket,
    DigestItem,
    Erasure,
    InboundSms,
    LateOutcome,
    Notification,
    NotificationMessage,
    ProviderCallback,
    SealingProgress,
    StoredAttachment,
    attachments_of,
)
from notifications.models.audit.entries import write_slice
from notifications.models.fields import EMPTIED
from notifications.queue import batches
from tests.integration.factories import make_template, make_user
from tests.integration.privacy.conftest import texts_of_database
from tests.integration.services.test_attachments import file
from tests.old_rows import make_old, under_the_services_key

pytestmark = pytest.mark.django_db
PHONE, STRANGER = "+4915112345678", "stranger@example.org"
ECHO = f"550 <zoe@example.org> or {PHONE}: Zoe is unknown"


def send(**more):
    body = {"template_path": "test.hello", "context": {"amount": 5, "note": "roses"}, **more}
    return NotificationService().send(body=body, caller=SYSTEM)


def work():
    for lease in batches.lease(owner="w", lane="default", seconds=60):
        deliver_rows([lease], owner="w")


def receipt_about(message, *more):
    references = [f"{each.notification.uuid.hex}.{each.channel}" for each in (message, *more)]
    return [{"event": "delivered", "reference": reference} for reference in references]


@pytest.fixture
def zoe(frozen):
    make_template(email_body_template="{{ amount }} {{ note }}")
    return make_user(
        username="zoe-1", email="zoe@example.org", first_name="Zoe", phone_number=PHONE
    )


@pytest.fixture
def world(zoe, frozen):
    """One row of each kind, as this release writes it."""
    others = [make_user() for _ in range(2)]
    send(user_id=zoe.pk, channels=["email", "in_app"], options={"attachments": [file()]})
    NotificationService().send_bulk(
        body={
            "template_path": "test.hello",
            "recipients": [{"user_id": each.pk} for each in others],
            "channel": "email",
            "context": {"amount": 5, "note": "n"},
            "options": {"attachments": [file("Shared.pdf")]},
        },
        caller=SYSTEM,
    )
    send(to={"email": STRANGER}, channel="email")
    work()
    ProofService().start(kind="phone", address="+14155552671", caller=SYSTEM, identifier=zoe.pk)
    first = NotificationMessage.objects.filter(user_id=zoe.pk, channel="email").get()
    stranger = NotificationMessage.objects.filter(user_id=None, channel="email").get()
    sent = NotificationMessage.objects.filter(user_id=others[0].pk).get()
    report = ProviderCallback.objects.report
    report(provider="generic", name="one", events=receipt_about(first), at=frozen.now)
    report(provider="generic", name="two", events=receipt_about(stranger), at=frozen.now)
    report(provider="generic", name="both", events=receipt_about(first, sent), at=frozen.now)
    apply_due(now=frozen.now)
    for number, sid in ((PHONE, "1"), ("+14155550000", "2")):
        text = InboundText(
            sender=number,
            recipient="+15005550006",
            text="hello",
            provider_message_id=sid,
            hint=None,
        )
        InboundSmsService().apply(text, provider="twilio", now=frozen.now)
    bucket = DigestBucket.objects.create(
        user=zoe, channel="email", frequency="daily", period="p", closes_at=frozen.now,
        created_at=frozen.now,
    )  # fmt: skip
    DigestItem.objects.create(
        bucket=bucket, message_id=1, notification_id=1, category_id=1,
        summary={"title": "roses", "body": "b"}, at=frozen.now,
    )  # fmt: skip
    write_failures(first, zoe, frozen.now)
    return zoe


def write_failures(message, user, at):
    """Writes error texts in all columns, as an older release did."""
    trail = json.dumps([1_700_000_000_000, "failed", ECHO])
    NotificationMessage.objects.filter(pk=message.pk).update(last_error=ECHO, trail=trail)
    DeliveryAttempt.objects.create(
        message_id=message.pk, number=1, provider="smtp", verdict="failed", error=ECHO,
        response={"raw": "roses"}, at=at,
    )  # fmt: skip
    LateOutcome.objects.create(
        message_id=message.pk, provider="smtp", verdict="failed", error=ECHO, at=at
    )
    DeadLetter.objects.create(
        message_id=message.pk, notification_id=message.notification_id, channel="email",
        code="smtp_550", last_error=ECHO, last_result={"error": "roses"}, failed_at=at,
    )  # fmt: skip
    broadcast = Broadcast.objects.create(
        title="t", message="m", created_by=user,
        error_log=[{"recipient_id": user.pk, "error": ECHO, "timestamp": ""}],
        error_reasons={ECHO: 1},
    )  # fmt: skip
    BroadcastRecipient.objects.create(
        broadcast=broadcast, recipient=user, state="failed", error=ECHO, telegram_error=ECHO
    )
    ContactPoint.objects.filter(user=user, kind="email").update(state_reason=ECHO)
    Suppression.objects.create(
        kind="email", address="bad@example.org", reason=f"bad@example.org or {PHONE}"
    )


def seal(*more):
    result = CliRunner().invoke(command, ["seal", *more])
    assert result.exit_code == 0, repr(result.exception)
    return result.output


READABLE = ("zoe", PHONE, "4155552671", "stranger", "roses", "Invoice", "bad@example.org")


def readable():
    stored = texts_of_database().lower()
    return [text for text in READABLE if text.lower() in stored]


def test_nothing_of_an_older_release_stays_readable(world):
    make_old()
    assert len(under_the_services_key()) >= 10
    left = service.rows_left()
    assert left["notifications"] == Notification.objects.count()
    assert not _old_rows().well

    seal()
    assert service.rows_left() == {}
    assert _old_rows().well
    assert under_the_services_key() == {}
    assert readable() == []
    assert "0 rows" in seal()

    user = User.objects.get(username="zoe-1")
    first, *_ = Notification.objects.order_by("pk")
    assert first.context == {"amount": 5, "note": "roses"}
    assert Notification.objects.filter(user_id=None).first().address == {"email": STRANGER}
    assert AddressProof.objects.get(user=user).address == "+14155552671"
    assert DigestItem.objects.get().summary["title"] == "roses"
    assert {row.content["text"] for row in InboundSms.objects.all()} == {"hello"}
    own, shared = StoredAttachment.objects.order_by("pk")
    assert (own.key_id, shared.key_id != user.key_id) == (user.key_id, True)
    assert [each.filename for each in attachments_of([own.pk, shared.pk])] == [
        "Invoice May.pdf",
        "Shared.pdf",
    ]


def test_error_texts_of_an_older_release_stay_readable_without_the_person(world):
    make_old()
    seal()
    expected = "550 <[address]> or [address]: [name] is unknown"
    rows = [
        *DeliveryAttempt.objects.exclude(error="").values_list("error", flat=True),
        *LateOutcome.objects.values_list("error", flat=True),
        *DeadLetter.objects.values_list("last_error", flat=True),
        *BroadcastRecipient.objects.values_list("error", flat=True),
        *BroadcastRecipient.objects.values_list("telegram_error", flat=True),
        *Broadcast.objects.get().error_reasons,
        Broadcast.objects.get().error_log[0]["error"],
    ]
    assert rows == [expected] * 7
    message = NotificationMessage.objects.exclude(last_error=None).get()
    assert message.history()[0]["reason"] == expected


def test_an_interrupted_run_goes_on_where_it_ended(world, monkeypatch):
    for _ in range(5):
        send(user_id=world.pk, channel="in_app")
    work()
    make_old()
    monkeypatch.setattr(service, "AT_ONCE", 2)
    steps = iter(range(100))
    real = service._try_step

    def step(name, size):
        if name == "messages" and next(steps) == 2:
            raise KeyboardInterrupt
        return real(name, size)

    monkeypatch.setattr(service, "_try_step", step)
    with pytest.raises(KeyboardInterrupt):
        service.seal_rows(lambda rows: None)
    done = SealingProgress.objects.get(work="messages")
    assert 0 < done.position < done.last

    monkeypatch.setattr(service, "_try_step", real)
    service.seal_rows(lambda rows: None)
    assert under_the_services_key() == {}


def test_a_row_that_changed_meanwhile_is_not_overwritten(world):
    make_old()
    rows = Notification.objects.order_by("pk")
    last = rows.last().pk
    page = service._WORKS["notifications"][1](0, last, 100)
    rows.update(context=EMPTIED)  # as retention does between the reading and the writing
    page.write()
    assert set(Notification.objects.values_list("context", flat=True)) == {None}


def test_codes_in_trails_stay(zoe):
    trail = json.dumps([1_700_000_000_000, "failed", "zoe"])
    known = Known(names=["zoe"])
    assert redacted_trail(trail, known) == trail
    trail = json.dumps([1_700_000_000_000, "failed", "Dear zoe"])
    assert "[name]" in redacted_trail(trail, known)
    assert redacted_trail(trail, known, lambda at: at == 1_700_000_000_000) == trail


def test_what_an_audit_leaf_proves_stays_in_a_trail(world, frozen):
    at = clock.epoch_ms(frozen.now)
    row = NotificationMessage.objects.exclude(last_error=None).get()
    trail = ",".join(json.dumps([when, "retry", "Dear Zoe"]) for when in (1_700_000_000_000, at))
    NotificationMessage.objects.filter(pk=row.pk).update(trail=trail)
    write_slice([(row.pk, "x")], at=frozen.now)
    seal_due(now=frozen.now)
    seal("--all")
    row.refresh_from_db()
    assert [each["reason"] for each in row.history()][:2] == ["Dear [name]", "Dear Zoe"]


def test_contents_of_deleted_people_are_emptied(world):
    make_old()
    with connection.cursor() as cursor:  # an older release left the facts of a deleted user
        cursor.execute("DELETE FROM directory_contactpoint")
        cursor.execute("DELETE FROM directory_addressproof")
        cursor.execute("DELETE FROM notifications_digestitem")
        cursor.execute("DELETE FROM notifications_digestbucket")
        cursor.execute("DELETE FROM notifications_broadcastrecipient")
        cursor.execute("DELETE FROM notifications_broadcast")
        cursor.execute("DELETE FROM directory_user WHERE username = 'zoe-1'")
    seal()
    assert under_the_services_key() == {}
    assert "roses" not in json.dumps(
        [row.context for row in Notification.objects.filter(user_id=world.pk)]
    )
    assert Notification.objects.filter(user_id=world.pk).first().context is None


def test_rows_of_this_release_are_not_walked(zoe):
    send(user_id=zoe.pk, channel="in_app")
    work()
    assert service.rows_left() == {}
    assert "0 rows" in seal()
    assert under_the_services_key() == {}


def test_documented_rows_are_sealed_under_the_key_of_their_person(zoe, frozen):
    message = NotificationMessage.objects.create(
        user=zoe, channel="in_app", title="Hi", body="roses", scheduled_at=frozen.now
    )
    Notification.objects.create(user=zoe, text={"title": "Hi", "message": "roses"})
    Notification.objects.create(address={"email": STRANGER}, context={"a": "roses"})
    assert under_the_services_key() == {}
    message.refresh_from_db()
    assert message.notification.title == "Hi"


OLD_ROW = {"username": "ada99", "email": "ada@example.org", "last_name": "Lovelace"}


def stored_texts(user):
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM directory_user WHERE id = %s", [user.pk])
        stored = str(cursor.fetchone())
    return [text for text in (*OLD_ROW.values(), "Adah") if text in stored]


def write_old_row(user):
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE directory_user SET sealed = NULL, username = %s, email = %s, last_name = %s"
            " WHERE id = %s",
            [*OLD_ROW.values(), user.pk],
        )


@pytest.mark.parametrize("several", [False, True])
def test_a_partial_save_of_an_old_row_leaves_no_text_readable(several):
    user = make_user()
    write_old_row(user)
    old = User.objects.get(pk=user.pk)
    old.first_name = "Adah"
    if several:
        User.objects.bulk_update([old], ["first_name"])
    else:
        old.save(update_fields=["first_name"])
    assert stored_texts(user) == []
    found = User.objects.get(username="ada99")
    assert (found.first_name, found.last_name) == ("Adah", "Lovelace")
    assert User.objects.filter(email="ada@example.org").exists()


def test_a_readable_column_of_a_sealed_row_is_replaced():
    user = make_user(**OLD_ROW)
    with connection.cursor() as cursor:  # as a partial save of an earlier build left it
        cursor.execute("UPDATE directory_user SET last_name = 'Lovelace' WHERE id = %s", [user.pk])
    seal("--all")
    assert stored_texts(user) == []
    assert User.objects.get(email="ada@example.org").last_name == "Lovelace"


def test_an_address_is_erased_once_old_rows_are_sealed(zoe, frozen):
    send(to={"email": STRANGER}, channel="email")
    make_old()
    body = EraseAddressBody(reason="asked", email=STRANGER)
    with pytest.raises(Conflict) as caught:
        PrivacyService().erase_address(body=body, caller=SYSTEM)
    assert caught.value.code == "not_sealed"
    seal()
    PrivacyService().erase_address(body=body, caller=SYSTEM)
    assert erase_due(now=frozen.now) == 1
    assert not Notification.objects.exists()


def test_a_person_is_erased_in_two_parts_while_old_rows_are_left(zoe, frozen):
    send(user_id=zoe.pk, channel="in_app")
    send(to={"email": zoe.email}, channel="email")
    make_old()
    PrivacyService().erase_user(identifier=zoe.pk, reason="asked", caller=SYSTEM)
    assert erase_due(now=frozen.now) == 0
    assert Notification.objects.get().user_id is None
    assert Erasure.objects.get().state == Erasure.State.REQUESTED

    seal()
    assert erase_due(now=frozen.now + timedelta(minutes=1)) == 1
    assert not Notification.objects.exists()
    assert not User.objects.filter(pk=zoe.pk).exists()
    assert readable() == []


def test_an_unreadable_address_stops_no_other_row(zoe):
    """Its rows stay as they are: their owner is unknown, and not erased."""
    send(to={"email": STRANGER}, channel="email", options={"attachments": [file()]})
    send(user_id=zoe.pk, channel="in_app")
    make_old()
    first = Notification.objects.order_by("pk").values_list("pk", flat=True)[0]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE notifications_notification SET address = %s WHERE id = %s",
            [b"\x01" + bytes(40), first],
        )
        cursor.execute("SELECT context FROM notifications_notification WHERE id = %s", [first])
        before = bytes(cursor.fetchone()[0])
    seal()
    with connection.cursor() as cursor:
        cursor.execute("SELECT context FROM notifications_notification WHERE id = %s", [first])
        assert bytes(cursor.fetchone()[0]) == before
    assert StoredAttachment.objects.filter(key_id=None).count() == 1
    assert Notification.objects.defer("address").get(user_id=zoe.pk).context["note"] == "roses"
    assert under_the_services_key()["notifications_notification.context"] == 1


def test_an_unreadable_file_stops_no_other_row(zoe):
    send(user_id=zoe.pk, channel="email", options={"attachments": [file()]})
    make_old()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE notifications_storedattachment SET content = %s", [b"\x01" + bytes(40)]
        )
    seal()
    assert StoredAttachment.objects.get().key_id is None
    assert service.rows_left() == {}


def test_a_receipt_that_was_emptied_meanwhile_stays_empty(world):
    make_old()
    last = ProviderCallback.objects.order_by("pk").last().pk
    page = service._WORKS["callbacks"][1](0, last, 100)
    ProviderCallback.objects.update(call=EMPTIED)
    page.write()
    assert not any(row.call for row in ProviderCallback.objects.all())
    assert set(ProviderCallback.objects.values_list("key_id", flat=True)) == {None}
