"""A restored database is erased again by what files and the log of the key store say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from directory.models import AddressKey, Suppression, User
from notifications.domain.callers import SYSTEM
from notifications.features.broadcasts.delivery.fold import fold_changes
from notifications.features.privacy import reapply, steps
from notifications.features.privacy.known import (
    InvalidErasures,
    KnownErasure,
    KnownErasures,
    read_erasures,
    write_erasures,
)
from notifications.features.privacy.reapply import ErasureFailed
from notifications.features.privacy.schemas import EraseAddressBody
from notifications.features.privacy.service import PrivacyService
from notifications.features.privacy.steps import erase_due
from notifications.features.sending.service import NotificationService
from notifications.infra import clock, ports
from notifications.models import (
    Broadcast,
    BroadcastChange,
    Erasure,
    ItemFault,
    LegalHold,
    Notification,
    NotificationMessage,
    Work,
)
from tests.integration.api.conftest import send_body
from tests.integration.broadcasts.factories import launch, make_broadcast, make_people
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


def erase_again(known, *, now):
    return reapply.erase_again(known, now=now, count=lambda: fold_changes(now=clock.now()))


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


def test_a_hold_that_the_backup_does_not_have_is_placed_for_a_person_to_end(person, frozen):
    known = known_of(person, state="waiting_for_hold", keys=[])
    for _ in range(2):  # the second finds the erasure
        erase_again(known, now=frozen.now)
    assert Erasure.objects.get().state == "waiting_for_hold"
    hold, (certificate,) = LegalHold.objects.get(), known.erasures
    assert (hold.user_id, hold.actor) == (person.pk, "cli")
    assert hold.reason == f"restored: hold of certificate {certificate}"
    PrivacyService().end_hold(identifier=str(hold.uuid), caller=SYSTEM)
    erase_due(now=frozen.now)
    assert Erasure.objects.get().state == "done"
    assert not User.objects.filter(pk=person.pk).exists()


def test_an_erasure_under_a_hold_of_a_person_who_is_not_in_the_backup_is_done(person, frozen):
    known = known_of(person, state="waiting_for_hold", keys=[], person=uuid4())
    assert erase_again(known, now=frozen.now).erasures == 1
    assert Erasure.objects.get().state == "done"
    assert not LegalHold.objects.exists()
    assert User.objects.filter(pk=person.pk).exists()


def test_a_file_has_what_is_needed(person, frozen, tmp_path):
    stranger()
    body = EraseAddressBody(reason="asked", email="stranger@example.org")
    PrivacyService().erase_address(body=body, caller=SYSTEM)
    made = PrivacyService().erase_user(identifier=person.pk, reason="asked", caller=SYSTEM)
    erase_due(now=frozen.now)
    path = tmp_path / "file"
    assert write_erasures(path, now=frozen.now) == 2
    with pytest.raises(FileExistsError):
        write_erasures(path, now=frozen.now)
    assert not list(tmp_path.glob("*.new"))
    assert "zebu" not in path.read_text()
    known = KnownErasures()
    assert read_erasures(path, known) == frozen.now
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
        '{"line": "head", "form": 2}\n',
        '{"line": "other"}\n',
        '{"line": "erasure"}\n',
        '{"action": "x"}\n',
        '{"line": "head", "form": 1}\n',
        '{"line": "end", "lines": 0, "at": "2030-01-01T00:00:00Z", "tag": ""}\n',
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


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: lines[:1], "incomplete"),
        (lambda lines: lines[:-1], "incomplete"),
        (lambda lines: lines[1:], "incomplete"),
        (lambda lines: [lines[0], *lines[2:]], "changed"),
        (lambda lines: [*lines, lines[1]], "goes on"),
        (lambda lines: [*lines[:-1], lines[-1].replace(b"2030", b"2031")], "changed"),
    ],
)
def test_a_file_that_was_cut_or_changed_is_refused(change, words, frozen, tmp_path):
    erase_keys([key.id for key in create_keys(2)], at=LONG_AGO)
    path = tmp_path / "file"
    write_erasures(path, now=LONG_AGO)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    known = KnownErasures()
    with pytest.raises(InvalidErasures, match=words):
        read_erasures(path, known)
    assert not known.keys


def test_a_file_of_another_installation_is_refused(settings, tmp_path):
    path = tmp_path / "file"
    write_erasures(path, now=LONG_AGO)
    settings.SECRET_KEY = "of another installation"
    with pytest.raises(InvalidErasures, match="CARILLON_SECRET_KEY"):
        read_erasures(path, KnownErasures())


def test_a_recipient_of_a_broadcast_is_erased_when_the_broadcast_has_counted_them(frozen):
    (key,) = make_people(1)
    broadcast, person = launch(make_broadcast(channels=["email"])), User.objects.get(pk=key)
    assert NotificationMessage.objects.filter(user_id=person.pk, status="pending").exists()
    assert erase_again(known_of(person), now=frozen.now).erasures == 1
    assert not User.objects.filter(pk=person.pk).exists()
    assert not BroadcastChange.objects.exists()
    assert Broadcast.objects.get(pk=broadcast.pk).cancelled_count == 1


def test_an_erasure_that_waits_for_readers_goes_on(person, frozen, monkeypatch):
    answers, slept = iter([False, False, True]), []
    monkeypatch.setattr(steps, "truncate_logs", lambda: next(answers))

    def sleep(seconds):
        slept.append(seconds)
        frozen.now += timedelta(seconds=seconds)

    monkeypatch.setattr(ports, "sleep", sleep)
    erase_again(known_of(person), now=frozen.now)
    assert Erasure.objects.get().state == "done"
    assert slept


@pytest.mark.parametrize("set_aside", [True, False])
def test_an_erasure_that_does_not_go_on_is_an_error(set_aside, person, frozen, monkeypatch):
    slept = []
    monkeypatch.setattr(ports, "sleep", slept.append)
    monkeypatch.setattr(reapply, "_MOST_PAUSES", 3)

    def erase(**_):
        if set_aside:
            row = Erasure.objects.get()
            values = {"failed_at": frozen.now, "next_at": frozen.now, "set_aside": True}
            ItemFault.objects.create(work=Work.ERASE, item=row.pk, **values)
        return 0

    monkeypatch.setattr(reapply, "erase_due", erase)
    with pytest.raises(ErasureFailed):
        erase_again(known_of(person), now=frozen.now)
    assert len(slept) == (0 if set_aside else 3)


def test_keys_of_known_erasures_go_even_without_a_person(frozen):
    (key,) = create_keys(1)
    known = KnownErasures()
    known.keys[key.id] = LONG_AGO
    assert erase_again(known, now=frozen.now).keys == 1
    assert ErasedKey.objects.get(pk=key.id).erased_at == LONG_AGO
