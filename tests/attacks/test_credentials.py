"""Credentials: none are there by default, all are long and random, and each is compared whole."""

from __future__ import annotations

import base64
import re

import pytest
from django.contrib.auth import authenticate
from django.test import Client

from directory.models import User
from notifications.features.access.authentication import new_drf_token
from notifications.features.access.throttles import guard_sign_in
from notifications.infra import clock
from notifications.infra.links import LinkKind, sign_link
from notifications.models import ApiKey
from tests.integration.factories import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.once]
LONG = "correct horse battery staple " * 6


def test_a_new_installation_has_no_account() -> None:
    """Migrations make no user, no key and no token."""
    assert not User.objects.exists()
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize("name", ["root", "admin", "sa", "administrator", "test", "guest", "demo"])
def test_no_usual_name_signs_in(client: Client, name: str) -> None:
    for password in (name, "", "admin", "password", "carillon", "123456"):
        assert authenticate(username=name, password=password) is None


@pytest.mark.parametrize(
    "wrong",
    [
        LONG[:72],
        LONG[:-1],
        LONG.strip(),
        LONG + " ",
        LONG.upper(),
        LONG.title(),
        LONG.replace(" ", ""),
    ],
    ids=range(7),
)
def test_a_password_is_compared_whole(wrong: str) -> None:
    user = make_user(username="ada")
    user.set_password(LONG)
    user.save()
    assert authenticate(username="ada", password=LONG) == user
    assert authenticate(username="ada", password=wrong) is None


def test_secrets_have_128_bits() -> None:
    """The random part of each credential, in bits."""
    text = ApiKey.make(name="a", scopes=[])[1].split("_", 3)[3]
    assert len(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))) * 8 >= 128
    token = new_drf_token(make_user())
    assert re.fullmatch(r"[0-9a-f]+", token)
    assert len(token) * 4 >= 128
    tag = sign_link(LinkKind.PREFERENCES, "1", "", "").rpartition(".")[2]
    assert len(base64.urlsafe_b64decode(tag + "=" * (-len(tag) % 4))) * 8 >= 128


def test_no_two_credentials_are_alike() -> None:
    texts = {ApiKey.make(name="a", scopes=[])[1] for _ in range(20)}
    user = make_user()
    tokens = {new_drf_token(user) for _ in range(20)}
    assert (len(texts), len(tokens)) == (20, 20)


def test_the_guard_of_sign_ins_returns_what_the_attempt_found(frozen: object) -> None:
    """A sign-in that failed is none, whatever the attempt returns for it."""
    found = guard_sign_in(lambda: None, address="192.0.2.1", name="ada", now=clock.now())
    assert found is None
