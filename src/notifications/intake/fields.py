"""Reads the fields of a caller's JSON object and collects all errors, not only the first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from directory.moments import EXAMPLE, InvalidMoment, read_moment
from directory.texts import find_unstorable, is_storable, join_surrogates
from notifications.domain.errors import (
    LONGEST_PATH,
    MOST_ERRORS,
    FieldError,
    InvalidRequest,
    unknown_fields,
)
from notifications.infra.packing import fault_in


class Fields:
    """A JSON object during validation. Readers return None (or a default) for a wrong field."""

    def __init__(self, body: Mapping[str, Any], *, path: str = "") -> None:
        self.body = body
        self.path = path
        self.errors: list[FieldError] = []

    def add_error(self, name: str, code: str, detail: str) -> None:
        """Adds one error of a field, unless there are more than a response lists."""
        if len(self.errors) <= MOST_ERRORS:
            self.errors.append(FieldError(f"{self.path}{name}"[:LONGEST_PATH], code, detail))

    def refuse_unknown(self, known: Sequence[str]) -> None:
        """Adds an error for each unknown field, because the caller probably mistyped it."""
        self.errors += unknown_fields(self.body, known, path=self.path)

    def text(self, name: str, *, required: bool = False, longest: int = 200) -> str | None:
        value = self.body.get(name)
        if value is None:
            if required:
                self.add_error(name, "required", "is required: give a text")
            return None
        if not isinstance(value, str):
            self.add_error(name, "wrong_type", f"must be a text, not {_kind(value)}")
            return None
        value = join_surrogates(value)
        if not value.strip() or len(value) > longest or not is_storable(value):
            self.add_error(
                name,
                "invalid",
                f"must be 1 to {longest} characters without NUL and half characters",
            )
            return None
        return value

    def check_json(self, name: str, value: Any) -> bool:
        """Returns whether a JSON value can be stored and sent; adds an error if it cannot."""
        wrong = find_unstorable(value, name)
        if wrong is not None:
            self.add_error(*wrong)
            return False
        fault = fault_in({name: value}, place="")
        if fault is not None:
            self.add_error(fault.path.removeprefix("."), fault.code, fault.detail)
        return fault is None

    def flag(self, name: str, default: bool) -> bool:
        value = self.body.get(name, default)
        if not isinstance(value, bool):
            self.add_error(name, "wrong_type", f"must be true or false, not {_kind(value)}")
            return default
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        value = self.body.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.add_error(name, "wrong_type", f"must be an object, not {_kind(value)}")
            return {}
        return value

    def items(self, name: str) -> list[Any] | None:
        value = self.body.get(name)
        if value is None:
            return None
        if not isinstance(value, list):
            self.add_error(name, "wrong_type", f"must be a list, not {_kind(value)}")
            return None
        return value

    def moment(self, name: str) -> datetime | None:
        """Reads an RFC 3339 time from 1970 to 2199; without an offset it is UTC."""
        return self.read(name, read_moment)

    def read(self, name: str, reader: Callable[[str], datetime]) -> datetime | None:
        """Reads a time with one of the readers of `directory.moments`."""
        value = self.body.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            self.add_error(name, "invalid_time", f"must be a time such as {EXAMPLE}")
            return None
        try:
            return reader(value)
        except InvalidMoment as error:
            self.add_error(name, error.code, str(error))
            return None

    def raise_errors(self) -> None:
        """Raises InvalidRequest with all errors, if there are any."""
        if self.errors:
            raise InvalidRequest(self.errors)


def _kind(value: Any) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", str: "a text"}
    names |= {list: "a list", dict: "an object", type(None): "null"}
    return names.get(type(value), type(value).__name__)
