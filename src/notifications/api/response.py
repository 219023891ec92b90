"""HTTP responses: encoded JSON, or a file that is made while it is sent. Neither is cached."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import msgspec
from django.http import HttpResponse, StreamingHttpResponse
from django.utils.functional import cached_property

CSV_TYPE = "text/csv"
JSON_TYPE = "application/json"
PROBLEM_TYPE = "application/problem+json"


class JsonResponse(HttpResponse):
    """A response of encoded JSON. `data` is decoded, as in Django REST framework's responses."""

    error_code = ""
    """The stable code of an error; empty for a success."""

    def __init__(self, content: bytes, status: int, content_type: str = JSON_TYPE) -> None:
        super().__init__(content, status=status, content_type=content_type)
        self["Cache-Control"] = "no-store"

    @cached_property
    def data(self) -> Any:
        return msgspec.json.decode(self.content) if self.content else None


class FileResponse(StreamingHttpResponse):
    """A file whose parts are made while they are sent.

    The first part is made here, so that its exception becomes an error response instead of a
    response that breaks off.
    """

    def __init__(self, parts: Iterator[bytes], *, name: str, media: str) -> None:
        super().__init__(
            chain([next(parts, b"")], parts),
            content_type=f"{media}; charset=utf-8",
            headers={
                "Cache-Control": "no-store",
                "Content-Disposition": f'attachment; filename="{name}"',
            },
        )
