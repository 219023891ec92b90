"""Reads bodies and query strings: every error at once, each with its place and code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from django.http import HttpRequest

from notifications.api.errors import InvalidJson, UnsupportedType
from notifications.api.route import Query
from notifications.domain.errors import FieldError, InvalidRequest

T = TypeVar("T", bound=msgspec.Struct)
_decode = msgspec.json.Decoder().decode


def read_object(request: HttpRequest) -> dict[str, Any]:
    """The JSON object in the body.

    Raises:
        UnsupportedType: another content type was named.
        InvalidJson: no JSON (with the place), or not an object.
    """
    named = request.content_type or ""
    if named and named != "application/json" and not named.endswith("+json"):
        raise UnsupportedType(
            f"the body must be JSON, not {named}: send `Content-Type: application/json`"
        )
    raw = request.body
    if not raw.strip():
        raise InvalidJson("the body is empty: send a JSON object")
    try:
        value = _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidJson(f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise InvalidJson("the body is nested too deeply") from error
    if not isinstance(value, dict):
        raise InvalidJson("the body must be a JSON object: { ... }")
    return value


def check_body(body: Mapping[str, Any], shape: type[T]) -> T:
    """The body as `shape`.

    Raises:
        InvalidRequest: with an error for every field that is missing, unknown or of a wrong type.
    """
    fields = msgspec.structs.fields(shape)
    names = [item.encode_name for item in fields]
    errors = [
        FieldError(name, "unknown_field", f"is not a field here; known: {', '.join(names)}")
        for name in body
        if name not in names
    ]
    values: dict[str, Any] = {}
    for item in fields:
        if item.encode_name not in body:
            if item.required:
                errors.append(FieldError(item.encode_name, "required", "is required"))
            continue
        try:
            values[item.name] = msgspec.convert(body[item.encode_name], item.type)
        except msgspec.ValidationError as error:
            errors.append(FieldError(item.encode_name, "wrong_type", _plain(str(error))))
    if errors:
        raise InvalidRequest(errors)
    return shape(**values)


def _plain(text: str) -> str:
    """msgspec's words without its name for the root, e.g. "Expected `int`, got `str`"."""
    return text.replace(" - at `$`", "").replace("`$", "`")


def read_query(given: Mapping[str, str], wanted: Sequence[Query]) -> dict[str, Any]:
    """The query parameters that a route knows, typed; others are passed over.

    Raises:
        InvalidRequest: with an error for every value that cannot be used.
    """
    values: dict[str, Any] = {}
    errors: list[FieldError] = []
    for query in wanted:
        text = given.get(query.name, "")
        try:
            values[query.name] = _typed(text, query) if text else query.default
        except ValueError as error:
            errors.append(FieldError(query.name, "invalid", str(error)))
    if errors:
        raise InvalidRequest(errors)
    return values


def _typed(text: str, query: Query) -> str | int | bool:
    if query.kind == "boolean":
        if text.lower() not in ("true", "false", "1", "0"):
            raise ValueError("must be true or false")
        return text.lower() in ("true", "1")
    if query.kind == "integer":
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise ValueError("must be a whole number")
        if not query.lowest <= int(text) <= query.highest:
            raise ValueError(f"must be from {query.lowest} to {query.highest}")
        return int(text)
    if query.choices and text not in query.choices:
        raise ValueError(f"must be one of {', '.join(query.choices)}")
    if "\x00" in text:
        raise ValueError("must not contain NUL")
    return text
