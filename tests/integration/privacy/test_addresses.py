"""Erasure of an address without a user: what waits is cancelled, and its rows go."""

from __future__ import annotations

import pytest
from django.db import connection

from directory.models import AddressKey, Suppression
from notifications.domain.callers import SYSTEM
from notifications.domain.errors import Conflict, Refused
from notifications.features.privacy import steps
from notifications.features.privacy.rows import messages_under, notifications_under
from notifications.features.privacy.schemas import EraseAddressBody
from notifications.features.privacy.service import PrivacyService
from notifications.features.privacy.steps import erase_due
from notifications.features.sending.service import NotificationService
from notifications.models import (
    DeliveryBatch,
    Erasure,
    MessageEvent,
    Notification,
    NotificationMessage,
    RefusedSend,
    StoredAttachment,
    pack_keys,
)
from tests.integration.factories import make_template, make_user
from tests.integration.privacy.conftest import texts_of_database
from tests.integration.services.test_attachments import file

pytestmark = pytest.mark.django_db
STRANGER = "stranger@example.org"


@pytest.fixture(autouse=True)
def _template(frozen):
    make_template("test.plain", email_body_template="{{ amount }}")


def send(address=STRANGER, **more):
    body = {
        "template_path": "test.plain",
        "to": {"email": address},
        "channel": "email",
        "context": {"amount": 5},
        **more,
    }
    return NotificationService().send(body=body, caller=SYSTEM)


def erase(address="Stranger@example.org"):
    body = EraseAddressBody(reason="asked", email=address)
    return PrivacyService().erase_address(body=body, caller=SYSTEM)


def certificate(made):
    return PrivacyService().certificate(identifier=str(made.certificate_id), caller=SYSTEM)


def test_the_rows_of_an_address_are_deleted(frozen):
    for _ in range(3):
        send(options={"attachments": [file()]})
    send("other@example.org")
    (key_id,) = Notification.objects.order_by("pk").values_list("pk", flat=True)[:1]
    MessageEvent.objects.create(message_id=key_id, kind="asked", at=frozen.now)

    made = erase()
    states = NotificationMessage.objects.order_by("pk").values_list("status", flat=True)
    assert list(states) == ["cancelled"] * 3 + ["pending"]
    assert erase_due(now=frozen.now) == 1

    found = certificate(made)
    assert (found.state, found.in_flight) == ("done", [])
    expected = {
        "messages_cancelled": 3,
        "notifications": 3,
        "messages": 3,
        "events": 4,  # three cancellations besides
        "storedattachment": 3,
        "addresskey": 1,
    }
    assert found.removed == expected
    (left,) = Notification.objects.all()
    assert left.address == {"email": "other@example.org"}
    assert not StoredAttachment.objects.exists()
    assert AddressKey.objects.count() == 1
    assert "stranger" not in texts_of_database().lower()


def test_a_message_in_flight_is_listed(frozen):
    for _ in range(2):
        send()
    (first, _second) = Notification.objects.order_by("pk").values_list("pk", flat=True)
    batch = DeliveryBatch.objects.order_by("pk").first()
    DeliveryBatch.objects.filter(pk=batch.pk).update(journal=pack_keys([first]))

    made = erase()
    found = certificate(made)
    assert found.in_flight == [str(first)]
    assert found.removed == {"messages_cancelled": 1}


def test_an_interrupted_erasure_goes_on_and_counts_each_row_once(frozen, monkeypatch):
    for _ in range(3):
        send()
    made = erase()
    monkeypatch.setattr(steps, "_AT_ONCE", 1)
    real, calls = steps.delete_notifications, iter(range(9))
    monkeypatch.setattr(
        steps, "delete_notifications", lambda keys: 1 / 0 if next(calls) == 1 else real(keys)
    )
    assert erase_due(now=frozen.now) == 0
    assert certificate(made).removed["notifications"] == 1

    frozen.forward(3_600)
    assert erase_due(now=frozen.now) == 1
    assert certificate(made).removed["notifications"] == 3


def test_refused_sends_to_an_address_go_with_it(frozen):
    send()
    Suppression.objects.create(kind="email", address=STRANGER)
    with pytest.raises(Refused):
        send()
    assert RefusedSend.objects.get().key_id == AddressKey.objects.get().key_id

    made = erase()
    erase_due(now=frozen.now)
    assert not RefusedSend.objects.exists()
    assert certificate(made).removed["refusedsend"] == 1

    with pytest.raises(Refused):
        send()  # the erased address stays suppressed, and nothing names it
    assert RefusedSend.objects.get().key_id is None
    assert not AddressKey.objects.exists()


def test_what_was_sent_to_the_address_of_a_person_goes_with_the_person(frozen):
    user = make_user(email=STRANGER)
    send()
    made = PrivacyService().erase_user(identifier=user.pk, reason="asked", caller=SYSTEM)
    assert NotificationMessage.objects.get().status == "cancelled"
    assert erase_due(now=frozen.now) == 1
    assert not Notification.objects.exists()
    assert certificate(made).removed["notifications"] == 1


@pytest.mark.parametrize("held", [False, True])
def test_an_address_of_a_user_is_not_erased_alone(held):
    user = make_user(email=STRANGER)
    send()
    if held:
        PrivacyService().place_hold(user=user.pk, reason="case 17", caller=SYSTEM)
    with pytest.raises(Conflict) as caught:
        erase()
    assert caught.value.code == "address_of_user"
    assert not Erasure.objects.exists()
    assert NotificationMessage.objects.get().status == "pending"


def test_an_erasure_leaves_the_key_that_a_person_under_a_hold_shares(frozen):
    held, other = make_user(email=STRANGER), make_user(email=STRANGER)
    send()
    PrivacyService().place_hold(user=held.pk, reason="case 17", caller=SYSTEM)
    made = PrivacyService().erase_user(identifier=other.pk, reason="asked", caller=SYSTEM)
    assert erase_due(now=frozen.now) == 1
    assert Notification.objects.count() == AddressKey.objects.count() == 1
    found = certificate(made)
    assert (found.keys, found.removed["keys_left_to_holds"]) == ([str(other.key_id)], 1)


def test_an_index_finds_the_rows_of_an_address():
    for n in range(30):
        send(f"someone{n}@example.org")
    send()
    key_id = AddressKey.objects.order_by("-pk").values_list("key_id", flat=True)[0]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE notifications_notification, notifications_notificationmessage")
            cursor.execute("SET LOCAL enable_seqscan = off")
    for rows in (notifications_under([key_id]), messages_under([key_id])):
        assert rows.count() == 1
        assert "notification_address_key" in rows.explain()
