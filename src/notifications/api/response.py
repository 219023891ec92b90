"""The one form of an HTTP answer: JSON bytes that are ready to go, and never cached."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import msgspec
from django.http import HttpResponse

JSON_TYPE = "application/json"
PROBLEM_TYPE = "application/problem+json"


class JsonAnswer(HttpResponse):
    """JSON bytes. `data` is what they say, as in Django REST framework's own answers."""

    error_code = ""
    """The stable code of what is told, where it is an error."""

    def __init__(self, content: bytes, status: int, content_type: str = JSON_TYPE) -> None:
        super().__init__(content, status=status, content_type=content_type)
        self["Cache-Control"] = "no-store"

    @cached_property
    def data(self) -> Any:
        return msgspec.json.decode(self.content) if self.content else None
