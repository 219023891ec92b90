"""Who reads the database signs in nowhere: tokens and session keys are there as hashes."""

from __future__ import annotations

import importlib
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from click.testing import CliRunner
from django.apps import apps
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from rest_framework.authtoken.models import Token, TokenProxy

from carillon.cli import carillon
from carillon.serving.sessions import SessionStore
from directory.models import User
from notifications.features.access.authentication import (
    Unauthenticated,
    new_drf_token,
    user_of_drf_token,
)
from notifications.infra import clock
from notifications.models import PersonToken
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
ME = "/api/v1/preferences"


def rows_of_all_tables() -> str:
    """Everything that stands in the database, as text."""
    said = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            said.append(repr(cursor.fetchall()))
    return "\n".join(said)


def signs_in(token: str) -> bool:
    return Client(headers={"Authorization": f"Token {token}"}).get(ME).status_code == 200


def test_no_table_holds_a_secret_in_the_clear(client: Client) -> None:
    user = make_user(is_staff=True)
    client.force_login(user)
    secrets = [
        new_drf_token(user),
        Token.objects.create(user=user).key,
        Token.objects.get_or_create(user=user)[0].key,
        TokenProxy.objects.create(user=user).key,
        client.cookies["sessionid"].value,
    ]
    stored = rows_of_all_tables()
    assert [secret for secret in secrets if secret in stored] == []
    assert all(signs_in(token) for token in secrets[:4])  # several a person
    assert client.get("/admin/").status_code == 200


def test_what_stands_in_a_table_signs_no_one_in(client: Client) -> None:
    user = make_user(is_staff=True)
    client.force_login(user)
    new_drf_token(user)
    assert not signs_in(PersonToken.objects.get().key_hash)
    thief = Client(headers={"Cookie": f"sessionid={Session.objects.get().session_key}"})
    assert thief.get("/admin/").status_code == 302


def test_the_command_makes_a_token_more_and_ends_them_all() -> None:
    make_user(username="ada")
    one, two = (
        CliRunner().invoke(carillon, ["token", "ada"], catch_exceptions=False).output.strip()
        for _ in range(2)
    )
    assert one != two
    assert signs_in(one)
    assert signs_in(two)
    assert CliRunner().invoke(carillon, ["token", "ada", "--revoke"]).output == "2 revoked\n"
    assert not signs_in(one)


def test_secrets_of_before_become_hashes_and_stay_good(client: Client) -> None:
    user = make_user(is_staff=True)
    token, key = "f" * 40, "k" * 32
    client.force_login(user)
    old = Session.objects.get()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO authtoken_token (key, user_id, created) VALUES (%s, %s, %s)",
            [token, user.pk, connection.ops.adapt_datetimefield_value(clock.now())],
        )
    Session.objects.create(
        session_key=key, session_data=old.session_data, expire_date=old.expire_date
    )
    change: Any = importlib.import_module("notifications.migrations.0040_hash_secrets")
    for _ in range(2):  # safe to repeat
        change.hash_tokens(apps, None)
        change.hash_sessions(apps, None)
    stored = rows_of_all_tables()
    assert token not in stored
    assert key not in stored
    assert user_of_drf_token(token).pk == user.pk
    # It is in no list of sign-ins, so staff sign in again after the upgrade.
    assert Client(headers={"Cookie": f"sessionid={key}"}).get("/admin/").status_code == 302
    assert client.get("/admin/").status_code == 200


def test_a_session_is_stored_renewed_and_ended_by_its_hash(client: Client) -> None:
    user = make_user(is_staff=True)
    client.force_login(user)
    first = client.cookies["sessionid"].value
    client.force_login(user)
    store = SessionStore(first)
    assert store.exists(first)
    store["seen"] = 1
    store.save()
    assert SessionStore(first)["seen"] == 1
    client.logout()
    assert not Session.objects.exists()
    assert SessionStore(first).load() == {}


def test_a_session_that_is_over_opens_nothing() -> None:
    store = SessionStore()
    store["seen"] = 1
    store.save()
    Session.objects.update(expire_date=clock.now() - timedelta(seconds=1))
    assert SessionStore(store.session_key).load() == {}


def test_sessions_of_asynchronous_code_are_hashed_too() -> None:
    @async_to_sync
    async def visit() -> None:
        store = SessionStore()
        store["seen"] = 1
        await store.asave()
        assert await store.aexists(str(store.session_key))
        assert await SessionStore(store.session_key).aget("seen") == 1
        assert not await Session.objects.filter(session_key=store.session_key).aexists()
        await store.adelete()
        assert not await Session.objects.aexists()

    visit()


def test_a_token_of_no_one_is_refused() -> None:
    with pytest.raises(Unauthenticated):
        user_of_drf_token("unknown")
    assert not User.objects.exists()
