"""The account of each provider: the environment's settings, overridden by an operator's row.

A provider's settings are the fields of the environment that begin with its key (`twilio_from` is
`CARILLON_TWILIO_FROM`). A stored row overrides those that the vendor's `settings.py` allows to be
stored, without a restart. This module caches the rows, so that providers read no database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

import structlog

from notifications.delivery.stored_settings import completed, faults_of
from notifications.delivery.vendor_settings import VendorSettings, kinds_in
from notifications.domain.errors import FieldError, InvalidRequest, unknown_fields
from notifications.infra.conf import environment

if TYPE_CHECKING:
    from notifications.infra.conf import Environment

_CHOICE = "_provider"  # `telegram_provider` selects the channel's provider; no vendor owns it
_SECRET_WORDS = (*("secret", "password", "token", "private_key", "settings", "credentials"),)

_Own = TypeVar("_Own", bound=VendorSettings)


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """An operator's row."""

    version: int
    #: The settings that it overrides: short name to text.
    values: Mapping[str, str]


log = structlog.get_logger("carillon.delivery")
_stored: Mapping[str, StoredAccount] = {}
_reported: set[tuple[str, int]] = set()


def use_stored(rows: Mapping[str, StoredAccount]) -> None:
    """Replaces the cached rows; the mapping itself is never changed."""
    global _stored
    _stored = dict(rows)


def version_of(key: str) -> int:
    """Returns a number that changes with the stored account of a provider; 0 without one."""
    found = _stored.get(key)
    return found.version if found else 0


def account(key: str) -> Environment:
    """Returns the environment with the stored settings of a provider.

    An unusable row is ignored and logged once; see `stored_fault`.
    """
    found = _stored.get(key)
    if found is None:
        return environment()
    try:
        return replace(environment(), **read_values(key, found.values))
    except InvalidRequest as error:
        if (key, found.version) not in _reported:
            _reported.add((key, found.version))
            log.error("provider.stored_unusable", provider=key, settings=_paths(error))
        return environment()


def settings_of(kind: type[_Own]) -> _Own:
    """Returns a vendor's settings, with the stored ones."""
    return cast(_Own, account(kind.key))


def environment_settings(kind: type[_Own]) -> _Own:
    """Returns a vendor's settings from the environment alone, without the stored ones."""
    return cast(_Own, environment())


def own_senders() -> list[str]:
    """Returns the default senders of the vendors' accounts."""
    kinds = [kind for kind in kinds_in(environment()).values() if kind.sender]
    given = (getattr(account(kind.key), f"{kind.key}_{kind.sender}") for kind in kinds)
    return [sender for sender in given if sender]


def stored_fault(key: str) -> str:
    """Returns why a provider's stored row is not used, with the names of its settings.

    Empty when the row is used, or when there is none. A row may be unusable because an earlier
    release checked less, or because the environment changed.
    """
    found = _stored.get(key)
    try:
        read_values(key, found.values if found else {})
    except InvalidRequest as error:
        return f"the stored settings are not used; store them again: {_paths(error)}"
    return ""


def _paths(error: InvalidRequest) -> str:
    return ", ".join(each.path.removeprefix("settings.") for each in error.errors)


def setting_names(key: str) -> dict[str, str]:
    """Returns a provider's settings: short name (`from`) to environment field (`twilio_from`)."""
    return {
        item.name.removeprefix(f"{key}_"): item.name
        for item in fields(environment())
        if item.name.startswith(f"{key}_") and not item.name.endswith(_CHOICE)
    }


def missing(key: str, needs: tuple[str, ...]) -> list[str]:
    """Returns the environment variables of required settings that are not set.

    `a|b` in `needs` means that either setting suffices.
    """
    own, names = account(key), setting_names(key)
    found = []
    for need in needs:
        either = [names[name] for name in need.split("|")]
        if not any(getattr(own, field) for field in either):
            found.append(" or ".join(own.variable(field) for field in either))
    return found


def is_secret(name: str) -> bool:
    """Whether a setting is a secret, which is never shown."""
    return any(word in name for word in _SECRET_WORDS)


def read_values(key: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Returns stored texts as typed fields of the environment.

    Raises:
        InvalidRequest: with an error for each name that is unknown or may not be stored, each text
            that cannot be read, and each setting without the secret that it needs.
    """
    names, outer = setting_names(key), environment()
    known = {name: text for name, text in given.items() if name in names}
    errors = [
        FieldError(each.path, "unknown_setting", each.detail)
        for each in unknown_fields(given, tuple(names), path="settings.")
    ]
    errors += faults_of(key, known, outer)
    if errors:
        raise InvalidRequest(errors)
    return _typed(key, completed(key, known, outer))


def _typed(key: str, texts: Mapping[str, str]) -> dict[str, Any]:
    names = setting_names(key)
    readers = {item.name: item.metadata["read"] for item in fields(environment())}
    values: dict[str, Any] = {}
    errors = []
    for name, text in texts.items():
        read = readers[names[name]]
        try:
            values[names[name]] = read(text)
        except (ValueError, KeyError):
            errors.append(
                FieldError(f"settings.{name}", "invalid_setting", f"must be {read.__doc__}")
            )
    if errors:
        raise InvalidRequest(errors)
    return values
