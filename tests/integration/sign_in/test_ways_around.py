"""Ways around a second factor, single sign-on, or an ended sign-in, each of which stays closed."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.db import IntegrityError, transaction
from django.test import Client
from rest_framework.test import APIClient

from directory.models import User
from notifications.features.access.callers import CACHE
from notifications.features.access.sign_in.sign_ins import end_everything
from notifications.features.access.tokens.families import issue_tokens
from notifications.features.restoring.access import end_access
from notifications.features.signing_in.sign_on import binding_of
from notifications.infra import clock
from notifications.models import InstallationState, Notification, SignIn, StaffInvitation
from tests.integration.api.conftest import *  # noqa: F403 -- its clients are fixtures here
from tests.integration.api.conftest import bearer
from tests.integration.sign_in.conftest import (
    GOOD,
    Factor,
    by_provider,
    is_signed_in,
    make_passkey,
    make_staff,
    sign_in,
)
from tests.integration.sign_in.provider import Provider
from tests.integration.sign_in.test_invitations import accept, path_of
from tests.integration.sign_in.test_single_sign_on import bind, invitation

pytestmark = pytest.mark.django_db
DOOR = "/api/v1/categories"


def opens(token: str) -> bool:
    return bool(bearer(token).get(DOOR).status_code != 401)


def by_api(name: str = "lovelace", **more: str) -> Any:
    body = {"username": name, "password": GOOD, **more}
    return APIClient().post("/api/v1/auth/token", body)


def by_code(client: Client, code: str) -> int:
    return client.post("/account/2fa/authenticate", {"code": code}).status_code


class TestGuessedCodes:
    """Who knows the password guesses the code of the second factor."""

    def test_a_right_password_forgives_no_wrong_code(self, author: User, frozen: Any) -> None:
        Factor(author)
        found = []
        for _ in range(6):
            found.append(by_api(code="000000").status_code)
            by_api()  # the right password, without a code
        assert 429 in found

    def test_a_sign_in_on_the_page_forgives_no_wrong_code_of_the_api(
        self, author: User, frozen: Any
    ) -> None:
        Factor(author)
        found = []
        for _ in range(6):
            found.append(by_api(code="000000").status_code)
            sign_in(Client())
        assert 429 in found

    def test_another_account_forgives_no_wrong_code(self, author: User, frozen: Any) -> None:
        """Its name is that under which codes of the other person are counted."""
        Factor(author)
        make_staff(username=f"user:{author.pk}")
        client = Client()
        sign_in(client)
        found = []
        for _ in range(6):
            found.append(by_code(client, "000000"))
            by_api(f"user:{author.pk}")
        assert 429 in found

    def test_codes_are_counted_over_all_addresses(self, author: User, frozen: Any) -> None:
        factor = Factor(author)
        found = []
        for number in range(12):
            client = Client(REMOTE_ADDR=f"198.51.100.{number}")
            sign_in(client)
            found.append(by_code(client, "000000"))
        assert found.count(429) >= 6
        frozen.forward(900)
        client = Client(REMOTE_ADDR="192.0.2.1")
        sign_in(client)
        assert by_code(client, factor.code()) == 302

    def test_codes_of_both_ways_are_counted_together(self, author: User, frozen: Any) -> None:
        Factor(author)
        client = Client()
        sign_in(client)
        found = [by_code(client, "000000") for _ in range(2)]
        found += [by_api(code="000000").status_code for _ in range(2)]
        assert found == [200, 200, 401, 429]


class TestRequiredFactors:
    def test_the_last_passkey_stays(self, author: User, override_environment: Any) -> None:
        override_environment(require_second_factor="staff")
        client = Client()
        sign_in(client)
        SignIn.objects.update(second_factor=True)
        key = make_passkey(author)
        response = client.post(f"/account/2fa/passkeys/{key.pk}/remove")
        assert response.status_code in (200, 302, 403, 409)
        assert Authenticator.objects.filter(pk=key.pk).exists()

    def test_one_of_two_passkeys_goes(self, author: User, override_environment: Any) -> None:
        override_environment(require_second_factor="staff")
        client = Client()
        sign_in(client)
        SignIn.objects.update(second_factor=True)
        first, second = make_passkey(author), make_passkey(author)
        for key in (first, second):
            client.post(f"/account/2fa/passkeys/{key.pk}/remove")
        assert list(Authenticator.objects.all()) == [second]

    @pytest.mark.parametrize("change", ["required of all", "became an admin"])
    def test_tokens_without_one_end_when_it_is_required(
        self, author: User, override_environment: Any, change: str
    ) -> None:
        override_environment(require_second_factor="admins")
        pair = issue_tokens(author, now=clock.now())
        assert opens(pair.access)
        if change == "became an admin":
            User.objects.filter(pk=author.pk).update(staff_role="admin")
        else:
            override_environment(require_second_factor="staff")
        _forget()
        assert not opens(pair.access)
        body = {"refresh": pair.refresh}
        assert APIClient().post("/api/v1/auth/refresh", body).status_code == 401

    def test_tokens_with_one_go_on(self, author: User, override_environment: Any) -> None:
        pair = issue_tokens(author, now=clock.now(), second_factor=True)
        override_environment(require_second_factor="staff")
        assert opens(pair.access)
        body = {"refresh": pair.refresh}
        assert APIClient().post("/api/v1/auth/refresh", body).status_code == 200


def _forget() -> None:
    """Does what a second does: callers are read again."""
    CACHE.clear()


class TestSingleSignOn:
    def test_access_tokens_of_a_password_end_when_it_is_enforced(
        self, author: User, override_environment: Any
    ) -> None:
        pair = issue_tokens(author, now=clock.now())
        assert opens(pair.access)
        override_environment(single_sign_on_enforced=True)
        _forget()
        assert not opens(pair.access)

    def test_a_role_that_was_taken_is_not_given_back(
        self, provider: Provider, override_environment: Any
    ) -> None:
        override_environment(**provider.settings(oidc_roles=("marketing=author",)))
        left = make_staff("author")
        bind(left, provider)
        User.objects.filter(pk=left.pk).update(staff_role=None)
        client = Client()
        assert by_provider(client, provider, "s-1", groups=["marketing"]).status_code == 401
        left.refresh_from_db()
        assert left.staff_role is None

    @pytest.mark.parametrize(
        "document", [[], "text", 7, None, {"issuer": []}, {"issuer": {}}, [[[]]], {}]
    )
    def test_a_document_of_another_shape_is_an_error_page(
        self, provider: Provider, override_environment: Any, document: Any, author: User
    ) -> None:
        override_environment(**provider.settings())
        bind(author, provider)
        provider.whole["/.well-known/openid-configuration"] = document
        assert Client().get("/account/oidc/sso/login").status_code == 401

    @pytest.mark.parametrize("path", ["/jwks", "/token", "/userinfo"])
    @pytest.mark.parametrize(
        "document",
        [
            [],
            "text",
            7,
            None,
            {},
            {"keys": 7},
            {"keys": [7]},
            {"keys": [{"kty": 1}]},
            {"sub": []},
            {"access_token": 7, "id_token": "a.b.c"},
            {"access_token": "t", "id_token": []},
            {"access_token": "t", "id_token": "e30.e30.e30"},
            {"access_token": "t", "id_token": "W10.W10.W10"},
        ],
    )
    def test_an_answer_of_another_shape_is_an_error_page(
        self,
        provider: Provider,
        override_environment: Any,
        path: str,
        document: Any,
        author: User,
    ) -> None:
        override_environment(**provider.settings())
        bind(author, provider)
        client = Client()
        there = client.get("/account/oidc/sso/login")
        back = provider.authorize(there["Location"], "s-1")
        provider.whole[path] = document
        assert client.get(back).status_code == 401
        assert not is_signed_in(client)


class TestHalfASignIn:
    """The password was right, and the code of the second factor is still to come."""

    @pytest.mark.parametrize("change", ["password", "everything ended", "inactive", "no role"])
    def test_it_ends_with_what_ends_sign_ins(self, author: User, change: str) -> None:
        factor = Factor(author)
        client = Client()
        sign_in(client)
        if change == "password":
            author.refresh_from_db()
            author.set_password("another horse 7")
            author.save()
        elif change == "everything ended":
            end_everything(author, now=clock.now())
        elif change == "inactive":
            User.objects.filter(pk=author.pk).update(is_active=False)
        else:
            User.objects.filter(pk=author.pk).update(staff_role=None)
        by_code(client, factor.code())
        assert not is_signed_in(client)
        assert not SignIn.objects.exists()

    def test_it_ends_with_enforced_single_sign_on(
        self, author: User, override_environment: Any
    ) -> None:
        factor = Factor(author)
        client = Client()
        sign_in(client)
        override_environment(single_sign_on_enforced=True)
        by_code(client, factor.code())
        assert not SignIn.objects.exists()


class TestInvitations:
    @pytest.mark.parametrize("change", [{"is_active": False}, {"staff_role": None}])
    def test_one_of_a_member_who_left_is_void(self, author: User, change: dict[str, Any]) -> None:
        row = invitation(user=author)
        User.objects.filter(pk=author.pk).update(**change)
        client = Client()
        assert client.get(path_of(row)).status_code == 404
        assert accept(client, path_of(row), password="another horse 7").status_code == 404
        author.refresh_from_db()
        assert author.check_password(GOOD)

    def test_a_member_learns_that_one_replaced_their_password(self, author: User) -> None:
        author.email = "ada@example.org"
        author.save()
        row = invitation(user=author, email="else@example.org")
        new = "another horse 7"
        accept(Client(), path_of(row), password=new, again=new)
        assert Notification.objects.count() == 1


class TestRestores:
    def test_an_open_invitation_ends(self, db: None) -> None:
        row = invitation()
        end_access()
        assert Client().get(path_of(row)).status_code == 404
        assert not StaffInvitation.objects.exists()

    def test_a_refresh_token_from_before_opens_no_later_family(self, author: User) -> None:
        """A restored sequence gives the same number to another sign-in of the same person."""
        before = issue_tokens(author, now=clock.now()).refresh
        number = SignIn.objects.get().pk
        end_access()
        InstallationState.objects.settle(at=clock.now(), backup_at=None)
        later = issue_tokens(author, now=clock.now())
        SignIn.objects.update(id=number)
        response = APIClient().post("/api/v1/auth/refresh", {"refresh": before})
        assert response.data["code"] == "invalid_token"
        assert later.access


@pytest.mark.parametrize(
    "credential",
    [
        "",
        "x",
        "7",
        "[]",
        "null",
        "{}",
        '{"response": []}',
        '{"id": 7, "rawId": 7, "type": "public-key", "response": {}}',
        '{"id": "AA", "rawId": "AA", "type": "public-key", "response": {"userHandle": 7}}',
        '{"id": "AA", "rawId": "AA", "type": "public-key", "response": {"clientDataJSON": "AA",'
        ' "authenticatorData": "AA", "signature": "AA", "userHandle": "AA"}}',
        '{"id": "AA", "rawId": "AA", "type": "public-key", "response": {"clientDataJSON": "e30",'
        ' "authenticatorData": "AA", "signature": "AA", "userHandle": "AA"}}',
        '{"id": "AA", "rawId": "AA", "type": "public-key", "response": {"clientDataJSON": "e30",'
        f' "authenticatorData": "{"A" * 50}", "signature": "AA", "userHandle": "enp6enp6enp6"}}}}',
        "{" * 2000,
        "[" * 20000,
    ],
)
@pytest.mark.parametrize("where", ["login", "second factor", "reauthenticate", "add"])
def test_a_made_up_passkey_is_refused_without_an_error(
    author: User, credential: str, where: str
) -> None:
    client = Client()
    path = "/account/2fa/passkeys/login"
    if where == "second factor":
        Factor(author)
        sign_in(client)
        path = "/account/2fa/authenticate"
        client.get(path)
    elif where == "login":
        client.get(path, headers={"Accept": "application/json"})
    else:
        sign_in(client)
        Factor(author)
        path = f"/account/2fa/passkeys/{where}"
        client.get(path)
    response = client.post(path, {"credential": credential, "name": "x"})
    assert response.status_code in (200, 302, 400, 403, 413)
    assert where in ("reauthenticate", "add") or not is_signed_in(client)


@pytest.mark.parametrize("generation", [0, 1, 10**30, -1])
def test_a_foreign_generation_of_a_refresh_token_is_no_error(author: User, generation: int) -> None:
    pair = issue_tokens(author, now=clock.now())
    claims = jwt.decode(pair.refresh, options={"verify_signature": False})
    forged = jwt.encode({**claims, "generation": generation}, settings.JWT_SECRET, "HS256")
    status = APIClient().post("/api/v1/auth/refresh", {"refresh": forged}).status_code
    assert status == (200 if generation == 0 else 401)


def test_a_binding_is_of_one_person(author: User, admin: User, provider: Provider) -> None:
    uid = binding_of(provider.issuer, "s-1")
    SocialAccount.objects.create(user=author, provider="sso", uid=uid)
    with pytest.raises(IntegrityError), transaction.atomic():
        SocialAccount.objects.create(user=admin, provider="sso", uid=uid)
