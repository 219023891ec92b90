"""What can go wrong, as one tree.

    CarillonError
    ├── InvalidRequest          the caller's request cannot be accepted; carries every field's error
    ├── NotFound                a thing that was named does not exist
    ├── Refused                 understood, but not allowed
    ├── Conflict                the thing's state does not allow it now
    └── TemplateFault           a template cannot be compiled or rendered

Each has a stable `code`; doors give it an HTTP meaning in one table (api/errors.py).
Providers' outcomes are values, not exceptions: see domain/messages.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with a request: where, which code, and what to do about it."""

    path: str
    code: str
    detail: str

    def as_dict(self) -> dict[str, str]:
        return {"path": self.path, "code": self.code, "detail": self.detail}


class CarillonError(Exception):
    """Something went wrong."""

    code = "error"

    def __init__(self, detail: str = "", *, code: str = "", **data: Any) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip()
        self.code = code or type(self).code
        self.data = data
        super().__init__(self.detail)


class InvalidRequest(CarillonError):
    """The request is not valid; see errors."""

    code = "invalid_request"

    def __init__(self, errors: list[FieldError], detail: str = "") -> None:
        super().__init__(detail or "; ".join(f"{e.path}: {e.detail}" for e in errors))
        self.errors = errors
        if len(errors) == 1:
            self.code = errors[0].code


class NotFound(CarillonError):
    """There is no such thing."""

    code = "not_found"


class Refused(CarillonError):
    """This is not allowed."""

    code = "refused"


class Conflict(CarillonError):
    """The state of the thing does not allow this now."""

    code = "conflict"


class TemplateFault(CarillonError):
    """The template cannot be compiled or rendered."""

    code = "template_error"
