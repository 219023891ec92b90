"""Requests at the same time with one code, link or token: it works once, and honest ones pass."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.db import connections
from django.test import Client
from rest_framework.test import APIClient

from directory.models import User
from notifications.features.access.tokens.families import issue_tokens
from notifications.features.signing_in.password_reset import link_of as reset_link_of
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.models import SignIn
from tests.integration.sign_in.conftest import (
    GOOD,
    Factor,
    is_signed_in,
    make_passkey,
    make_staff,
    sign_in,
)
from tests.integration.sign_in.test_invitations import path_of
from tests.integration.sign_in.test_single_sign_on import invitation

pytestmark = pytest.mark.django_db(transaction=True)
AT_ONCE = 3


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Runs calls in threads that begin together; returns what they return, in order."""
    start, found = threading.Barrier(len(calls)), [None] * len(calls)

    def run(number: int) -> None:
        try:
            start.wait()
            found[number] = calls[number]()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    return found


def half_signed_in() -> Client:
    client = Client()
    sign_in(client)
    return client


@pytest.mark.parametrize("kind", ["app", "recovery"])
def test_a_code_signs_in_once(author: User, kind: str) -> None:
    factor = Factor(author)
    code = factor.code() if kind == "app" else factor.recovery.get_unused_codes()[0]
    clients = [half_signed_in() for _ in range(AT_ONCE - 1)]
    form = {"username": "lovelace", "password": GOOD, "code": code}
    by_page = [
        lambda client=each: client.post("/account/2fa/authenticate", {"code": code})
        for each in clients
    ]
    at_once(*by_page, lambda: APIClient().post("/api/v1/auth/token", form))
    assert SignIn.objects.count() == 1


def test_an_invitation_makes_one_account(db: None) -> None:
    path = path_of(invitation())

    def accept(name: str) -> int:
        form = {"username": name, "password": GOOD, "again": GOOD}
        return Client().post(path, form).status_code

    found = at_once(*(lambda name=f"name{n}": accept(name) for n in range(AT_ONCE)))
    assert sorted(found) == [302, 404, 404]
    assert User.objects.filter(staff_role__isnull=False).count() == 1


def test_a_link_to_a_new_password_works_once(author: User) -> None:
    path = reset_link_of(author).removeprefix(environment().public_url)

    def reset(password: str) -> int:
        return Client().post(path, {"password": password, "again": password}).status_code

    words = [f"another horse {number}7" for number in range(AT_ONCE)]
    found = at_once(*(lambda word=word: reset(word) for word in words))
    assert sorted(found) == [302, 404, 404]
    author.refresh_from_db()
    assert author.check_password(words[found.index(302)])


def test_one_person_renews_in_several_tabs(author: User) -> None:
    refresh = issue_tokens(author, now=clock.now()).refresh

    def renew() -> Any:
        return APIClient().post("/api/v1/auth/refresh", {"refresh": refresh})

    found = at_once(*(renew for _ in range(AT_ONCE)))
    assert [each.status_code for each in found] == [200] * AT_ONCE
    row = SignIn.objects.get()
    assert row.generation == 1
    again = APIClient().post("/api/v1/auth/refresh", {"refresh": found[-1].data["refresh"]})
    assert again.status_code == 200


def test_two_removals_leave_a_required_factor(override_environment: Any) -> None:
    user = make_staff("author", username="lovelace")
    keys = [make_passkey(user, name) for name in ("one", "two")]
    clients = []
    for _ in keys:
        Authenticator.objects.update(user=make_staff())  # so that no code is needed here
        clients.append(half_signed_in())
        Authenticator.objects.update(user=user)
    SignIn.objects.update(second_factor=True)
    override_environment(require_second_factor="staff")
    assert all(is_signed_in(each) for each in clients)
    at_once(
        *(
            lambda client=client, key=key: client.post(f"/account/2fa/passkeys/{key.pk}/remove")
            for client, key in zip(clients, keys, strict=True)
        )
    )
    assert Authenticator.objects.count() == 1
