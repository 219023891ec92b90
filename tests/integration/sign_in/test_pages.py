"""The pages of staff: who gets in, with what, and for how long."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import allauth
import pytest
from allauth.mfa.models import Authenticator
from django.contrib.sessions.models import Session
from django.test import Client

from directory.models import User
from notifications.infra import clock
from notifications.infra.session_keys import stored_key
from notifications.models import AuditQueued, OperatorAction, PersonToken, SignIn
from notifications.rendering.texts.sign_in_texts import event_text
from notifications.web.account.urls import urlpatterns
from tests.integration.factories import make_user
from tests.integration.sign_in.conftest import (
    GOOD,
    Factor,
    code_of,
    is_signed_in,
    make_passkey,
    make_staff,
    sign_in,
)

pytestmark = pytest.mark.django_db


def actions() -> list[str]:
    return list(OperatorAction.objects.order_by("pk").values_list("action", flat=True))


class TestPasswords:
    def test_a_member_of_staff_signs_in_and_the_session_is_a_row(self, author: User) -> None:
        client = Client(REMOTE_ADDR="192.0.2.9", HTTP_USER_AGENT="A browser\x00")
        response = sign_in(client)

        assert (response.status_code, response["Location"]) == (302, "/account")
        row = SignIn.objects.get()
        assert (row.user, row.kind, row.method) == (author, "session", "password")
        assert (row.address, row.agent, row.second_factor) == ("192.0.2.9", "A browser", False)
        assert is_signed_in(client)
        assert "sign-in.began" in actions()

    @pytest.mark.parametrize("case", ["unknown", "wrong password", "recipient", "inactive", "NUL"])
    def test_all_others_get_the_same_answer(self, author: User, case: str) -> None:
        recipient = make_user(username="student")
        recipient.set_password(GOOD)
        recipient.save()
        make_staff(username="idle", is_active=False)
        name, password = {
            "unknown": ("nemo", GOOD),
            "wrong password": ("lovelace", "wrong horse 9"),
            "recipient": ("student", GOOD),
            "inactive": ("idle", GOOD),
            "NUL": ("a\x00", GOOD),
        }[case]
        client = Client()
        response = sign_in(client, name, password)

        assert response.status_code == 200
        assert not is_signed_in(client)
        assert not SignIn.objects.exists()

    def test_the_keys_of_sessions_change_at_each_step(self, author: User) -> None:
        factor = Factor(author)
        client = Client()
        client.get("/account/login")
        session = client.session
        session["planted"] = True
        session.save()
        client.cookies["sessionid"] = session.session_key
        planted = session.session_key

        sign_in(client)
        between = client.cookies["sessionid"].value
        client.post("/account/2fa/authenticate", {"code": factor.code()})
        at_last = client.cookies["sessionid"].value

        assert len({planted, between, at_last}) == 3
        assert is_signed_in(client)
        for old in (planted, between):
            copy = Client()
            copy.cookies["sessionid"] = old
            assert not is_signed_in(copy)

    def test_it_leads_only_to_pages_of_this_service(self, author: User) -> None:
        for target in (
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "javascript:1",
        ):
            response = sign_in(Client(), next=target)
            assert response["Location"] == "/account", target
        assert sign_in(Client(), next="/admin/")["Location"] == "/admin/"

    def test_the_pages_need_a_token_against_forgery(self, author: User) -> None:
        client = Client(enforce_csrf_checks=True)
        assert sign_in(client).status_code == 403


class TestSecondFactors:
    def test_a_code_is_needed_and_works_once(self, author: User) -> None:
        factor = Factor(author)
        client = Client()
        assert sign_in(client)["Location"] == "/account/2fa/authenticate"
        assert not is_signed_in(client)
        assert client.post("/account/2fa/authenticate", {"code": "000000"}).status_code == 200
        code = factor.code()
        assert client.post("/account/2fa/authenticate", {"code": code}).status_code == 302
        assert is_signed_in(client)
        assert SignIn.objects.get().second_factor

        other = Client()
        sign_in(other)
        assert other.post("/account/2fa/authenticate", {"code": code}).status_code == 200
        assert not is_signed_in(other)

    def test_a_recovery_code_replaces_it_once(self, author: User) -> None:
        code = Factor(author).recovery.get_unused_codes()[0]
        for expected in (True, False):
            client = Client()
            sign_in(client)
            client.post("/account/2fa/authenticate", {"code": code})
            assert is_signed_in(client) is expected

    def test_wrong_codes_wait_like_wrong_passwords(self, author: User, frozen: Any) -> None:
        Factor(author)
        client = Client()
        sign_in(client)
        answers = [client.post("/account/2fa/authenticate", {"code": "000000"}) for _ in range(4)]

        assert [each.status_code for each in answers] == [200, 200, 200, 429]
        assert int(answers[-1]["Retry-After"]) > 0

    def test_secrets_are_sealed(self, author: User) -> None:
        factor = Factor(author)
        data = Authenticator.objects.get(user=author, type="totp").data
        assert factor.secret not in str(data)

    @pytest.mark.django_db(transaction=True)
    def test_one_is_set_up_on_the_page_and_codes_are_shown_once(self, author: User) -> None:
        client = Client()
        sign_in(client)
        page = client.get("/account/2fa/totp/activate")
        assert b"data:image/svg+xml;base64," in page.content
        secret = client.session["mfa.totp.secret"]
        before = client.cookies["sessionid"].value
        done = client.post("/account/2fa/totp/activate", {"code": code_of(secret)})

        assert done["Location"] == "/account/2fa/codes"
        assert client.cookies["sessionid"].value != before
        assert SignIn.objects.get().second_factor
        first, second = (client.get("/account/2fa/codes").content.decode() for _ in range(2))
        codes = Authenticator.objects.get(user=author, type="recovery_codes").wrap()
        assert codes.get_unused_codes()[0] in first
        assert codes.get_unused_codes()[0] not in second
        assert "account.factor_added" in actions()

    @pytest.mark.parametrize(
        ("whom", "role", "is_held"),
        [
            ("off", "admin", False),
            ("admins", "admin", True),
            ("admins", "author", False),
            ("staff", "author", True),
        ],
    )
    def test_without_a_required_one_a_session_can_only_set_one_up(
        self, override_environment: Any, whom: str, role: str, is_held: bool
    ) -> None:
        override_environment(require_second_factor=whom)
        make_staff(role, username="newcomer")
        client = Client()
        sign_in(client, "newcomer")
        for path in ("/account", "/admin/", "/account/password"):
            response = client.get(path)
            assert (response.get("Location") == "/account/2fa") is is_held, path
        token = client.post("/account/token")
        assert (token.status_code == 302) is is_held
        assert client.get("/account/2fa").status_code == 200

    def test_the_last_required_one_stays(self, author: User, override_environment: Any) -> None:
        override_environment(require_second_factor="staff")
        factor = Factor(author)
        client = Client()
        sign_in(client)
        client.post("/account/2fa/authenticate", {"code": factor.code()})
        client.post("/account/2fa/totp/deactivate", {})
        assert Authenticator.objects.filter(user=author, type="totp").exists()


class TestSessions:
    def test_a_logout_ends_the_session_at_once(self, author: User) -> None:
        client = Client()
        sign_in(client)
        copy = Client()
        copy.cookies["sessionid"] = client.cookies["sessionid"].value
        assert is_signed_in(copy)
        client.post("/account/logout")

        assert not is_signed_in(copy)
        assert not SignIn.objects.exists()
        assert "sign-in.ended" in actions()

    def test_one_of_several_is_ended_from_the_page(self, author: User) -> None:
        client, lost = Client(), Client()
        sign_in(client)
        sign_in(lost)
        row = SignIn.objects.get(session_key=stored_key(lost.cookies["sessionid"].value))
        client.post(f"/account/sign-ins/{row.pk}/end")

        assert is_signed_in(client)
        assert not is_signed_in(lost)
        assert not Session.objects.filter(pk=row.session_key).exists()

    def test_another_persons_session_cannot_be_ended_from_the_page(
        self, author: User, admin: User
    ) -> None:
        theirs, own = Client(), Client()
        sign_in(theirs, "hopper")
        sign_in(own)
        row = SignIn.objects.get(user=admin)
        assert own.post(f"/account/sign-ins/{row.pk}/end").status_code == 404
        assert is_signed_in(theirs)

    def test_it_ends_without_use_and_at_its_age(
        self, author: User, override_environment: Any
    ) -> None:
        override_environment(session_idle_minutes=30, session_hours=2)
        client = Client()
        sign_in(client)
        row = SignIn.objects.get()
        SignIn.objects.update(seen_at=row.seen_at - timedelta(minutes=34))
        assert is_signed_in(client)
        SignIn.objects.update(seen_at=row.seen_at - timedelta(minutes=36))
        assert not is_signed_in(client)

        sign_in(client)
        assert SignIn.objects.get().expires_at - clock.now() <= timedelta(hours=2)
        SignIn.objects.update(expires_at=clock.now())
        assert not is_signed_in(client)

    def test_live_figures_are_no_use_of_it(self, author: User, override_environment: Any) -> None:
        override_environment(session_idle_minutes=30, session_hours=2)
        client = Client()
        sign_in(client)
        SignIn.objects.update(seen_at=clock.now() - timedelta(minutes=20))
        before = SignIn.objects.get().seen_at
        assert client.get("/console/figures").status_code == 200
        assert SignIn.objects.get().seen_at == before
        assert client.get("/console").status_code == 200
        assert SignIn.objects.get().seen_at > before

    @pytest.mark.parametrize("change", ["inactive", "no role", "password"])
    def test_it_ends_with_what_it_was_begun_with(self, author: User, change: str) -> None:
        client = Client()
        sign_in(client)
        if change == "inactive":
            author.is_active = False
        elif change == "no role":
            author.staff_role = None
        else:
            author.set_password("another horse 7")
        author.save()
        assert not is_signed_in(client)
        assert client.get("/admin/").status_code == 302

    def test_a_new_password_ends_everything(self, author: User) -> None:
        client, other = Client(), Client()
        sign_in(client)
        sign_in(other)
        PersonToken.objects.create(user=author, key_hash="x")
        new = "another horse 7"
        form = {"oldpassword": GOOD, "password1": new, "password2": new}
        assert client.post("/account/password", form).status_code == 302

        assert not is_signed_in(client)
        assert not is_signed_in(other)
        assert not SignIn.objects.exists()
        assert not PersonToken.objects.exists()
        author.refresh_from_db()
        assert author.tokens_not_before is not None
        assert "account.password" in actions()
        assert is_signed_in_after(new)

    def test_the_admin_has_no_page_of_its_own(self, author: User) -> None:
        client = Client()
        assert client.get("/admin/")["Location"].startswith("/admin/login/")
        response = client.get("/admin/login/?next=/outbox")
        assert response["Location"] == "/account/login?next=%2Foutbox"
        hostile = client.get("/admin/login/?next=https://evil.example/")
        assert "evil" not in hostile["Location"]
        client.post("/admin/login/", {"username": "lovelace", "password": GOOD})
        assert not is_signed_in(client)
        assert client.get("/admin/password_change/")["Location"] == "/account/password"


def is_signed_in_after(password: str) -> bool:
    client = Client()
    sign_in(client, password=password)
    return is_signed_in(client)


def test_a_sign_in_is_in_the_audit_log_without_address_and_name(author: User) -> None:
    sign_in(Client(REMOTE_ADDR="192.0.2.9"))
    assert AuditQueued.objects.filter(action="sign-in.began", subject_id=author.pk).exists()


def test_a_password_that_is_changed_anywhere_ends_everything(author: User) -> None:
    """As the admin's form, or a script, does it: `set_password` and `save`."""
    client = Client()
    sign_in(client)
    PersonToken.objects.create(user=author, key_hash="x")
    author.refresh_from_db()
    author.set_password("another horse 7")
    author.save()
    assert not is_signed_in(client)
    assert not SignIn.objects.exists()
    assert not PersonToken.objects.exists()


