"""Single sign-on against a real provider, which lies where a test says so."""

from __future__ import annotations

import time
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from django.test import Client

from carillon.cli.caller import CALLER
from directory.models import User
from notifications.features.access.staff import StaffService
from notifications.features.signing_in.sign_on import binding_of
from notifications.features.signing_in.sign_on_adapter import role_for
from notifications.infra import clock
from notifications.models import Notification, OperatorAction, SignIn, StaffInvitation
from tests.integration.factories import make_user
from tests.integration.sign_in.conftest import (
    Factor,
    by_provider,
    is_signed_in,
    make_staff,
    sign_in,
)
from tests.integration.sign_in.provider import CLIENT, Provider
from tests.integration.sign_in.test_invitations import path_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def sso(provider: Provider, override_environment: Any) -> Provider:
    override_environment(**provider.settings())
    return provider


def bind(user: User, provider: Provider, subject: str = "s-1") -> None:
    uid = binding_of(provider.issuer, subject)
    SocialAccount.objects.create(user=user, provider="sso", uid=uid)


def invitation(**more: Any) -> StaffInvitation:
    now = clock.now()
    values = {"email": "grace@example.com", "role": "author", "invited_by": "cli", **more}
    return StaffInvitation.objects.create(
        created_at=now, expires_at=now.replace(year=now.year + 1), **values
    )


def test_an_invited_person_is_bound_by_issuer_and_subject(sso: Provider) -> None:
    row = invitation()
    client = Client()
    assert client.get(path_of(row)).status_code == 200
    response = by_provider(client, sso, "s-1", email="else@example.com")

    assert (response.status_code, response["Location"]) == (302, "/account")
    user = User.objects.get(username="grace@example.com")
    assert (user.staff_role, user.has_usable_password()) == ("author", False)
    bound = SocialAccount.objects.get()
    assert bound.user == user
    assert bound.extra_data == {"issuer": sso.issuer, "subject": "s-1"}
    assert SignIn.objects.get().method == "single_sign_on"
    assert Client().get(path_of(row)).status_code == 404

    later = Client()
    by_provider(later, sso, "s-1", email="changed@example.com")
    assert is_signed_in(later)


@pytest.mark.parametrize("verified", [True, False])
def test_an_address_finds_no_account(sso: Provider, author: User, verified: bool) -> None:
    author.email = "ada@example.org"
    author.save()
    client = Client()
    response = by_provider(
        client, sso, "stranger", email="ada@example.org", email_verified=verified
    )
    assert response.status_code == 401
    assert not is_signed_in(client)
    assert not SocialAccount.objects.exists()
    assert User.objects.count() == 1


def test_another_subject_with_the_same_address_is_another_person(
    sso: Provider, author: User
) -> None:
    bind(author, sso, "s-1")
    client = Client()
    by_provider(client, sso, "s-2", email=author.email, email_verified=True)
    assert not is_signed_in(client)


def test_the_same_subject_of_another_issuer_is_another_person(sso: Provider, author: User) -> None:
    SocialAccount.objects.create(
        user=author, provider="sso", uid=binding_of("https://other.example", "s-1")
    )
    client = Client()
    by_provider(client, sso, "s-1")
    assert not is_signed_in(client)


