"""A restored database is erased again by what files and the log of the key store say."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from directory.models import AddressKey, Suppression, User
from notifications.domain.callers import SYSTEM
from notifications.features.audit.queries import AuditFilter
from notifications.features.audit.sealer import seal_due
from notifications.features.audit.service import AuditService
from notifications.features.privacy import reapply
from notifications.features.privacy.known import (
    InvalidErasures,
    KnownErasure,
    KnownErasures,
    read_erasures,
    write_erasures,
)
from notifications.features.privacy.reapply import ErasureFailed, erase_again
from notifications.features.privacy.schemas import EraseAddressBody
from notifications.features.privacy.service import PrivacyService
from notifications.features.privacy.steps import erase_due
from notifications.features.sending.service import NotificationService
from notifications.models import Erasure, LegalHold, Notification, NotificationMessage
from tests.integration.api.conftest import send_body
from tests.integration.factories import make_template, make_user
from vault.models import DataKey, ErasedKey
from vault.store import create_keys, erase_keys

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("template")]
LONG_AGO = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def person():
    return make_user(username="zebu-17", email="zebulon@example.org", phone_number="+4915112345678")


def known_of(user, **values):
    values = {"keys": [user.key_id], "person": user.uuid, "user_id": user.pk, **values}
    found = KnownErasures()
    found.add(KnownErasure(certificate=uuid4(), requested_at=LONG_AGO, reason="asked", **values))
    return found


def suppressed():
    rows = Suppression.objects.filter(reason="erased")
    return sorted(kind for (kind,) in rows.values_list("kind"))


def stranger():
    make_template("test.plain", email_body_template="{{ amount }}")
    NotificationService().send(
        body={
            "template_path": "test.plain",
            "to": {"email": "stranger@example.org"},
            "channel": "email",
            "context": {"amount": 5},
        },
        caller=SYSTEM,
    )


def test_a_person_is_erased_again_under_the_same_certificate(person, frozen):
    NotificationService().send(body=send_body(person), caller=SYSTEM)
    known = known_of(person)
    done = erase_again(known, now=frozen.now)
    assert (done.erasures, done.keys) == (1, 1)
    assert not User.objects.filter(pk=person.pk).exists()
    assert not Notification.objects.exists()
    assert not DataKey.objects.exists()
    assert suppressed() == ["email", "phone"]
    (certificate,) = known.erasures
    found = Erasure.objects.get(uuid=certificate)
    assert (found.state, found.person, found.reason) == ("done", person.uuid, "asked")

    assert erase_again(known, now=frozen.now).erasures == 0  # and once more changes nothing


def test_a_person_with_the_same_number_and_another_uuid_is_not_erased(person, frozen):
    known = known_of(person, person=uuid4(), keys=[])
    assert erase_again(known, now=frozen.now).erasures == 1
    assert User.objects.filter(pk=person.pk).exists()
    assert Erasure.objects.get().user_id is None


def test_the_erasure_log_of_a_newer_key_store_is_enough(person, frozen):
    stranger()
    NotificationService().send(body=send_body(person), caller=SYSTEM)
    address = AddressKey.objects.exclude(key_id=person.key_id).get()
    erase_keys([person.key_id, address.key_id], at=LONG_AGO)
    done = erase_again(KnownErasures(), now=frozen.now)
    assert done.erasures == 2
    assert not User.objects.filter(pk=person.pk).exists()
    assert not NotificationMessage.objects.filter(user_id=person.pk).exists()
    assert not AddressKey.objects.exists()
    assert suppressed() == ["email", "phone"]  # by the index alone: the key is gone
    assert {row.requested_at for row in Erasure.objects.all()} == {LONG_AGO}


def test_a_hold_that_ended_before_the_erasure_does_not_delay_it_again(person, frozen):
    PrivacyService().place_hold(user=person.pk, reason="case 17", caller=SYSTEM)
    made = PrivacyService().erase_user(identifier=person.pk, reason="asked", caller=SYSTEM)
    assert made.state == "waiting_for_hold"
    known = known_of(person)
    erase_again(known, now=frozen.now)
    assert not User.objects.filter(pk=person.pk).exists()
    assert not LegalHold.objects.exists()
    assert Erasure.objects.get().state == "done"


def test_an_erasure_that_waited_for_a_hold_waits_again(person, frozen):
    PrivacyService().place_hold(user=person.pk, reason="case 17", caller=SYSTEM)
    known = known_of(person, state="waiting_for_hold", keys=[])
    assert erase_again(known, now=frozen.now).erasures == 1
    found = User.objects.get(pk=person.pk)
    assert (found.is_active, found.email) == (False, "zebulon@example.org")


@pytest.mark.parametrize("source", ["erasures", "audit"])
def test_a_file_has_what_is_needed(source, person, frozen, tmp_path):
    stranger()
    body = EraseAddressBody(reason="asked", email="stranger@example.org")
    PrivacyService().erase_address(body=body, caller=SYSTEM)
    made = PrivacyService().erase_user(identifier=person.pk, reason="asked", caller=SYSTEM)
    erase_due(now=frozen.now)
    seal_due(now=frozen.now)
    path = tmp_path / "file"
    if source == "erasures":
        assert write_erasures(path, now=frozen.now) == 2
        with pytest.raises(FileExistsError):
            write_erasures(path, now=frozen.now)
    else:
        parts = AuditService().export(wanted=AuditFilter(), caller=SYSTEM, whole=True)
        path.write_bytes(b"".join(parts))
    assert "zebu" not in path.read_text()
    known = KnownErasures()
    read_erasures(path, known)

    assert known.until is not None
    assert known.until >= frozen.now - timedelta(seconds=1)
    erased = {key for each in known.erasures.values() for key in each.keys}
    assert erased == set(ErasedKey.objects.values_list("pk", flat=True))
    assert {each.person for each in known.erasures.values()} == {person.uuid, None}
    assert made.certificate_id in known.erasures
    assert len(known.suppressions) == 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense\n",
        '{"line": "head", "form": 2, "at": "2030-01-01T00:00:00Z"}\n',
        '{"line": "other"}\n',
        '{"line": "erasure"}\n',
        '{"action": "x"}\n',
        "[]\n",
        "7\n",
    ],
)
def test_a_file_that_cannot_be_read_is_a_clear_error(text, tmp_path):
    path = tmp_path / "file"
    path.write_text(text)
    with pytest.raises(InvalidErasures) as caught:
        read_erasures(path, KnownErasures())
    assert str(path) in str(caught.value)


def test_an_old_audit_entry_of_an_address_is_counted(tmp_path):
    entry = {
        "kind": "erasure",
        "action": "audit.erasure",
        "target": "user:0",
        "at": "2030-01-01T00:00:00Z",
        "actor": "cli",
        "after": None,
    }
    path = tmp_path / "file"
    path.write_text(json.dumps(entry) + "\n" + json.dumps({**entry, "target": "user:7"}) + "\n")
    known = KnownErasures()
    read_erasures(path, known)
    assert (known.nameless, [each.user_id for each in known.erasures.values()]) == (1, [7])


def test_an_erasure_that_does_not_go_on_is_an_error(person, frozen, monkeypatch):
    monkeypatch.setattr(reapply, "erase_due", lambda **_: 0)
    with pytest.raises(ErasureFailed):
        erase_again(known_of(person), now=frozen.now)


def test_keys_of_known_erasures_go_even_without_a_person(frozen):
    (key,) = create_keys(1)
    known = KnownErasures()
    known.keys[key.id] = LONG_AGO
    assert erase_again(known, now=frozen.now).keys == 1
    assert ErasedKey.objects.get(pk=key.id).erased_at == LONG_AGO
