"""The state that both parsers of an audience share: the faults and the limits of the whole."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from directory.audiences.errors import AudienceError, AudienceFault

MAX_DEPTH = 10
MAX_PARTS = 200
MAX_LISTED = 100_000
_HIGHEST_ID = (1 << 63) - 1


_MOST_FAULTS = 50


class ParseContext:
    """Collects faults; counts the parts and the listed people of a whole audience."""

    def __init__(self) -> None:
        self.faults: list[AudienceFault] = []
        self._parts = 0
        self._listed = 0

    def add_fault(self, path: str, code: str, detail: str) -> None:
        if len(self.faults) <= _MOST_FAULTS:
            self.faults.append(AudienceFault(path, code, detail))

    def raise_faults(self) -> None:
        """Raises AudienceError with all faults, if there are any."""
        if self.faults:
            raise AudienceError(self.faults)

    def count_part(self, path: str, depth: int) -> bool:
        """Counts one part. Returns False where the audience is too large, and adds one fault."""
        self._parts += 1
        if depth > MAX_DEPTH:
            self.add_fault(path, "too_deep", f"is nested more than {MAX_DEPTH} deep: flatten it")
            return False
        if self._parts == MAX_PARTS + 1:
            self.add_fault(path, "too_large", f"an audience takes up to {MAX_PARTS} parts in all")
        return self._parts <= MAX_PARTS

    def count_listed(self, count: int, path: str) -> bool:
        """Counts listed people. Returns False and adds a fault where they are too many."""
        self._listed += count
        if self._listed <= MAX_LISTED:
            return True
        self.add_fault(
            path,
            "too_large",
            f"an audience lists up to {MAX_LISTED:,} people by id, not {self._listed:,}:"
            " put them into a group",
        )
        return False

    def table(self, value: Any, path: str) -> dict[str, Any] | None:
        """Returns the value if it is an object; otherwise adds a fault and returns None."""
        if isinstance(value, dict):
            return value
        self.add_fault(path, "wrong_type", f"must be an object, not {kind_of(value)}")
        return None

    def items(self, value: Any, path: str, *, most: int) -> list[Any] | None:
        """Returns a list that is not empty or too long; otherwise adds a fault, returns None."""
        if not isinstance(value, list | tuple):
            self.add_fault(path, "wrong_type", f"must be a list, not {kind_of(value)}")
        elif not value:
            self.add_fault(path, "invalid", "must not be empty")
        elif len(value) > most:
            self.add_fault(path, "too_large", f"takes up to {most:,}, not {len(value):,}")
        else:
            return list(value)
        return None

    def refuse_unknown(self, table: dict[str, Any], known: tuple[str, ...], path: str) -> None:
        """Adds a fault for each unknown key, because the caller probably mistyped it."""
        for name in table:
            if name not in known:
                place = f"{path}.{str(name)[:100]}"
                listed = f"known: {', '.join(known)}" if known else "no other field is accepted"
                self.add_fault(place, "unknown_field", f"is not known here; {listed}")


def identifier_of(value: Any) -> int | UUID | None:
    """Reads an integer id or a UUID from a caller's value; returns None for any other value."""
    if isinstance(value, UUID):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return value if 0 < value <= _HIGHEST_ID else None
    if not isinstance(value, str) or len(value) > 50:
        return None
    if value.isascii() and value.isdigit() and len(value) < 19:
        return int(value) or None
    try:
        return UUID(value)
    except ValueError:
        return None


def kind_of(value: Any) -> str:
    """Returns the name that people use for the type of a JSON value."""
    if value is None:
        return "null"
    names: dict[type, str] = {bool: "true or false", int: "a number", float: "a number"}
    names |= {str: "a text", list: "a list", tuple: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)
