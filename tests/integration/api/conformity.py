"""Holds what the server answers against the document that it publishes."""

from __future__ import annotations

import functools
import json
import re
import threading
from typing import Any

from jsonschema import Draft202012Validator
from rest_framework.test import APIClient

from notifications.api.openapi import openapi_document

_making = threading.Lock()


def document() -> dict[str, Any]:
    with _making:  # drf-spectacular cannot make the first one in two threads at once
        return _document()


@functools.cache
def _document() -> dict[str, Any]:
    return openapi_document()


@functools.cache
def _paths() -> list[tuple[re.Pattern[str], str]]:
    return [
        (re.compile(re.sub(r"\{\w+\}", "[^/]+", path) + "/?"), path)
        for path in sorted(document()["paths"], key=lambda path: path.count("{"))
    ]


def operation_of(method: str, path: str) -> dict[str, Any] | None:
    """What the document says of a call; None for a call that it does not know."""
    for pattern, known in _paths():
        if pattern.fullmatch(path):
            found: dict[str, Any] | None = document()["paths"][known].get(method.lower())
            if found:
                return found
    return None


def check_answer(method: str, path: str, response: Any) -> None:
    """Asserts that status, content type and body are as documented."""
    operation = operation_of(method, path)
    if operation is None:
        return
    documented = operation["responses"].get(str(response.status_code))
    assert documented is not None, f"{method} {path} returned an undocumented status"
    if "$ref" in documented:
        documented = document()["components"]["responses"][documented["$ref"].rpartition("/")[2]]
    if "content" not in documented:
        assert response.content == b""
        return
    content_type = response["Content-Type"].split(";")[0]
    assert content_type in documented["content"], f"{content_type} is not documented"
    if response.streaming or "json" not in content_type:  # a file or a page, which people read
        return
    schema = {
        **documented["content"][content_type]["schema"],
        "components": document()["components"],
    }
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    faults = [error.message for error in validator.iter_errors(json.loads(response.content))]
    assert not faults, f"{method} {path}: {faults}"


class DocumentedClient(APIClient):
    """An APIClient each of whose answers must be as documented."""

    def request(self, **kwargs: Any) -> Any:
        response = super().request(**kwargs)
        check_answer(kwargs["REQUEST_METHOD"], kwargs["PATH_INFO"], response)
        return response