def test_a_first_password_ends_no_token_of_the_platform(db: None) -> None:
    user = make_user()
    user.set_password(GOOD)
    user.save()
    user.refresh_from_db()
    assert user.tokens_not_before is None


def test_every_page_opens_for_a_person_with_every_factor(author: User) -> None:
    """Also those that allauth renders by templates of its own."""
    client = Client()
    sign_in(client)
    Factor(author)
    keys = [make_passkey(author, last_used_at=used) for used in (None, clock.now())]
    opened = 0
    for each in urlpatterns:
        path = str(each.pattern)
        if not path.startswith("account") or "provider_id" in path or "passkeys/login" in path:
            continue
        path = path.replace("<int:pk>", str(keys[0].pk)).replace("<int:number>", "1")
        status = client.get(f"/{path}").status_code
        assert status in (200, 302, 405), path
        opened += status == 200
    assert opened >= 12


def test_each_notice_of_allauth_has_a_text() -> None:
    """A notice without one would be an error page after the change that it reports."""
    folder = Path(allauth.__file__).parent / "templates"
    found = {
        path.name.removesuffix("_message.txt")
        for app in ("mfa", "socialaccount")
        for path in (folder / app / "email").glob("*_message.txt")
    }
    assert len(found) >= 7
    for event in found | {"password_changed", "password_set"}:
        assert event_text(event, "en") != event_text(event, "ru"), event
