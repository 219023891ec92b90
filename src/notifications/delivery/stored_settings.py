"""What an operator's row may set of a provider, and in which form.

A row is written by whoever holds the scope providers:write, which must not become more than that.
So nothing stored names a host, a file, code or a guard, and an account that is stored brings its
own secrets: none of the environment's is ever used with it. Whatever is not listed here is the
environment's alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from notifications.delivery.mail.mail_services import (
    SERVICES,
    read_account,
    read_service,
    service_name,
    with_environment,
)
from notifications.delivery.protocols.standard_webhooks import UnusableSecret, signing_key
from notifications.delivery.protocols.web_push_crypto import private_key
from notifications.domain.errors import FieldError

_GOOGLE_TOKENS = "https://oauth2.googleapis.com/token"


@dataclass(frozen=True, slots=True)
class Storable:
    """A setting that may be stored.

    check raises ValueError for a text it cannot be; about says what it must be. needs: what must
    be stored along with it. resets: what falls to its default unless it is stored as well.
    """

    check: Callable[[str], object]
    about: str
    needs: tuple[str, ...] = ()
    resets: tuple[str, ...] = ()


def _form(pattern: str) -> Callable[[str], object]:
    compiled = re.compile(pattern)

    def check(text: str) -> None:
        if not compiled.fullmatch(text):
            raise ValueError

    return check


def _google_account(text: str) -> None:
    found = json.loads(text)
    if not isinstance(found, dict) or found.get("token_uri", _GOOGLE_TOKENS) != _GOOGLE_TOKENS:
        raise ValueError


def _webhook_secret(text: str) -> None:
    try:
        signing_key(text)
    except UnusableSecret as error:
        raise ValueError from error


_SECRET = _form(r"[!-~]{1,2000}")
_ACCOUNT = ("account_sid", "auth_token")
_AWS = ("access_key_id", "secret_access_key")

STORABLE: dict[str, dict[str, Storable]] = {
    "smtp": {
        "user": Storable(_form(r"[^\x00-\x1f\x7f]{1,200}"), "a user name", needs=("password",)),
        "password": Storable(_form(r"[^\x00-\x1f\x7f]{1,500}"), "a password"),
        "connections": Storable(_form(r"[0-9]{1,3}"), "a whole number from 1 to 100"),
    },
    "ses": {
        "region": Storable(
            _form(r"[a-z]{2}(-[a-z]{2,12}){1,3}-[0-9]{1,2}"), "a region such as eu-west-1", _AWS
        ),
        "access_key_id": Storable(
            _form(r"[A-Za-z0-9]{8,128}"), "an AWS key id", _AWS[1:], ("session_token",)
        ),
        "secret_access_key": Storable(_SECRET, "a secret", _AWS[:1]),
        "session_token": Storable(_form(r"[!-~]{1,5000}"), "a session token", _AWS),
        "configuration_set": Storable(_form(r"[A-Za-z0-9_-]{0,64}"), "letters, digits, - and _"),
    },
    "anymail": {
        "backend": Storable(read_service, f"one of {', '.join(SERVICES)}", ("settings",)),
        "settings": Storable(json.loads, "a JSON object"),
        "webhook_secret": Storable(_form(r"[!-9;-~]{1,200}:[!-~]{1,200}"), "user:password"),
    },
    "fcm": {
        "credentials": Storable(
            _google_account, f"the content of a service account's JSON file, of {_GOOGLE_TOKENS}"
        ),
    },
    "webpush": {
        "private_key": Storable(private_key, "a P-256 key: PEM, or 32 bytes in base64url"),
        "contact": Storable(
            _form(r"mailto:[^\s@]{1,100}@[^\s@]{1,150}|https://[^\s]{1,250}"),
            "mailto:... or https://...",
        ),
    },
    "twilio": {
        "account_sid": Storable(_form(r"AC[A-Za-z0-9]{1,64}"), "an account (AC...)", _ACCOUNT[1:]),
        "auth_token": Storable(_SECRET, "a token"),
        "from": Storable(_form(r"[A-Za-z0-9+ .&_-]{0,40}"), "a number or a name"),
        "messaging_service": Storable(_form(r"(MG[A-Za-z0-9]{1,64})?"), "a service (MG...)"),
    },
    "telegram": {
        "bot_token": Storable(_form(r"[0-9]{1,20}:[A-Za-z0-9_-]{1,100}"), "a token of @BotFather"),
    },
    "apprise": {},
    "in_app": {},
    "webhook": {"secret": Storable(_webhook_secret, "whsec_ and base64 of 24 to 64 bytes")},
    "sandbox": {},
}
"""Every provider has an entry. `tests/unit/delivery/test_stored_settings.py` holds every setting
of every provider against it."""


def faults_of(key: str, given: Mapping[str, str], *, outer_backend: str) -> list[FieldError]:
    """What is wrong with settings that are to be stored. Unknown names are not judged here.

    outer_backend: the environment's CARILLON_ANYMAIL_BACKEND.
    """
    errors = [error for name in given for error in _faults_of_one(key, name, given)]
    if key == "anymail" and "settings" in given and not errors:
        errors += _faults_of_mail_account(given, outer_backend)
    return errors


def _faults_of_one(key: str, name: str, given: Mapping[str, str]) -> list[FieldError]:
    path, rule = f"settings.{name}", STORABLE[key].get(name)
    if rule is None:
        detail = f"is set by CARILLON_{key.upper()}_{name.upper()} in the environment alone"
        return [FieldError(path, "invalid_setting", detail)]
    try:
        rule.check(given[name])
    except (ValueError, RecursionError):
        return [FieldError(path, "invalid_setting", f"must be {rule.about}")]
    absent = [other for other in rule.needs if not given.get(other)]
    if absent:
        detail = f"needs {' and '.join(absent)} along with it: no secret of the environment is used"
        return [FieldError(path, "needs_secret", detail)]
    return []


def _faults_of_mail_account(given: Mapping[str, str], outer_backend: str) -> list[FieldError]:
    service = given.get("backend") or service_name(outer_backend)
    if not service:
        detail = "needs backend along with it: the environment names no service of the list"
        return [FieldError("settings.settings", "invalid_setting", detail)]
    try:
        read_account(service, given["settings"])
    except ValueError as error:
        return [FieldError("settings.settings", "invalid_setting", str(error))]
    return []


def completed(
    key: str, given: Mapping[str, str], *, outer_backend: str, outer_settings: str
) -> dict[str, str]:
    """Stored settings as they are used: with what they reset, and the hosts of the environment
    where the service is the environment's own."""
    texts = dict(given)
    for name in given:
        texts |= {other: "" for other in STORABLE[key][name].resets if other not in given}
    if key == "anymail" and "settings" in given:
        own = service_name(outer_backend)
        service = given.get("backend") or own
        outer = outer_settings if service == own else ""
        account = read_account(service, given["settings"])
        texts["settings"] = with_environment(service, account, outer)
    return texts
