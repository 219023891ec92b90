"""Data keys of people and addresses: created once, found again, gone after an erasure."""

from __future__ import annotations

import pytest
from django.db import connection

from directory.keys import load_keys_of_people
from directory.models import AddressKey, User
from notifications.domain.callers import SYSTEM
from notifications.features.sending.service import NotificationService
from notifications.models import Notification
from tests.integration.api.conftest import send_body
from tests.integration.factories import make_user
from vault.cells import KeyErased, SealBroken, key_id_of
from vault.models import DataKey, ErasedKey
from vault.store import KeyStoreMismatch, create_keys, erase_keys, load_data_keys, open_cell, scope

pytestmark = pytest.mark.django_db


def test_each_person_has_a_key_of_their_own():
    first, second = make_user(), make_user()
    keys = load_keys_of_people([first.pk, second.pk])
    assert len({key.id for key in keys.values()}) == 2
    assert load_keys_of_people([first.pk])[first.pk].id == keys[first.pk].id


def test_a_person_of_an_older_release_gets_a_key_when_it_is_needed():
    user = make_user()
    User.objects.filter(pk=user.pk).update(key_id=None)
    (key,) = load_keys_of_people([user.pk]).values()
    user.refresh_from_db()
    assert user.key_id == key.id
    assert open_cell(key.seal(b"text")) == b"text"


def test_a_cell_is_opened_by_its_own_key_only():
    first, second = create_keys(2)
    cell = first.seal(b"secret", b"table")
    assert key_id_of(cell) == first.id
    assert first.open(cell, b"table") == b"secret"
    for wrong in (
        lambda: second.open(cell, b"table"),
        lambda: first.open(cell, b"another"),
        lambda: first.open(cell[:-1] + bytes([cell[-1] ^ 1]), b"table"),
    ):
        with pytest.raises(SealBroken):
            wrong()


def test_an_erased_key_opens_nothing_and_is_logged():
    (key,) = create_keys(1)
    cell = key.seal(b"secret")
    assert erase_keys([key.id]) == 1
    with pytest.raises(KeyErased):
        open_cell(cell)
    assert not DataKey.objects.filter(pk=key.id).exists()
    assert ErasedKey.objects.filter(pk=key.id).exists()
    assert erase_keys([key.id]) == 0


def test_loaded_keys_live_as_long_as_their_scope():
    (key,) = create_keys(1)
    with scope():
        load_data_keys([key.id])
        DataKey.objects.filter(pk=key.id).delete()
        assert load_data_keys([key.id])[key.id].id == key.id
    with pytest.raises(KeyStoreMismatch):
        load_data_keys([key.id])


@pytest.mark.usefixtures("template")
def test_contents_are_sealed_under_the_persons_key(user):
    NotificationService().send(body=send_body(user), caller=SYSTEM)
    notification = Notification.objects.get()
    with connection.cursor() as cursor:
        cursor.execute("SELECT context FROM notifications_notification")
        (cell,) = cursor.fetchone()
    assert key_id_of(bytes(cell)) == User.objects.get(pk=user.pk).key_id
    assert notification.context
    erase_keys([key_id_of(bytes(cell))])
    assert Notification.objects.get(pk=notification.pk).context is None


def test_an_address_has_one_key_in_every_spelling():
    first, second = AddressKey.objects.for_sends(
        [{"email": "Ann@Example.com"}, {"email": "ann@example.com"}]
    )
    assert first.id == second.id


def test_a_send_to_several_addresses_is_found_by_each_of_them():
    (key,) = AddressKey.objects.for_sends([{"email": "ann@example.com", "phone": "+4915112345678"}])
    assert list(AddressKey.objects.values_list("key_id", flat=True)) == [key.id, key.id]