LIES: dict[str, dict[str, Any]] = {
    "another nonce": {"nonce": "planted"},
    "no nonce": {"nonce": None},
    "another issuer": {"iss": "https://evil.example"},
    "another audience": {"aud": "another-client"},
    "several audiences without azp": {"aud": [CLIENT, "other"]},
    "another authorized party": {"azp": "other"},
    "expired": {"exp": 1_000},
    "no expiry": {"exp": None},
    "expiry is text": {"exp": "soon"},
    "issued later": {"iat": int(time.time()) + 86_400},
    "no subject": {"sub": None},
    "another subject than the details": {"sub": "s-2"},
    "a subject that is no text": {"sub": 7},
    "an endless subject": {"sub": "x" * 300},
    "another key": {"_key": "other"},
    "unsigned": {"_algorithm": "none"},
    "signed with a shared secret": {"_algorithm": "HS256"},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_signs_in_no_one(sso: Provider, author: User, lie: str) -> None:
    bind(author, sso, "s-1")
    sso.lie = LIES[lie]
    client = Client()
    response = by_provider(client, sso, "s-1")
    assert response.status_code == 401, response.content
    assert not is_signed_in(client)
    assert not SignIn.objects.exists()


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"token_endpoint": "http://127.0.0.2:9/token"},
        {"jwks_uri": "http://[::1]:9/jwks"},
        {"authorization_endpoint": None},
    ],
)
def test_a_document_that_leads_elsewhere_is_refused(
    sso: Provider, author: User, document: dict[str, Any]
) -> None:
    bind(author, sso, "s-1")
    sso.document = document
    client = Client()
    there = client.get("/account/oidc/sso/login")
    if there.status_code == 302 and there["Location"].startswith(sso.issuer):
        back = client.get(sso.authorize(there["Location"], "s-1"))
        assert back.status_code == 401
    assert not is_signed_in(client)


def test_a_way_back_without_its_way_there_is_refused(sso: Provider, author: User) -> None:
    """Another browser's code and state: the session has no such state."""
    bind(author, sso, "s-1")
    victim, attacker = Client(), Client()
    there = attacker.get("/account/oidc/sso/login")
    path = sso.authorize(there["Location"], "s-1")
    assert victim.get(path).status_code == 401
    assert not is_signed_in(victim)
    assert attacker.get(path).status_code == 302
    assert attacker.get(path).status_code in (302, 401)  # it was used


