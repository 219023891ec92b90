"""Reads bodies and query strings; reports every error at once, each with its path and code."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, TypeVar, get_args

import msgspec
from django.http import HttpRequest, QueryDict

from directory.moments import InvalidMoment, read_moment_or_wall_time
from directory.texts import MAX_DEPTH, find_unstorable, is_storable
from notifications.api.errors import InvalidJson, UnsupportedType
from notifications.api.route import Query
from notifications.domain.errors import FieldError, InvalidRequest, unknown_fields

T = TypeVar("T", bound=msgspec.Struct)
Text = Annotated[str, msgspec.Meta(max_length=200)]
Id = Annotated[int, msgspec.Meta(ge=1, le=(1 << 63) - 1)]
Ids = Annotated[list[Id], msgspec.Meta(min_length=1, max_length=10_000)]
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_DEEPEST = MAX_DEPTH + 10
"""The most levels of a body: those of a stored value, and of the object around it."""
_ESCAPED_MARK = b"\\u0022"
_ESCAPES = (b"\\u0000", b"\\ud", b"\\uD")
"""The escapes without which JSON cannot contain NUL or a lone surrogate."""


def read_object(request: HttpRequest) -> dict[str, Any]:
    """Returns the JSON object in the body.

    Raises:
        UnsupportedType: the request names another content type.
        InvalidJson: the body is not JSON (with the place), or not an object.
    """
    named = request.content_type or ""
    if named and named != "application/json" and not named.endswith("+json"):
        raise UnsupportedType(
            f"the body must be JSON, not {named[:100]}: send `Content-Type: application/json`"
        )
    check_content_encoding(request)
    return read_json(request.body)


def read_json(raw: bytes) -> dict[str, Any]:
    """Returns the JSON object in the bytes of a body.

    Raises:
        InvalidJson: the bytes are no JSON (with the place), or no object.
        InvalidRequest: a text in it cannot be stored.
    """
    if not raw.strip():
        raise InvalidJson("the body is empty: send a JSON object, `{}` to leave everything out")
    value = decode(raw)
    if not isinstance(value, dict):
        raise InvalidJson("the body must be a JSON object: { ... }")
    if any(escape in raw for escape in _ESCAPES):
        check_texts(value)
    return value


def check_content_encoding(request: HttpRequest) -> None:
    """Checks that the body is not compressed.

    Raises:
        UnsupportedType: Content-Encoding names an encoding.
    """
    coding = request.META.get("HTTP_CONTENT_ENCODING", "")
    if coding and coding.strip().lower() != "identity":
        raise UnsupportedType(
            f"the body must not be compressed, not by {coding[:20]!r} either:"
            " send it without Content-Encoding"
        )


def decode(raw: bytes) -> Any:
    """Returns the value of a JSON text.

    Raises:
        InvalidJson: the text is not JSON, with the place; or duplicate_key, with the key.
    """
    try:
        value = _decode(raw)
        if raw.count(b"{") + raw.count(b"[") > _DEEPEST:
            _check_depth(value)
        if _may_repeat_a_key(raw, value):
            json.loads(raw, object_pairs_hook=_pairs, parse_int=str, parse_float=str)
    except InvalidJson:
        raise
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidJson(f"the body is not JSON: {_lone_surrogate_in(raw) or error}") from error
    except RecursionError as error:
        raise InvalidJson("the body is nested too deeply") from error
    return value


def _check_depth(value: Any) -> None:
    """Checks the depth, so that no code that reads the value runs out of stack.

    Raises:
        InvalidJson: the value is nested too deeply.
    """
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return
    raise InvalidJson(f"the body is nested too deeply: {_DEEPEST} levels are read")


def _may_repeat_a_key(raw: bytes, value: Any) -> bool:
    """Returns whether a key may occur twice.

    Then the text has another number of quotation marks than the value that was read from it. A text
    that writes a mark as `\\u0022` cannot be compared so.
    """
    if _ESCAPED_MARK in raw:
        return True
    try:
        return raw.count(b'"') != _encode(value).count(b'"')
    except (OverflowError, UnicodeEncodeError):  # a long number, a lone surrogate
        return True


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        shown = twice[:100].encode("utf-8", "replace").decode()
        raise InvalidJson(f"{shown!r} is given twice: give every key once", code="duplicate_key")
    return found


def check_texts(value: Any) -> None:
    """Checks that every text and key of a JSON value can be stored and sent.

    Raises:
        InvalidRequest: with the path of the first that cannot.
    """
    wrong = find_unstorable(value)
    if wrong is not None:
        raise InvalidRequest([FieldError(*wrong)])


def _lone_surrogate_in(raw: bytes) -> str:
    """Returns the error of a body that is not JSON only because of a lone surrogate; else empty."""
    if not any(escape in raw for escape in _ESCAPES):
        return ""
    try:
        wrong = find_unstorable(json.loads(raw))
    except (ValueError, RecursionError):
        return ""
    return "" if wrong is None else f"{wrong.place} {wrong.detail}"


def check_body(body: Mapping[str, Any], shape: type[T]) -> T:
    """Returns the body as `shape`.

    Raises:
        InvalidRequest: with an error for every field that is missing, unknown or of a wrong type.
    """
    fields = msgspec.structs.fields(shape)
    names = [item.encode_name for item in fields]
    errors = unknown_fields(body, names)
    values: dict[str, Any] = {}
    for item in fields:
        if item.encode_name not in body:
            if item.required:
                errors.append(FieldError(item.encode_name, "required", "is required"))
            continue
        try:
            values[item.name] = _converted(body[item.encode_name], item.type)
        except InvalidMoment as error:
            errors.append(FieldError(item.encode_name, error.code, str(error)))
        except msgspec.ValidationError as error:
            errors.append(FieldError(item.encode_name, "wrong_type", _plain(str(error))))
    if errors:
        raise InvalidRequest(errors)
    return shape(**values)


def _converted(value: Any, kind: Any) -> Any:
    if isinstance(value, str) and datetime in (kind, *get_args(kind)):
        return read_moment_or_wall_time(value)
    return msgspec.convert(value, kind)


def _plain(text: str) -> str:
    """Returns msgspec's text without its name for the root, e.g. "Expected `int`, got `str`"."""
    return text.replace(" - at `$`", "").replace("`$", "`")


def read_query(given: QueryDict, wanted: Sequence[Query]) -> dict[str, Any]:
    """Returns the typed query parameters of a route.

    Raises:
        InvalidRequest: with an error for every parameter that is unknown, repeated or empty, and
            for every value that is not allowed.
    """
    names = [query.name for query in wanted]
    errors = [
        FieldError(each.path, "unknown_parameter", each.detail.replace("a field", "a parameter"))
        for each in unknown_fields(given, names or ("none",))
    ]
    values: dict[str, Any] = {}
    for query in wanted:
        texts = given.getlist(query.name)
        if len(texts) > 1:
            errors.append(FieldError(query.name, "repeated_parameter", "is given twice"))
        elif texts:
            try:
                values[query.name] = _typed(texts[0], query)
            except ValueError as error:
                errors.append(FieldError(query.name, "invalid", str(error)))
        elif query.required:
            errors.append(FieldError(query.name, "required", f"is required: {query.about}"))
        else:
            values[query.name] = query.default
    if errors:
        raise InvalidRequest(errors)
    return values


def _typed(text: str, query: Query) -> str | int | bool:
    if not text:
        raise ValueError("is empty: give it a value, or leave it out")
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
    if not is_storable(text):
        raise ValueError("must not contain NUL")
    if len(text) > query.longest:
        raise ValueError(f"must have {query.longest} characters at most")
    return text
