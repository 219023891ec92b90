"""What a vendor's `settings.py` is made of: a frozen dataclass of fields that begin with its key.

The environment inherits the fields of every vendor: `twilio_from` is `CARILLON_TWILIO_FROM`.
They are read before Django is ready, so that this module and a vendor's import nothing large.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any, ClassVar

from notifications.domain.errors import CarillonError, FieldError


class UnusableSetting(CarillonError):
    """A setting of a vendor's cannot be used; the text names it and what is wrong."""


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


@dataclass(frozen=True, kw_only=True)
class VendorSettings:
    """The settings of one vendor. A field without `store` is the environment's alone."""

    key: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    """The settings, by short name, without which it cannot work; `a|b` for either."""
    sender: ClassVar[str] = ""
    """The setting, by short name, that holds the default sender of its messages."""

    @classmethod
    def storable(cls) -> dict[str, Storable]:
        """The settings that an operator may store, by short name."""
        own = {item.name.removeprefix(f"{cls.key}_"): item for item in fields(cls)}
        found = {name: item.metadata.get("store") for name, item in own.items()}
        return {name: rule for name, rule in found.items() if rule is not None}

    @classmethod
    def start_faults(cls, given: Any) -> list[str]:
        """What keeps the service from starting with an environment (`given`), a line each."""
        del given
        return []

    @classmethod
    def stored_faults(cls, texts: Mapping[str, str], outer: Any) -> list[FieldError]:
        """What is wrong with stored settings that are each well formed. outer: the environment."""
        del texts, outer
        return []

    @classmethod
    def completed(cls, texts: Mapping[str, str], outer: Any) -> dict[str, str]:
        """Stored settings as they are used, with what the environment (`outer`) adds."""
        del outer
        return dict(texts)


def kinds_in(environment: object) -> dict[str, type[VendorSettings]]:
    """The vendors' settings that an environment holds, by the vendor's key."""
    held = [kind for kind in type(environment).__mro__ if issubclass(kind, VendorSettings)]
    return {kind.key: kind for kind in held if "key" in vars(kind)}


def form(pattern: str) -> Callable[[str], object]:
    """A check that a whole text has a form."""
    compiled = re.compile(pattern)

    def check(text: str) -> None:
        if not compiled.fullmatch(text):
            raise ValueError

    return check


def named(path: str) -> Callable[[str], object]:
    """A check at `module:name`, whose module is loaded when it is first used."""

    def check(text: str) -> None:
        module, _, name = path.partition(":")
        getattr(import_module(module), name)(text)

    return check


SECRET = form(r"[!-~]{1,2000}")
"""The form of most secrets."""
