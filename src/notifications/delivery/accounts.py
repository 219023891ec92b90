"""The account that a provider uses at its vendor: the environment's, and an operator's row over it.

A provider's settings are the fields of the environment that begin with its key (`twilio_from` is
`CARILLON_TWILIO_FROM`). A stored row overrides some of them without a restart: those that its
`settings.py` lets be stored. This module holds what was read, so that providers know no database.
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

_CHOICE = "_provider"  # `telegram_provider` says who carries the channel: no provider's own setting
_SECRET_WORDS = (*("secret", "password", "token", "private_key", "settings", "credentials"),)

_Own = TypeVar("_Own", bound=VendorSettings)


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """An operator's row: its version and the settings it overrides, by short name, as text."""

    version: int
    values: Mapping[str, str]


log = structlog.get_logger("carillon.delivery")
_stored: Mapping[str, StoredAccount] = {}
_told: set[tuple[str, int]] = set()


def use_stored(rows: Mapping[str, StoredAccount]) -> None:
    """Takes the rows that were read; the mapping is replaced, never changed."""
    global _stored
    _stored = dict(rows)


def version_of(key: str) -> int:
    """Changes whenever the stored account of a provider does; 0 without one."""
    found = _stored.get(key)
    return found.version if found else 0


def account(key: str) -> Environment:
    """The environment as this provider is to see it. A row that cannot be used counts for nothing:
    see `stored_fault`."""
    found = _stored.get(key)
    if found is None:
        return environment()
    try:
        return replace(environment(), **read_values(key, found.values))
    except InvalidRequest as error:
        if (key, found.version) not in _told:
            _told.add((key, found.version))
            log.error("provider.stored_unusable", provider=key, settings=_paths(error))
        return environment()


def settings_of(kind: type[_Own]) -> _Own:
    """A vendor's settings as its account has them."""
    return cast(_Own, account(kind.key))


def environment_settings(kind: type[_Own]) -> _Own:
    """A vendor's settings as the environment has them, whatever is stored."""
    return cast(_Own, environment())


def own_senders() -> list[str]:
    """The default senders of the vendors' accounts."""
    kinds = [kind for kind in kinds_in(environment()).values() if kind.sender]
    given = (getattr(account(kind.key), f"{kind.key}_{kind.sender}") for kind in kinds)
    return [sender for sender in given if sender]


def stored_fault(key: str) -> str:
    """Why a provider's stored row is not used, by the names of its settings; empty when it is, or
    there is none. What may be stored was less strict once, and the environment may change."""
    found = _stored.get(key)
    try:
        read_values(key, found.values if found else {})
    except InvalidRequest as error:
        return f"the stored settings are not used, store them anew: {_paths(error)}"
    return ""


def _paths(error: InvalidRequest) -> str:
    return ", ".join(each.path.removeprefix("settings.") for each in error.errors)


def setting_names(key: str) -> dict[str, str]:
    """A provider's settings: short name (`from`) to the environment's field (`twilio_from`)."""
    return {
        item.name.removeprefix(f"{key}_"): item.name
        for item in fields(environment())
        if item.name.startswith(f"{key}_") and not item.name.endswith(_CHOICE)
    }


def missing(key: str, needs: tuple[str, ...]) -> list[str]:
    """The environment variables of settings that a provider needs and has not got.

    `a|b` in `needs` is satisfied by either.
    """
    own, names = account(key), setting_names(key)
    found = []
    for need in needs:
        either = [names[name] for name in need.split("|")]
        if not any(getattr(own, field) for field in either):
            found.append(" or ".join(own.variable(field) for field in either))
    return found


def is_secret(name: str) -> bool:
    """Whether a setting must never be shown."""
    return any(word in name for word in _SECRET_WORDS)


def read_values(key: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Texts that are stored as the environment's typed fields.

    Raises:
        InvalidRequest: with an error for each name that is unknown or not to be stored, each text
            that cannot be read, and each setting that lacks the secret it needs.
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
