"""Administrators and keys are created on the command line, without demo data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from django.contrib.auth import authenticate

from carillon.cli import carillon, demo
from directory.models import User
from notifications.domain.errors import CarillonError, Conflict, InvalidRequest, NotFound
from notifications.features.access.authentication import Unauthenticated, key_of_text
from notifications.infra import clock
from notifications.models import ApiKey, OperatorAction

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
    assert (admin.is_staff, admin.is_superuser, admin.role) == (True, True, "admin")
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
