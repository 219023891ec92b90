"""The errors of the service, as one tree.

    CarillonError
    ├── InvalidRequest          the caller's request cannot be accepted; carries every field's error
    ├── NotFound                a named thing does not exist
    ├── Refused                 the request is valid, but not allowed
    ├── Conflict                the thing's state does not allow it now
    ├── RenderingBusy           the service is busy: the same request may succeed in a moment
    └── TemplateFault           a template cannot be compiled or rendered
        └── LimitExceeded       it needs more than a render may use

Each has a stable `code`. One table maps them to HTTP statuses (api/errors.py).
Results of providers are values, not exceptions: see domain/messages.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

LONGEST_PATH = 300
MOST_ERRORS = 50
"""The most field errors in one response. A caller corrects those first."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One error in a request: its path, its code, and how to correct it."""

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
    """The request is not valid; see errors, which are the first fifty."""

    code = "invalid_request"

    def __init__(self, errors: list[FieldError], detail: str = "") -> None:
        self.errors = errors[:MOST_ERRORS]
        texts = [f"{e.path}: {e.detail}" for e in self.errors]
        if len(errors) > MOST_ERRORS:
            texts.append("there are others")
        super().__init__(detail or "; ".join(texts))
        if len(errors) == 1:
            self.code = errors[0].code


def unknown_fields(
    given: Iterable[str], known: Collection[str], *, path: str = ""
) -> list[FieldError]:
    """Returns an error for each unknown name, at most one more than a response lists.

    The first error lists the known names. path: a prefix for each name.
    """
    unknown = islice((name for name in given if name not in known), MOST_ERRORS + 1)
    return [
        FieldError(
            f"{path}{name}"[:LONGEST_PATH],
            "unknown_field",
            "is not a field here" + ("" if n else f"; known: {', '.join(known)}"),
        )
        for n, name in enumerate(unknown)
    ]


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


class LimitExceeded(TemplateFault):
    """The template needs more than a render may use. is_overrun: of CPU time."""

    def __init__(self, detail: str = "", *, is_overrun: bool = False, **data: Any) -> None:
        super().__init__(detail, **data)
        self.is_overrun = is_overrun


class RenderingBusy(CarillonError):
    """The service is busy rendering: repeat the request in a moment."""

    code = "rendering_busy"