def test_another_site_does_not_begin_it(sso: Provider) -> None:
    response = Client().get("/account/oidc/sso/login", headers={"Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 200


def test_without_settings_there_is_no_such_page(db: None) -> None:
    assert Client().get("/account/oidc/sso/login").status_code == 404
    assert Client().get("/account/oidc/other/callback").status_code == 404


def test_a_provider_that_is_away_is_an_error_page(
    provider: Provider, override_environment: Any
) -> None:
    override_environment(**provider.settings())
    provider.close()
    assert Client().get("/account/oidc/sso/login").status_code == 401


class TestRoles:
    PAIRS = ("notify-admins=admin", "marketing=author", "a=b=analyst")

    @pytest.mark.parametrize(
        ("values", "role"),
        [
            (["marketing"], "author"),
            (["marketing", "notify-admins"], "admin"),
            (["a=b"], "analyst"),
            (["others"], None),
            ([], None),
        ],
    )
    def test_the_role_with_the_most_rights_counts(self, values: list[str], role: str) -> None:
        assert role_for(self.PAIRS, values) == role

    def test_the_provider_sets_the_role_at_each_sign_in(
        self, provider: Provider, override_environment: Any
    ) -> None:
        override_environment(**provider.settings(oidc_roles=self.PAIRS))
        user = make_staff("analyst")
        make_staff("admin")
        bind(user, provider)
        for groups, role in ((["marketing"], "author"), ("notify-admins", "admin")):
            client = Client()
            by_provider(client, provider, "s-1", groups=groups)
            assert is_signed_in(client)
            user.refresh_from_db()
            assert user.staff_role == role
        client = Client()
        assert by_provider(client, provider, "s-1", groups=["others"]).status_code == 401
        assert not is_signed_in(client)
        assert OperatorAction.objects.filter(action="staff.role").count() == 2

    def test_the_last_admin_stays_one(self, provider: Provider, override_environment: Any) -> None:
        override_environment(**provider.settings(oidc_roles=self.PAIRS))
        user = make_staff("admin")
        make_staff("admin", is_active=False)
        bind(user, provider)
        client = Client()
        assert by_provider(client, provider, "s-1", groups=["marketing"]).status_code == 409
        assert not is_signed_in(client)
        user.refresh_from_db()
        assert user.staff_role == "admin"
        assert not OperatorAction.objects.filter(action="staff.role").exists()
        make_staff("admin")
        by_provider(client, provider, "s-1", groups=["marketing"])
        user.refresh_from_db()
        assert (user.staff_role, is_signed_in(client)) == ("author", True)

    def test_a_membership_that_ended_here_does_not_begin_again_there(
        self, provider: Provider, override_environment: Any
    ) -> None:
        """Its groups are gone, so it would come back without their limits."""
        override_environment(**provider.settings(oidc_roles=self.PAIRS))
        user = make_staff("author")
        bind(user, provider)
        StaffService().set_role(identifier=user.pk, role=None, caller=CALLER)
        client = Client()
        assert by_provider(client, provider, "s-1", groups=["marketing"]).status_code == 401
        assert not is_signed_in(client)
        user.refresh_from_db()
        assert user.staff_role is None

    def test_it_does_not_change_a_break_glass_account(
        self, provider: Provider, override_environment: Any
    ) -> None:
        override_environment(**provider.settings(oidc_roles=self.PAIRS))
        user = make_staff("admin", break_glass=True)
        make_staff("admin")
        bind(user, provider)
        by_provider(Client(), provider, "s-1", groups=["marketing"])
        user.refresh_from_db()
        assert (user.staff_role, user.break_glass) == ("admin", True)


class TestEnforced:
    @pytest.fixture(autouse=True)
    def _enforced(self, provider: Provider, override_environment: Any) -> None:
        override_environment(**provider.settings(single_sign_on_enforced=True))

    def test_passwords_are_refused_like_wrong_ones(self, author: User) -> None:
        client = Client()
        assert sign_in(client).status_code == 200
        assert not is_signed_in(client)

    def test_a_session_by_password_ends(
        self, author: User, provider: Provider, override_environment: Any
    ) -> None:
        override_environment(single_sign_on_enforced=False)
        client = Client()
        sign_in(client)
        assert is_signed_in(client)
        override_environment(single_sign_on_enforced=True)
        assert not is_signed_in(client)

    def test_a_break_glass_account_gets_in_and_all_admins_learn_of_it(
        self, author: User, admin: User
    ) -> None:
        second = make_staff("admin", username="glass")
        User.objects.filter(pk=second.pk).update(break_glass=True)
        client = Client()
        sign_in(client, "glass")
        assert is_signed_in(client)
        assert OperatorAction.objects.filter(action="sign-in.break_glass").count() == 1
        assert Notification.objects.count() == 2  # to the two admins

    def test_a_second_factor_is_still_needed(self, author: User, provider: Provider) -> None:
        bind(author, provider)
        factor = Factor(author)
        client = Client()
        assert by_provider(client, provider, "s-1")["Location"] == "/account/2fa/authenticate"
        assert not is_signed_in(client)
        client.post("/account/2fa/authenticate", {"code": factor.code()})
        assert is_signed_in(client)
        assert SignIn.objects.get().method == "single_sign_on"

    @pytest.mark.parametrize(("amr", "is_held"), [(["pwd", "mfa"], False), (["pwd"], True)])
    def test_a_required_second_factor_may_be_the_providers(
        self,
        author: User,
        provider: Provider,
        override_environment: Any,
        amr: list[str],
        is_held: bool,
    ) -> None:
        override_environment(require_second_factor="staff")
        bind(author, provider)
        client = Client()
        by_provider(client, provider, "s-1", amr=amr)
        assert (client.get("/account").get("Location") == "/account/2fa") is is_held
        if is_held:
            assert client.get("/account/2fa/totp/activate").status_code == 200


def test_a_recipient_cannot_be_bound(sso: Provider) -> None:
    bind(make_user(), sso)
    client = Client()
    assert by_provider(client, sso, "s-1").status_code in (401, 403)
    assert not is_signed_in(client)


def test_a_signed_in_person_connects_and_disconnects(sso: Provider, author: User) -> None:
    client = Client()
    sign_in(client)
    there = client.get("/account/oidc/sso/login?process=connect")
    client.get(sso.authorize(there["Location"], "s-9"))
    bound = SocialAccount.objects.get()
    assert bound.user == author
    assert client.get("/account/bindings").status_code == 200
    client.post("/account/bindings", {"account": bound.pk})
    assert not SocialAccount.objects.exists()
    assert {"account.bound", "account.unbound"} <= set(
        OperatorAction.objects.values_list("action", flat=True)
    )
