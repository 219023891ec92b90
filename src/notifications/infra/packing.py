"""Packs values of callers as msgpack: what can be packed can be stored, rendered and passed on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from notifications.domain.errors import FieldError, InvalidRequest

_LONGEST_PLACE = 200
_encode = msgspec.msgpack.Encoder(enc_hook=str).encode
_UNPACKABLE = (OverflowError, UnicodeEncodeError, RecursionError)


def packed(value: Mapping[str, Any], *, place: str = "context") -> bytes:
    """Returns a mapping as msgpack. place: the field that holds it, for the error.

    Raises:
        InvalidRequest: number_out_of_range, invalid_text or too_deep, with the place.
    """
    try:
        return _encode(value)
    except _UNPACKABLE as error:
        raise InvalidRequest([_what_is_wrong(value, place)]) from error


def fault_in(value: Mapping[str, Any], *, place: str = "context") -> FieldError | None:
    """Returns the error that packing a mapping would have; None without one."""
    try:
        _encode(value)
    except _UNPACKABLE:
        return _what_is_wrong(value, place)
    return None


def _what_is_wrong(value: Mapping[str, Any], place: str) -> FieldError:
    """Returns the error of the first value that cannot be packed, with its place."""
    for at, each in _parts(value, place):
        if isinstance(each, int) and not -(2**63) <= each < 2**64:
            detail = "must fit 64 bits: send a longer number as a text"
            return FieldError(_shown(at), "number_out_of_range", detail)
        if isinstance(each, str) and not _is_whole(each):
            detail = "holds half of a character (a surrogate)"
            return FieldError(_shown(at), "invalid_text", detail)
    return FieldError(place, "too_deep", "is nested too deeply")


def _parts(value: Mapping[str, Any], place: str) -> Iterator[tuple[str, Any]]:
    """Yields every text and number of a value, keys included, with its place."""
    waiting: list[tuple[str, Any]] = [(place, value)]
    while waiting:
        at, each = waiting.pop()
        if isinstance(each, Mapping):
            waiting += [(f"{at}.{key}"[:_LONGEST_PLACE], inner) for key, inner in each.items()]
            waiting += [(at, key) for key in each]
        elif isinstance(each, list | tuple):
            waiting += [(f"{at}[{n}]"[:_LONGEST_PLACE], inner) for n, inner in enumerate(each)]
        else:
            yield at, each


def _shown(place: str) -> str:
    return place.encode("utf-8", "replace").decode()


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
