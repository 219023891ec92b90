"""Administrators and keys are created on the command line, without demo data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from click.testing import CliRunner
from django.contrib.auth import authenticate

from carillon.cli import carillon, demo
from directory.models import User
from notifications.domain.errors import CarillonError, Conflict, InvalidRequest, NotFound
from notifications.features.access.authentication import Unauthenticated, key_of_text
from notifications.features.access.sign_in.rules import may_use
from notifications.features.access.tokens.families import issue_tokens
from notifications.infra import clock
from notifications.models import ApiKey, OperatorAction, SignIn
from tests.integration.audit.test_recorded_changes import last
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
GOOD = "correct horse 9 battery"


def run(*words: str, stdin: str = "") -> str:
    result = CliRunner().invoke(carillon, words, input=stdin, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output.strip()


def test_an_administrator_is_created_without_demo_data() -> None:
    output = run("admin", "create", "ada", "--email", "ada@example.com")

    password = output.removeprefix("administrator: ada / ").split()[0]
    admin = authenticate(username="ada", password=password)
    assert isinstance(admin, User)
    assert (admin.staff_role, admin.is_staff, admin.is_superuser) == ("admin", True, True)
    assert admin.role == "admin"
    assert User.objects.count() == 1
    action = OperatorAction.objects.get()
    assert (action.actor, action.action) == ("cli", "admin.created")


def test_a_given_password_is_not_printed() -> None:
    output = run("admin", "create", "ada", "--password-stdin", stdin=f"{GOOD}\n")

    assert GOOD not in output
    assert authenticate(username="ada", password=GOOD)
    output = run("admin", "password", "ada")
    assert authenticate(username="ada", password=GOOD) is None
    assert authenticate(username="ada", password=output.split(" / ")[1].split()[0])


@pytest.mark.parametrize(
    ("words", "stdin", "error"),
    [
        (("create", "ada"), "short", InvalidRequest),
        (("create", "ada"), "1234567890123", InvalidRequest),
        (("create", "ada"), "password123", InvalidRequest),
        (("create", "ada-lovelace"), "ada-lovelace", InvalidRequest),
        (("create", "ada", "--email", "nowhere"), GOOD, InvalidRequest),
        (("create", " "), GOOD, InvalidRequest),
        (("create", "a" * 151), GOOD, InvalidRequest),
        (("create", "there"), GOOD, Conflict),
        (("password", "there"), "short", InvalidRequest),
        (("password", "unknown"), GOOD, NotFound),
    ],
)
def test_wrong_arguments_for_an_administrator_are_refused(
    words: tuple[str, ...], stdin: str, error: type[CarillonError]
) -> None:
    User.objects.create(username="there")
    result = CliRunner().invoke(carillon, ["admin", *words, "--password-stdin"], input=f"{stdin}\n")
    assert isinstance(result.exception, error)
    assert User.objects.count() == 1
    assert not OperatorAction.objects.exists()


def test_a_key_is_created_listed_and_revoked() -> None:
    text = run("key", "create", "platform", "--scopes", "notifications:send, users:write")

    key = key_of_text(text, now=clock.now())
    assert set(key.scopes) == {"notifications:send", "users:write"}
    listed = run("key", "list")
    assert "platform" in listed
    assert text not in listed
    run("key", "revoke", str(key.pk))
    with pytest.raises(Unauthenticated):
        key_of_text(text, now=clock.now())


def test_a_key_with_an_unknown_scope_is_refused() -> None:
    result = CliRunner().invoke(
        carillon, ["key", "create", "platform", "--scopes", "unknown:scope"]
    )
    assert isinstance(result.exception, InvalidRequest)
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize("words", [("demo",), ("serve", "--demo")])
def test_demo_data_is_refused_in_production(
    words: tuple[str, ...], override_environment: Callable[..., None], monkeypatch: Any
) -> None:
    monkeypatch.setattr("carillon.cli.serve.store_metrics_in_files", lambda: None)
    monkeypatch.setattr("carillon.cli.serve.publish_address", lambda *_: None)
    override_environment(production=True)
    result = CliRunner().invoke(carillon, words)
    assert result.exit_code == 1
    assert "carillon admin create" in result.output
    assert not User.objects.exists()


def test_demo_data_in_production_needs_force(
    override_environment: Callable[..., None], monkeypatch: Any
) -> None:
    monkeypatch.setattr("django.core.management.call_command", lambda *_, **__: None)
    loaded: list[bool] = []
    monkeypatch.setattr(demo, "load_demo", lambda *, quiet: loaded.append(quiet))
    override_environment(production=True)
    run("demo", "--quiet", "--force")
    assert loaded == [True]


def test_roles_are_given_from_the_command_line() -> None:
    output = run("admin", "create", "ann", "--role", "author")
    assert output.startswith("author: ann / ")
    ann = User.objects.get(username="ann")
    assert (ann.staff_role, ann.is_staff, ann.is_superuser) == ("author", True, False)
    assert run("admin", "role", "ann", "operator") == "ann: operator"
    assert run("admin", "list").split() == [str(ann.pk), "ann", "operator", "-"]
    actions = OperatorAction.objects.order_by("pk").values_list("actor", "action")
    assert list(actions) == [("cli", "admin.created"), ("cli", "staff.role")]
    run("admin", "role", "ann", "none")
    assert run("admin", "list") == ""


def test_the_last_admin_stays_on_the_command_line_too() -> None:
    run("admin", "create", "ada")
    result = CliRunner().invoke(carillon, ["admin", "role", "ada", "author"])
    assert isinstance(result.exception, Conflict)
    assert User.objects.get(username="ada").staff_role == "admin"
    result = CliRunner().invoke(carillon, ["admin", "role", "nowhere", "author"])
    assert result.exit_code == 1
    assert "there is no user" in result.output


def test_a_key_is_limited_and_rotated_from_the_command_line() -> None:
    old = run("key", "create", "platform", "--address", "192.0.2.0/24", "--address", "2001:db8::1")
    key = key_of_text(old, now=clock.now())
    assert key.addresses == ["192.0.2.0/24", "2001:db8::1/128"]
    new = run("key", "rotate", str(key.pk), "--overlap", "60")
    assert {key_of_text(text, now=clock.now()).pk for text in (old, new)} == {key.pk}
    newest = run("key", "rotate", str(key.pk))
    assert key_of_text(newest, now=clock.now()).pk == key.pk
    for text in (old, new):
        with pytest.raises(Unauthenticated):
            key_of_text(text, now=clock.now())


def staff(name: str, role: str = "admin") -> User:
    return make_user(username=name, staff_role=role)


def test_the_second_factors_of_a_person_are_removed_and_everything_of_theirs_ends() -> None:
    ada, bob = staff("ada"), staff("bob")
    for user in (ada, bob):
        TOTP.activate(user, generate_totp_secret())
        RecoveryCodes.activate(user)
        issue_tokens(user, now=clock.now())
    assert run("admin", "remove-factors", "ada") == "ada: 2 removed"

    assert set(Authenticator.objects.values_list("user_id", flat=True)) == {bob.pk}
    assert SignIn.objects.get().user == bob
    ada.refresh_from_db()
    assert ada.tokens_not_before is not None
    action = OperatorAction.objects.get(action="admin.factors_removed")
    assert (action.actor, action.target) == ("cli", f"user:{ada.pk}")
    with pytest.raises(NotFound):
        run("admin", "remove-factors", "unknown")


def test_two_administrators_have_a_break_glass_account_at_most() -> None:
    for name in ("ada", "bob", "eve"):
        staff(name)
    assert run("admin", "break-glass", "ada") == "ada: break-glass account"
    run("admin", "break-glass", "bob")
    run("admin", "break-glass", "bob")  # it has one
    with pytest.raises(Conflict, match="2 users have a break-glass account"):
        run("admin", "break-glass", "eve")
    assert run("admin", "break-glass", "ada", "--off") == "ada: no break-glass account"
    run("admin", "break-glass", "eve")
    found = User.objects.filter(break_glass=True).values_list("pk", flat=True)
    assert {user.username for user in User.objects.filter(pk__in=found)} == {"bob", "eve"}
    assert OperatorAction.objects.filter(action="admin.break_glass").count() == 5


@pytest.mark.parametrize("role", ["operator", "author", "analyst", None])
def test_only_an_active_administrator_has_one(role: str | None) -> None:
    make_user(username="ada", staff_role=role)
    make_user(username="bob", staff_role="admin", is_active=False)
    for name in ("ada", "bob"):
        with pytest.raises(InvalidRequest):
            run("admin", "break-glass", name)


@pytest.mark.parametrize("role", ["author", "none"])
def test_it_ends_with_the_role(role: str, override_environment: Any) -> None:
    override_environment(single_sign_on_enforced=True)
    for name in ("ada", "bob", "eve"):
        staff(name)
    run("admin", "break-glass", "ada")
    run("admin", "role", "ada", role)
    ada = User.objects.get(username="ada")
    assert not ada.break_glass
    assert not may_use(ada, SignIn.Method.PASSWORD)
    assert last("staff.role")["before"] == {"staff_role": "admin", "break_glass": True}
    run("admin", "role", "ada", "admin")
    for name in ("bob", "eve"):
        run("admin", "break-glass", name)
    assert User.objects.filter(break_glass=True).count() == 2


def test_a_flag_without_the_role_counts_for_nothing(override_environment: Any) -> None:
    override_environment(single_sign_on_enforced=True)
    author = staff("ada", "author")
    User.objects.filter(pk=author.pk).update(break_glass=True)
    author.refresh_from_db()
    assert not may_use(author, SignIn.Method.PASSWORD)
