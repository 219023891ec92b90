"""Reads fields of a caller's JSON object and gathers every error not only the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from notifications.domain.errors import FieldError, InvalidRequest


class Fields:
    """A JSON object under validation. Readers return None (or a default) where a field is wrong."""

    def __init__(self, body: Mapping[str, Any], *, path: str = "") -> None:
        self.body = body
        self.path = path
        self.errors: list[FieldError] = []

    def fault(self, name: str, code: str, detail: str) -> None:
        """Notes one error at a field."""
        self.errors.append(FieldError(f"{self.path}{name}", code, detail))

    def refuse_unknown(self, known: Sequence[str]) -> None:
        """A field that nobody reads is a mistake worth telling."""
        for name in self.body:
            if name not in known:
                self.fault(name, "unknown_field", f"is not a field here; known: {', '.join(known)}")

    def text(self, name: str, *, required: bool = False, longest: int = 200) -> str | None:
        value = self.body.get(name)
        if value is None:
            if required:
                self.fault(name, "required", "is required: give a text")
            return None
        if not isinstance(value, str):
            self.fault(name, "wrong_type", f"must be a text, not {_kind(value)}")
            return None
        if not value.strip() or len(value) > longest or "\x00" in value:
            self.fault(name, "invalid", f"must be 1 to {longest} characters without NUL")
            return None
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = self.body.get(name, default)
        if not isinstance(value, bool):
            self.fault(name, "wrong_type", f"must be true or false, not {_kind(value)}")
            return default
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        value = self.body.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.fault(name, "wrong_type", f"must be an object, not {_kind(value)}")
            return {}
        return value

    def items(self, name: str) -> list[Any] | None:
        value = self.body.get(name)
        if value is None:
            return None
        if not isinstance(value, list):
            self.fault(name, "wrong_type", f"must be a list, not {_kind(value)}")
            return None
        return value

    def moment(self, name: str) -> datetime | None:
        """An RFC 3339 time; without an offset it is UTC."""
        value = self.body.get(name)
        if value is None:
            return None
        if isinstance(value, str):
            try:
                moment = datetime.fromisoformat(value)
                return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            except ValueError:
                pass
        self.fault(name, "invalid_time", "must be a time such as 2030-01-31T09:00:00+01:00")
        return None

    def done(self) -> None:
        """Raises InvalidRequest with everything that was found."""
        if self.errors:
            raise InvalidRequest(self.errors)


def _kind(value: Any) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", str: "a text"}
    names |= {list: "a list", dict: "an object", type(None): "null"}
    return names.get(type(value), type(value).__name__)
