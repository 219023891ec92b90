"""The base of each vendor's `settings.py`: a frozen dataclass whose fields begin with its key.

The environment inherits the fields of every vendor: `twilio_from` is `CARILLON_TWILIO_FROM`.
They are read before Django is ready. This module and a vendor's therefore import nothing large.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any, ClassVar

from notifications.domain.errors import CarillonError, FieldError


class UnusableSetting(CarillonError):
    """A vendor's setting cannot be used; the text names the setting and the error."""


@dataclass(frozen=True, slots=True)
class Storable:
    """The rule for a setting that may be stored."""

    #: Raises ValueError for an invalid text.
    check: Callable[[str], object]
    #: What the text must be, for error texts.
    about: str
    #: Settings that must be stored with it.
    needs: tuple[str, ...] = ()
    #: Settings that get their default, unless they are stored as well.
    resets: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class VendorSettings:
    """The settings of one vendor. A field without `store` is read from the environment only."""

    key: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    """The settings that it requires, by short name; `a|b` means that either suffices."""
    sender: ClassVar[str] = ""
    """The short name of the setting with the default sender of its messages."""

    @classmethod
    def storable(cls) -> dict[str, Storable]:
        """Returns the rules of the settings that an operator may store, by short name."""
        own = {item.name.removeprefix(f"{cls.key}_"): item for item in fields(cls)}
        found = {name: item.metadata.get("store") for name, item in own.items()}
        return {name: rule for name, rule in found.items() if rule is not None}

    @classmethod
    def start_faults(cls, given: Any) -> list[str]:
        """Returns why the service cannot start with an environment (`given`), one line each."""
        del given
        return []

    @classmethod
    def stored_faults(cls, texts: Mapping[str, str], outer: Any) -> list[FieldError]:
        """Returns the errors of stored settings that are each valid. outer: the environment."""
        del texts, outer
        return []

    @classmethod
    def completed(cls, texts: Mapping[str, str], outer: Any) -> dict[str, str]:
        """Returns stored settings completed with those that the environment (`outer`) adds."""
        del outer
        return dict(texts)


def kinds_in(environment: object) -> dict[str, type[VendorSettings]]:
    """Returns the settings classes that an environment inherits, by the vendor's key."""
    kinds = [kind for kind in type(environment).__mro__ if issubclass(kind, VendorSettings)]
    return {kind.key: kind for kind in kinds if "key" in vars(kind)}


def form(pattern: str) -> Callable[[str], object]:
    """Returns a check that a whole text matches a pattern."""
    compiled = re.compile(pattern)

    def check(text: str) -> None:
        if not compiled.fullmatch(text):
            raise ValueError

    return check


def named(path: str) -> Callable[[str], object]:
    """Returns the check at `module:name`; its module is loaded on first use."""

    def check(text: str) -> None:
        module, _, name = path.partition(":")
        getattr(import_module(module), name)(text)

    return check


SECRET = form(r"[!-~]{1,2000}")
"""The form of most secrets."""
