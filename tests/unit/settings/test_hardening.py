"""Settings that protect: cookies, password rules, and how passwords are hashed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from carillon.settings import base
from carillon.settings.passwords import NoWordsOfTheService

SHOW = """
import json
from carillon.settings import base
names = [name for name in dir(base) if name.startswith(("SESSION_COOKIE", "CSRF_COOKIE"))]
print(json.dumps({name: getattr(base, name) for name in names}))
"""


def cookies_at(public_url: str, folder: Any) -> dict[str, Any]:
    """Returns the settings of cookies of a process that is reached at this address."""
    environ = {**os.environ, "CARILLON_PUBLIC_URL": public_url, "CARILLON_DATA_DIR": str(folder)}
    shown = subprocess.run(
        [sys.executable, "-c", SHOW], env=environ, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(shown.stdout)
    return found


@pytest.mark.processes
def test_cookies_have_the_host_prefix_by_https(tmp_path: Any) -> None:
    """The prefix makes a browser require Secure, the path / and no domain."""
    found = cookies_at("https://notify.example.org", tmp_path)
    for kind in ("SESSION", "CSRF"):
        assert found[f"{kind}_COOKIE_NAME"].startswith("__Host-")
        assert found[f"{kind}_COOKIE_SECURE"] is True
        assert found[f"{kind}_COOKIE_HTTPONLY"] is True
        assert found[f"{kind}_COOKIE_SAMESITE"] in ("Lax", "Strict")
        assert found.get(f"{kind}_COOKIE_DOMAIN") is None
        assert found.get(f"{kind}_COOKIE_PATH", "/") == "/"


def test_without_https_a_browser_would_refuse_the_prefix() -> None:
    assert not base.CARILLON.public_url.startswith("https://")
    assert (base.SESSION_COOKIE_NAME, base.CSRF_COOKIE_NAME) == ("sessionid", "csrftoken")


def test_messages_of_pages_are_in_no_cookie() -> None:
    assert base.MESSAGE_STORAGE.endswith("SessionStorage")


REFUSED = [
    "carillon2026",
    "Carillon!!",
    "notification1",
    "short1a",
    "1234567890123",
    "password123",
    "qwertyuiop",
]
ALLOWED = [
    "correct horse battery staple",
    "x" * 5 + "carillon" + "y" * 5,
    "\u0434" * 12,
    " " * 5 + "q9!" * 20,
]


@pytest.mark.parametrize("password", REFUSED)
def test_passwords_have_no_words_of_the_service(password: str) -> None:
    with pytest.raises(ValidationError):
        validate_password(password)


@pytest.mark.parametrize("password", ALLOWED)
def test_any_composition_of_some_length_is_allowed(password: str) -> None:
    validate_password(password)


def test_words_are_those_of_the_installation() -> None:
    validator = NoWordsOfTheService("Evening School", "https://alerts.school.example")
    for password in ("eveningschool", "School2026!", "alerts.12345"):
        with pytest.raises(ValidationError, match="eight characters"):
            validator.validate(password)
    validator.validate("an evening by the river")


def test_passwords_are_hashed_with_argon2() -> None:
    assert base.PASSWORD_HASHERS[0].endswith("Argon2PasswordHasher")
