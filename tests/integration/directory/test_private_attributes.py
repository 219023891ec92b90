"""Sealed attributes, and the lookup of normal forms."""

from __future__ import annotations

import json

import pytest
from django.core.exceptions import FieldError

from directory.importing import import_users
from directory.models import SearchToken, User
from directory.models.search_token import refresh_tokens
from notifications.domain.callers import SYSTEM
from notifications.domain.errors import InvalidRequest
from notifications.features.people.service import UserService
from notifications.features.sealing import service as sealing
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db


def put(user, **record):
    return UserService().upsert(uuid=str(user.uuid), record=record, caller=SYSTEM)[1]


def test_private_attributes_are_sealed_and_merged():
    user = make_user(attributes_private={"iban": "DE77-SECRET"})
    (row,) = User.objects.filter(pk=user.pk).values("attributes", "sealed")
    assert row["attributes"] == {}
    assert b"DE77-SECRET" not in bytes(row["sealed"])

    assert put(user, attributes_private={"note": "x"}).attributes_private == {
        "iban": "DE77-SECRET",
        "note": "x",
    }
    found = User.objects.get(pk=user.pk)
    assert found.attributes_private == {"iban": "DE77-SECRET", "note": "x"}
    found.attributes_private = {}
    found.save(update_fields=["attributes_private"])
    found.refresh_from_db()
    assert (found.attributes_private, found.first_name) == ({}, "Ada")


def test_an_unread_cell_keeps_private_attributes_when_a_name_changes():
    user = make_user(attributes_private={"a": 1})
    found = User.objects.get(pk=user.pk)
    found.first_name = "Grace"
    found.save(update_fields=["first_name"])
    assert User.objects.get(pk=user.pk).attributes_private == {"a": 1}


def test_an_import_writes_private_attributes():
    line = {"external_id": "p-1", "username": "ann", "attributes_private": {"iban": "DE1"}}
    import_users([json.dumps(line)], kind="ndjson")
    assert User.objects.get(external_id="p-1").attributes_private == {"iban": "DE1"}
    import_users([json.dumps({**line, "attributes_private": {"b": 2}})], kind="ndjson")
    assert User.objects.get(external_id="p-1").attributes_private == {"iban": "DE1", "b": 2}


@pytest.mark.parametrize("value", ["a text", [1], {"a": "x" * 16_400}, {"a": "\x00"}])
def test_wrong_private_attributes_are_a_clear_error(value):
    user = make_user()
    with pytest.raises(InvalidRequest) as caught:
        put(user, attributes_private=value)
    assert caught.value.errors[0].path == "attributes_private"


def test_the_merged_attributes_are_bounded_too():
    user = make_user(attributes_private={"a": "x" * 10_000})
    with pytest.raises(InvalidRequest) as caught:
        put(user, attributes_private={"b": "x" * 10_000})
    assert "16,384 bytes" in caught.value.errors[0].detail
    record = {"uuid": str(user.uuid), "attributes_private": {"b": "x" * 10_000}}
    (wrong,) = UserService().upsert_many(records=[(0, record)], caller=SYSTEM).rejected
    assert wrong.code == "invalid_record"


def test_iexact_compares_normal_forms():
    user = make_user(
        username="Ann",
        email="Ann@Example.com",
        first_name="ﬁnn",
        last_name="STRASSE",
        phone_number="+4915112345678",
        telegram_id="99",
    )
    make_user(username="other")
    for name, text in {
        "username": "ANN",
        "email": "ann@EXAMPLE.com",
        "first_name": "Finn",
        "last_name": "straße",
        "phone_number": "+49 151 12345678",
        "telegram_id": "99",
    }.items():
        assert list(User.objects.filter(**{f"{name}__iexact": text})) == [user], name
    assert not User.objects.filter(first_name__iexact="fin").exists()
    assert not User.objects.filter(first_name__iexact="").exists()
    assert User.objects.exclude(username__iexact="ann").count() == 1
    with pytest.raises(FieldError):
        User.objects.filter(email__icontains="ann").exists()


def test_the_tokens_of_an_older_release_are_renewed_by_the_command():
    user = make_user(last_name="Lovelace")
    SearchToken.objects.filter(user_id=user.pk).delete()
    assert not User.objects.filter(last_name__iexact="lovelace").exists()
    sealing.begin_again()
    assert sealing.seal_rows(lambda _: None) == 1
    assert list(User.objects.filter(last_name__iexact="lovelace")) == [user]
    sealing.begin_again()
    assert sealing.seal_rows(lambda _: None) == 0
    assert refresh_tokens([user]) == 0
