"""Every way in, with a second factor on, with single sign-on enforced, and after a logout.

docs/security/sign_in.md has the same table; a test compares.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from django.test import Client
from rest_framework.test import APIClient

from directory.models import User
from notifications.features.access.authentication import issue_access, new_drf_token
from notifications.features.access.tokens.families import issue_tokens
from notifications.features.signing_in.password_reset import link_of as reset_link_of
from notifications.features.signing_in.password_reset import sealed_address, send_reset_links
from notifications.features.signing_in.sign_on import binding_of
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.models import ApiKey, SignIn, StaffInvitation
from tests.architecture.test_budgets import ROOT
from tests.integration.api.conftest import bearer
from tests.integration.sign_in.conftest import (
    GOOD,
    Factor,
    Passkey,
    by_provider,
    is_signed_in,
    sign_in,
)
from tests.integration.sign_in.provider import Provider
from tests.integration.sign_in.test_invitations import accept, path_of
from tests.integration.sign_in.test_single_sign_on import invitation

pytestmark = pytest.mark.django_db
FACTOR, ENFORCED, LOGOUT = "second factor", "single sign-on enforced", "after logout"
DOOR = "/api/v1/categories"

TABLE: dict[str, dict[str, str]] = {
    "password at `auth/token`": {
        FACTOR: "only with the code",
        ENFORCED: "refused",
        LOGOUT: "its tokens are refused",
    },
    "API key": {FACTOR: "works", ENFORCED: "works", LOGOUT: "works"},
    "token of the command line": {
        FACTOR: "works",
        ENFORCED: "works",
        LOGOUT: "the token is refused",
    },
    "token of the platform": {
        FACTOR: "works",
        ENFORCED: "works",
        LOGOUT: "refused after a logout of everything",
    },
    "session of a password": {
        FACTOR: "only with the code",
        ENFORCED: "refused",
        LOGOUT: "the session is refused",
    },
    "passkey": {FACTOR: "works", ENFORCED: "refused", LOGOUT: "the session is refused"},
    "password, then a passkey": {
        FACTOR: "works",
        ENFORCED: "refused",
        LOGOUT: "the session is refused",
    },
    "password, then a recovery code": {
        FACTOR: "works once",
        ENFORCED: "refused",
        LOGOUT: "the session is refused",
    },
    "`/admin/login/`": {
        FACTOR: "leads to the sign-in page",
        ENFORCED: "leads to the sign-in page",
        LOGOUT: "leads to the sign-in page",
    },
    "single sign-on": {
        FACTOR: "only with the code",
        ENFORCED: "works",
        LOGOUT: "the session is refused",
    },
    "invitation": {
        FACTOR: "only to set a second factor up",
        ENFORCED: "only by the provider",
        LOGOUT: "the link is void",
    },
    "new password by mail": {
        FACTOR: "signs no one in",
        ENFORCED: "no mail, and the link is void",
        LOGOUT: "the link is void",
    },
}
"""What becomes of each way in, in each of three situations."""


class World:
    """A member of staff, whom a situation is about."""

    def __init__(self, user: User, provider: Provider, set_environment: Callable[..., None]):
        self.user, self.provider, self.set = user, provider, set_environment
        self.factor: Factor | None = None

    def enter(self, situation: str) -> None:
        self.set(**self.provider.settings())
        if situation == FACTOR:
            self.factor = Factor(self.user)
            self.set(require_second_factor="staff")
        if situation == ENFORCED:
            self.set(single_sign_on_enforced=True)


@pytest.fixture
def world(author: User, provider: Provider, override_environment: Any) -> World:
    author.email = "ada@example.org"
    author.save()
    uid = binding_of(provider.issuer, "s-1")
    SocialAccount.objects.create(user=author, provider="sso", uid=uid)
    return World(author, provider, override_environment)


def opens(credential: str, scheme: str = "Bearer") -> bool:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"{scheme} {credential}")
    return bool(client.get(DOOR).status_code != 401)


def by_password(world: World, situation: str) -> str:
    def post(**more: str) -> Any:
        body = {"username": "lovelace", "password": GOOD, **more}
        return APIClient().post("/api/v1/auth/token", body)

    if situation == LOGOUT:
        pair = post().data
        bearer(pair["access"]).post("/api/v1/auth/logout", {})
        assert not opens(pair["access"])
        body = {"refresh": pair["refresh"]}
        assert APIClient().post("/api/v1/auth/refresh", body).status_code == 401
        return "its tokens are refused"
    if world.factor is not None:
        assert post().data["code"] == "second_factor_required"
        assert opens(post(code=world.factor.code()).data["access"])
        return "only with the code"
    assert post().data["code"] == "single_sign_on_required"
    return "refused"


def by_key(world: World, situation: str) -> str:
    text = ApiKey.make(name="k", scopes=["notifications:read"], owner_id=world.user.pk)[1]
    if situation == LOGOUT:
        pair = issue_tokens(world.user, now=clock.now())
        bearer(pair.access).post("/api/v1/auth/logout", {"everywhere": True})
    assert opens(text)
    return "works"


def by_token(world: World, situation: str) -> str:
    text = new_drf_token(world.user)
    assert opens(text, "Token")
    if situation != LOGOUT:
        return "works"
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {text}")
    assert client.post("/api/v1/auth/logout", {}).status_code == 200
    assert not opens(text, "Token")
    return "the token is refused"


def by_platform(world: World, situation: str) -> str:
    """The platform signs what this service does, and names no sign-in."""
    token = issue_access(world.user, now=clock.now())
    assert opens(token)
    if situation != LOGOUT:
        return "works"
    refused = bearer(token).post("/api/v1/auth/logout", {})
    assert (refused.status_code, refused.data["code"]) == (409, "no_sign_in")
    bearer(token).post("/api/v1/auth/logout", {"everywhere": True})
    assert not opens(token)
    return "refused after a logout of everything"


def by_session(world: World, situation: str) -> str:
    client = Client()
    sign_in(client)
    if world.factor is not None:
        assert not is_signed_in(client)
        client.post("/account/2fa/authenticate", {"code": world.factor.code()})
        assert is_signed_in(client)
        return "only with the code"
    if situation == ENFORCED:
        assert not is_signed_in(client)
        return "refused"
    return _session_after_logout(client)


def _session_after_logout(client: Client) -> str:
    assert is_signed_in(client)
    copy = Client()
    copy.cookies["sessionid"] = client.cookies["sessionid"].value
    client.post("/account/logout")
    assert not is_signed_in(copy)
    assert copy.get("/admin/").status_code == 302
    return "the session is refused"


def by_passkey(world: World, situation: str) -> str:
    client = Client()
    Passkey(world.user).sign_in(client)
    return _outcome(client, situation)


def by_second_passkey(world: World, situation: str) -> str:
    key, client = Passkey(world.user), Client()
    sign_in(client)
    if situation == ENFORCED:
        return _outcome(client, situation)
    assert not is_signed_in(client)
    client.get("/account/2fa/authenticate")
    client.post("/account/2fa/authenticate", {"credential": key.answer(client)})
    return _outcome(client, situation)


def by_recovery_code(world: World, situation: str) -> str:
    factor = world.factor or Factor(world.user)
    code = factor.recovery.get_unused_codes()[0]
    client, again = Client(), Client()
    for each in (client, again):
        sign_in(each)
        each.post("/account/2fa/authenticate", {"code": code})
    assert not is_signed_in(again)
    found = _outcome(client, situation)
    return "works once" if found == "works" else found


def _outcome(client: Client, situation: str) -> str:
    if situation == LOGOUT:
        return _session_after_logout(client)
    if not is_signed_in(client):
        return "refused"
    assert SignIn.objects.get().second_factor
    return "works"


def by_admin(world: World, situation: str) -> str:
    client = Client()
    if situation == LOGOUT:
        sign_in(client)
        client.post("/account/logout")
    form = {"username": "lovelace", "password": GOOD}
    response = client.post("/admin/login/?next=/admin/", form)
    assert response["Location"].startswith("/account/login")
    assert not is_signed_in(client)
    return "leads to the sign-in page"


def by_single_sign_on(world: World, situation: str) -> str:
    client = Client()
    by_provider(client, world.provider, "s-1")
    if world.factor is not None:
        assert not is_signed_in(client)
        client.post("/account/2fa/authenticate", {"code": world.factor.code()})
        assert is_signed_in(client)
        return "only with the code"
    if situation == ENFORCED:
        assert is_signed_in(client)
        return "works"
    return _session_after_logout(client)


def by_invitation(world: World, situation: str) -> str:
    row: StaffInvitation = invitation()
    path, client = path_of(row), Client()
    response = accept(client, path)
    if situation == FACTOR:
        assert client.get("/account")["Location"] == "/account/2fa"
        return "only to set a second factor up"
    if situation == ENFORCED:
        assert response.status_code == 200
        assert not is_signed_in(client)
        by_provider(client, world.provider, "s-2")
        assert is_signed_in(client)
        return "only by the provider"
    client.post("/account/logout")
    assert client.get(path).status_code == 404
    return "the link is void"


def by_reset(world: World, situation: str) -> str:
    path = reset_link_of(world.user).removeprefix(environment().public_url)
    new = "another horse 7"
    client = Client()
    response = client.post(path, {"password": new, "again": new})
    if situation == ENFORCED:
        assert response.status_code == 404
        assert send_reset_links(sealed_address(world.user.email)) == 0
        return "no mail, and the link is void"
    assert not is_signed_in(client)
    if world.factor is not None:
        sign_in(client, password=new)
        assert not is_signed_in(client)
        return "signs no one in"
    sign_in(client, password=new)
    assert is_signed_in(client)
    client.post("/account/logout")
    assert client.get(path).status_code == 404
    return "the link is void"


WAYS: dict[str, Callable[[World, str], str]] = {
    "password at `auth/token`": by_password,
    "API key": by_key,
    "token of the command line": by_token,
    "token of the platform": by_platform,
    "session of a password": by_session,
    "passkey": by_passkey,
    "password, then a passkey": by_second_passkey,
    "password, then a recovery code": by_recovery_code,
    "`/admin/login/`": by_admin,
    "single sign-on": by_single_sign_on,
    "invitation": by_invitation,
    "new password by mail": by_reset,
}


@pytest.mark.parametrize("situation", [FACTOR, ENFORCED, LOGOUT])
@pytest.mark.parametrize("way", TABLE)
def test_a_way_in(world: World, way: str, situation: str) -> None:
    world.enter(situation)
    assert WAYS[way](world, situation) == TABLE[way][situation]


def test_the_page_has_the_table() -> None:
    page = (ROOT / "docs/security/sign_in.md").read_text(encoding="utf-8")
    lines = [f"| way in | {FACTOR} | {ENFORCED} | {LOGOUT} |", "| --- | --- | --- | --- |"]
    lines += [f"| {way} | {' | '.join(cells.values())} |" for way, cells in TABLE.items()]
    assert "\n".join(lines) in page


def test_a_jwt_of_the_command_line_ends_with_its_person(world: World) -> None:
    token = issue_access(world.user, now=clock.now())
    assert opens(token)
    bearer(token).post("/api/v1/auth/logout", {"everywhere": True})
    assert not opens(token)
