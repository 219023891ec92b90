"""Rotation of the master key, and sealing of rows of an older release."""

from __future__ import annotations

import base64

import pytest
from click.testing import CliRunner
from django.db import connection

from carillon.cli.keys import command
from directory.models import ContactPoint, Device, Suppression, User
from notifications.engine.prepare import prepare
from notifications.engine.runs import keys_of
from notifications.features.operations.health_records import keys_check
from notifications.features.privacy import keys
from notifications.features.sealing.service import rows_left
from notifications.queue import batches
from tests.integration.factories import make_messages, make_user
from vault.master import MasterKeyMissing, read_master_key
from vault.models import DataKey
from vault.store import KeyStoreMismatch, load_data_keys

pytestmark = pytest.mark.django_db
NEW = base64.b64encode(b"n" * 32).decode()


def test_keys_are_wrapped_by_the_new_master_key(settings):
    old = settings.MASTER_KEYS
    people = [make_user() for _ in range(5)]
    ids = [user.key_id for user in people]

    settings.MASTER_KEYS = (NEW, *old)
    assert load_data_keys(ids).keys() == set(ids)
    seen = []
    assert keys.rotate(seen.append) == keys.count_keys() == sum(seen)
    assert keys.rotate(seen.append) == 0

    settings.MASTER_KEYS = (NEW,)
    assert load_data_keys(ids).keys() == set(ids)
    assert User.objects.get(pk=people[0].pk).first_name == "Ada"


def test_a_missing_master_key_is_a_clear_error(settings):
    user = make_user()
    settings.MASTER_KEYS = (NEW,)

    with pytest.raises(MasterKeyMissing, match="CARILLON_OLD_MASTER_KEYS"):
        load_data_keys([user.key_id])
    result = CliRunner().invoke(command, ["rotate"])
    assert result.exit_code == 1
    assert "CARILLON_OLD_MASTER_KEYS" in result.output


@pytest.mark.parametrize("text", ["", "short", base64.b64encode(b"x" * 31).decode(), "é" * 43])
def test_a_master_key_is_32_bytes(text):
    with pytest.raises(ValueError, match="32 bytes"):
        read_master_key(text)


def plain(user: User) -> None:
    """Makes rows readable, as the release before stored them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE directory_user SET sealed = NULL, key_id = NULL, username = %s, email = %s,"
            " first_name = %s WHERE id = %s",
            ["old", "Old@example.org", "Olga", user.pk],
        )
        cursor.execute(
            "UPDATE directory_contactpoint SET sealed = NULL, address = %s, spelling = %s"
            " WHERE user_id = %s AND kind = 'email'",
            ["old@example.org", "Old@example.org", user.pk],
        )
        cursor.execute("UPDATE directory_device SET sealed = NULL, token = 'old-token'")
        cursor.execute(
            "UPDATE directory_suppression SET sealed = NULL, address = 'old@example.org'"
        )
        cursor.execute("DELETE FROM directory_searchtoken")


def columns(table: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")
        return repr(cursor.fetchall())


def test_rows_of_an_older_release_work_and_are_sealed():
    user = make_user(email="new@example.org")
    Device.objects.create(user=user, token="t")
    Suppression.objects.create(kind="email", address="x@example.org")
    plain(user)

    found = User.objects.get(username="old")  # before they are sealed
    assert (found.email, found.first_name) == ("Old@example.org", "Olga")
    assert ContactPoint.objects.get(address="old@example.org").written_to == "Old@example.org"

    result = CliRunner().invoke(command, ["seal", "--all"])
    assert (result.exit_code, rows_left()) == (0, {}), repr(result.exception)

    found = User.objects.get(username="old")
    assert (found.email, found.first_name) == ("Old@example.org", "Olga")
    assert ContactPoint.objects.get(address="old@example.org").written_to == "Old@example.org"
    assert Device.objects.get(token="old-token").token == "old-token"
    assert Suppression.objects.get(address="old@example.org").address == "old@example.org"
    for table in ("directory_user", "directory_contactpoint", "directory_device"):
        text = columns(table)
        assert [word for word in ("old@", "Old@", "Olga", "old-token") if word in text] == []


def test_a_key_that_is_lost_and_not_erased_is_no_erasure(message):
    DataKey.objects.all().delete()  # as with the store of another installation

    assert "key store" in keys_check().reason
    work = prepare("in_app", keys_of(batches.lease(owner="w", lane="default", seconds=60)))
    ((key, _lease, error),) = work.poisoned  # it may become a dead letter, and others are sent
    assert (key, type(error)) == (message.pk, KeyStoreMismatch)
    assert work.outcomes == []


@pytest.fixture
def message():
    (made,) = make_messages(1, channel="in_app", user=make_user())
    return made


def test_health_says_which_master_key_is_missing(settings):
    make_user()
    assert keys_check().status == "healthy"
    settings.MASTER_KEYS = (NEW,)
    assert "CARILLON_OLD_MASTER_KEYS" in keys_check().reason
