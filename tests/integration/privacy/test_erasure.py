"""Erasure of people: nothing is sent, keys go, rows go, addresses stay suppressed."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from directory.importing import import_users
from directory.models import AddressKey, ContactPoint, Device, SearchToken, Suppression, User
from directory.models.user import DeletionRefused
from notifications.domain.callers import SYSTEM, Caller
from notifications.domain.errors import Conflict, InvalidRequest, NotFound, Refused
from notifications.features.privacy import steps
from notifications.features.privacy.schemas import EraseAddressBody
from notifications.features.privacy.service import PrivacyService
from notifications.features.privacy.steps import erase_due
from notifications.features.sending.service import NotificationService
from notifications.models import (
    DigestBucket,
    DigestItem,
    Erasure,
    LegalHold,
    Notification,
    NotificationMessage,
)
from tests.integration.api.conftest import send_body
from tests.integration.factories import make_user
from tests.integration.privacy.conftest import texts_of_database
from vault.models import DataKey, ErasedKey
from vault.store import erase_keys

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("template")]
SECRETS = ("Zebulon", "Quagmire", "zebulon@example.org", "+4915112345678", "zebu-17", "token-of-z")


@pytest.fixture
def person():
    user = make_user(
        username="zebu-17",
        email="zebulon@example.org",
        first_name="Zebulon",
        last_name="Quagmire",
        phone_number="+4915112345678",
    )
    Device.objects.create(user=user, token="token-of-z")
    return user


def erase(user, reason="request of 3 May"):
    return PrivacyService().erase_user(identifier=user.pk, reason=reason, caller=SYSTEM)


def test_no_text_of_a_person_is_readable_in_the_rows(person):
    NotificationService().send(body=send_body(person), caller=SYSTEM)
    stored = texts_of_database()
    assert [text for text in SECRETS if text in stored] == []


def test_an_erased_person_leaves_nothing_but_a_suppression(person, frozen):
    NotificationService().send(body=send_body(person), caller=SYSTEM)
    key_id = person.key_id

    made = erase(person)
    assert made.state == "requested"
    assert set(NotificationMessage.objects.values_list("status", flat=True)) == {"cancelled"}
    assert erase_due(now=frozen.now) == 1

    assert not User.objects.filter(pk=person.pk).exists()
    for model in (Notification, NotificationMessage, ContactPoint, Device, SearchToken, AddressKey):
        assert not model.objects.exists(), model
    assert not DataKey.objects.filter(pk=key_id).exists()
    assert ErasedKey.objects.filter(pk=key_id).exists()
    rows = list(Suppression.objects.all())
    assert {(row.kind, row.address) for row in rows} == {("email", ""), ("phone", "")}

    found = PrivacyService().certificate(identifier=str(made.certificate_id), caller=SYSTEM)
    assert (found.state, found.user_id, found.in_flight) == ("done", person.pk, [])
    assert str(key_id) in found.keys
    assert found.removed["messages_cancelled"] == 1
    assert found.removed["notifications"] == 1
    assert found.residues


def test_an_import_of_an_erased_address_stays_suppressed(person, frozen):
    erase(person)
    erase_due(now=frozen.now)
    import_users([json.dumps({"external_id": "x", "email": "Zebulon@Example.org"})], kind="ndjson")

    again = User.objects.get(external_id="x")
    assert again.email == "Zebulon@example.org"
    with pytest.raises(Refused) as caught:
        NotificationService().send(body={**send_body(again), "channel": "email"}, caller=SYSTEM)
    assert caught.value.code == "opted_out"


def test_an_erasure_suppresses_the_address_for_all_who_share_it(person, frozen, as_staff):
    parent = make_user(email=person.email)
    body = {**send_body(parent), "channel": "email"}
    NotificationService().send(body=body, caller=SYSTEM)
    erase(person)
    with pytest.raises(Refused):
        NotificationService().send(body=body, caller=SYSTEM)
    path = "/api/v1/suppressions"
    (row,) = as_staff.get(path, {"address": parent.email}).json()["results"]
    assert as_staff.delete(f"{path}/{row['id']}").status_code == 204
    NotificationService().send(body=body, caller=SYSTEM)


def test_what_is_sent_to_a_person_meanwhile_is_not_sent(person, frozen):
    erase(person)
    erase_due(now=frozen.now)
    with pytest.raises(NotFound):
        NotificationService().send(body=send_body(person), caller=SYSTEM)


def test_a_saved_row_whose_key_is_erased_shows_nothing(person, frozen):
    erase_keys([person.key_id])
    found = User.objects.get(pk=person.pk)
    assert (found.email, found.first_name) == ("", "")
    found.save()

    found = User.objects.get(pk=person.pk)
    assert (found.email, found.first_name, found.username) == ("", "", "")


def test_a_person_is_erased_and_not_deleted(person):
    with pytest.raises(DeletionRefused, match="erase the person instead"):
        person.delete()
    with pytest.raises(DeletionRefused):
        User.objects.filter(pk=person.pk).delete()
    assert User.objects.filter(pk=person.pk).exists()


def test_a_key_cannot_erase_staff(staff):
    key = Caller(name="key:1", is_service=True, scopes=frozenset({"privacy:erase"}))
    with pytest.raises(Refused) as caught:
        PrivacyService().erase_user(identifier=staff.pk, reason="r", caller=key)
    assert caught.value.code == "staff_protected"


def test_a_second_erasure_of_a_person_is_refused(person):
    erase(person)
    with pytest.raises(Conflict) as caught:
        erase(person)
    assert caught.value.code == "erasure_open"


def test_a_hold_stops_sending_and_delays_the_erasure(person, frozen):
    NotificationService().send(body=send_body(person), caller=SYSTEM)
    hold = PrivacyService().place_hold(user=person.pk, reason="case 17", caller=SYSTEM)
    moment = {"closes_at": frozen.now, "created_at": frozen.now, "period": "p"}
    bucket = DigestBucket.objects.create(user=person, **moment)
    item = {"message_id": 1, "notification_id": 1, "category_id": 1, "at": frozen.now}
    DigestItem.objects.create(bucket=bucket, summary={"title": "t"}, **item)

    made = erase(person)
    assert made.state == "waiting_for_hold"
    assert DigestItem.objects.exists()
    assert erase_due(now=frozen.now) == 0
    assert not User.objects.get(pk=person.pk).is_active
    assert User.objects.get(pk=person.pk).email == "zebulon@example.org"

    PrivacyService().end_hold(identifier=str(hold.id), caller=SYSTEM)
    assert not LegalHold.objects.exists()
    assert not DigestItem.objects.exists()
    assert erase_due(now=frozen.now) == 1
    assert not User.objects.filter(pk=person.pk).exists()
    assert Erasure.objects.get().state == "done"


@pytest.mark.parametrize(
    "given", [{}, {"email": "a@example.org", "phone": "+4915112345678"}, {"email": "nonsense"}]
)
def test_a_wrong_address_is_a_clear_error(given):
    with pytest.raises(InvalidRequest):
        PrivacyService().erase_address(body=EraseAddressBody(reason="r", **given), caller=SYSTEM)


def test_an_interrupted_erasure_goes_on(person, frozen, monkeypatch):
    erase(person)
    real = steps._delete_rows
    monkeypatch.setattr(steps, "_delete_rows", lambda *_: 1 / 0)
    assert erase_due(now=frozen.now) == 0
    assert Erasure.objects.get().state == "keys_erased"

    monkeypatch.setattr(steps, "_delete_rows", real)
    frozen.forward(3_600)
    assert erase_due(now=frozen.now) == 1
    assert not User.objects.filter(pk=person.pk).exists()


def test_a_notification_that_is_committed_after_the_erasure_goes(person, frozen):
    made = erase(person)
    assert erase_due(now=frozen.now) == 1
    late, other = (Notification.objects.create(user=make_user()) for _ in range(2))
    Notification.objects.filter(pk=late.pk).update(user_id=person.pk)
    assert steps.delete_late(now=frozen.now + timedelta(minutes=1)) == 1
    assert Notification.objects.get().pk == other.pk
    found = PrivacyService().certificate(identifier=str(made.certificate_id), caller=SYSTEM)
    assert (found.state, found.removed["notifications"]) == ("done", 1)
    assert steps.delete_late(now=frozen.now + timedelta(minutes=1)) == 0
