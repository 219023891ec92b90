"""Bodies and query strings: every error at once."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
import pytest
from django.http import QueryDict
from django.test import RequestFactory

from notifications.api.bodies import check_body, read_object, read_query
from notifications.api.errors import InvalidJson, UnsupportedType
from notifications.api.route import Query
from notifications.domain.errors import InvalidRequest


class Shape(msgspec.Struct, kw_only=True):
    name: Annotated[str, msgspec.Meta(max_length=5)]
    count: int = 1
    ids: list[int] = []


def read(body: bytes, content_type: str = "application/json") -> dict[str, Any]:
    return read_object(RequestFactory().post("/", body, content_type=content_type))


def test_an_object_is_read() -> None:
    assert read(b'{"name": "\xd0\x90"}') == {"name": "\N{CYRILLIC CAPITAL LETTER A}"}


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "application/merge-patch+json", ""],
)
def test_json_types_and_none_at_all_are_taken(content_type: str) -> None:
    assert read(b"{}", content_type) == {}


@pytest.mark.parametrize(
    ("_case", "body", "words"),
    [
        ("empty", b"", "empty"),
        ("blank", b"  \n", "empty"),
        ("broken", b'{"a": }', "byte 6"),
        ("trailing", b"{} x", "trailing"),
        ("not UTF-8", b'{"a": "\xff"}', "not JSON"),
        ("lone surrogate", b'{"a": "\\ud800"}', "not JSON"),
        ("not a number", b'{"a": NaN}', "byte 6"),
        ("list", b"[1]", "must be a JSON object"),
        ("text", b'"a"', "must be a JSON object"),
        ("abyss", b'{"a":' * 100_000, "nested too deeply"),
        ("deep", b'{"a":' * 111 + b"1" + b"}" * 111, "nested too deeply"),
        ("deep aside", b'{"b":[' + b"[]," * 99 + b"[" * 110 + b"]" * 111 + b"}", "nested too"),
    ],
)
def test_what_is_no_object_is_reported_with_its_place(_case: str, body: bytes, words: str) -> None:
    with pytest.raises(InvalidJson) as caught:
        read(body)

    assert caught.value.code == "invalid_json"
    assert words in caught.value.detail


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (b'{"name": "a", "name": "b"}', "name"),
        (b'{"name": 1, "a": 1, "name": 1}', "name"),
        (b'{"a": [{"b": {"c": 1, "c": 1}}]}', "c"),
        (b'{"\\u0061": 1, "a": 1}', "a"),
        (b'{"a": 1, "a": "\\u0022\\u0022"}', "a"),  # as many marks as the value read from it
        (b'{"a": 1, "a": "\\"\\""}', "a"),
        (b'{"": 1, "": 2}', "''"),
        (b'{"a": 123456789012345678901234567890, "a": 1}', "a"),
        (b'{"\\"": 1, "\\u0022": 1}', '"'),
        ('{"\N{SNOWMAN}": 1, "\\u2603": 1}'.encode(), "\N{SNOWMAN}"),
    ],
)
def test_a_key_that_is_given_twice_is_refused_at_any_depth(body: bytes, key: str) -> None:
    with pytest.raises(InvalidJson) as caught:
        read(body)

    assert caught.value.code == "duplicate_key"
    assert f"{key}" in caught.value.detail


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": "a", "b": {"a": "\\u0022", "c": "\\""}}',
        b'{"a": 123456789012345678901234567890, "b": 1e300}',
        b'{"a": [{"a": 1}, {"a": 1}], "A": 1}',
        b'{"a": ' + b"[" * 90 + b"]" * 90 + b"}",
    ],
)
def test_what_only_looks_like_a_double_is_taken(body: bytes) -> None:
    assert "a" in read(body)


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip", "x" * 5_000])
def test_a_compressed_body_is_refused_by_the_name_of_its_coding(coding: str) -> None:
    request = RequestFactory().post(
        "/", b"{}", content_type="application/json", headers={"Content-Encoding": coding}
    )

    with pytest.raises(UnsupportedType, match="Content-Encoding"):
        read_object(request)


def test_another_content_type_is_refused_with_the_correction() -> None:
    with pytest.raises(UnsupportedType) as caught:
        read(b"a=1", "application/x-www-form-urlencoded")

    assert "Content-Type: application/json" in caught.value.detail


def test_a_valid_body_becomes_its_shape() -> None:
    assert check_body({"name": "Ada", "ids": [1]}, Shape) == Shape(name="Ada", ids=[1])


def test_every_error_of_a_body_is_reported_at_once() -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_body({"count": "1", "ids": [1, "x"], "colour": 1}, Shape)

    assert {(error.path, error.code) for error in caught.value.errors} == {
        ("colour", "unknown_field"),
        ("name", "required"),
        ("count", "wrong_type"),
        ("ids", "wrong_type"),
    }
    details = {error.path: error.detail for error in caught.value.errors}
    assert details["count"] == "Expected `int`, got `str`"
    assert details["ids"].endswith("at `[1]`")


WANTED = (
    Query(name="cursor", about=""),
    Query(name="limit", about="", kind="integer", default=50, lowest=1, highest=200),
    Query(name="resolved", about="", kind="boolean", default=False),
    Query(name="sort", about="", choices=("up", "down"), default="up"),
)


def test_a_query_is_typed_and_defaults_fill_it() -> None:
    given = QueryDict("limit=7&resolved=true")

    assert read_query(given, WANTED) == {
        "cursor": "",
        "limit": 7,
        "resolved": True,
        "sort": "up",
    }


def test_every_error_of_a_query_is_reported_at_once() -> None:
    given = QueryDict("limit=0&resolved=maybe&sort=sideways&cursor=%00&other=1&page=")

    with pytest.raises(InvalidRequest) as caught:
        read_query(given, WANTED)

    assert {error.path: error.detail for error in caught.value.errors} == {
        "limit": "must be from 1 to 200",
        "resolved": "must be true or false",
        "sort": "must be one of up, down",
        "cursor": "must not contain NUL",
        "other": "is not a parameter here; known: cursor, limit, resolved, sort",
        "page": "is not a parameter here",
    }


@pytest.mark.parametrize("asked", ["limit=", "sort=", "resolved=", "cursor="])
def test_an_empty_parameter_is_no_default(asked: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_query(QueryDict(asked), WANTED)

    assert "is empty" in caught.value.errors[0].detail


def test_a_parameter_twice_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_query(QueryDict("limit=1&limit=2"), WANTED)

    assert caught.value.code == "repeated_parameter"


@pytest.mark.parametrize("text", ["-1", "1.0", "٣", "1" * 30, "x"])
def test_an_integer_is_digits_only(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_query(QueryDict(urlencode({"limit": text})), WANTED)

    assert caught.value.errors[0].detail == "must be a whole number"
