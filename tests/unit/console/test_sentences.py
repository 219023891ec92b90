"""Errors of services in Russian: each sentence is what a service says, and has a translation."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from django.utils import translation
from msgspec import Meta

from console.sentences.texts import SENTENCES
from console.sentences.translating import LONGEST, translated
from notifications.api.bodies import check_body
from notifications.domain.errors import FieldError, InvalidRequest

SOURCE = Path(__file__).parents[3] / "src"
NAME = re.compile(r"%\((\w+)\)s")
REPEAT = ": repeat it in {} s"


def texts_of(path: Path) -> Iterator[str]:
    """Yields the texts of a file, with {} in place of values."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(
                str(each.value) if isinstance(each, ast.Constant) else "{}" for each in node.values
            )


def said_by_services() -> set[str]:
    folders = [SOURCE / "notifications", SOURCE / "directory"]
    files = [path for folder in folders for path in folder.rglob("*.py")]
    return {text for path in files for text in texts_of(path)}


def test_every_sentence_is_one_of_a_service() -> None:
    """A sentence whose service says something else now would never be found."""
    said = said_by_services()
    waits = "cannot {} a campaign with status {}", ", which waits for approval"
    composed = {f"{text}{REPEAT}" for text in said} | {"".join(waits)}
    assert said.issuperset(waits)
    unknown = [
        text
        for text in SENTENCES
        if not text.startswith("Expected `") and NAME.sub("{}", text) not in said | composed
    ]
    assert unknown == []
    assert len(SENTENCES) == len(set(SENTENCES)) > 150


def test_every_sentence_is_in_russian_with_the_same_names() -> None:
    with translation.override("ru"):
        for text in SENTENCES:
            found = translation.gettext(text)
            assert found != text
            assert set(NAME.findall(found)) <= set(NAME.findall(text))


class Body(msgspec.Struct, kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=3)] = "x"
    days: Annotated[int, Meta(ge=1, le=5)] = 1
    share: Annotated[float, Meta(ge=0, le=5)] = 1.0
    at: Annotated[str, Meta(pattern="^[0-9]$")] = "1"
    rows: Annotated[list[int], Meta(min_length=1, max_length=2)] = []


@pytest.mark.parametrize(
    "given",
    [
        {"name": ""}, {"name": "long"}, {"name": 5}, {"days": 0}, {"days": 9}, {"days": "x"},
        {"share": -1.0}, {"share": 9.0}, {"at": "x"}, {"rows": []}, {"rows": [1, 2, 3]},
        {"rows": ["x"]},
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_body_is_in_russian(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_body(given, Body)
    (error,) = refused.value.errors
    with translation.override("ru"):
        assert translated(error.detail).startswith("нуж"), error.detail


@pytest.mark.parametrize(
    ("text", "russian"),
    [
        (
            "cannot pause a campaign with status running",
            "нельзя приостановить кампанию в состоянии «выполняется»",
        ),
        (
            "cannot launch a campaign with status draft, which waits for approval",
            "нельзя запустить кампанию в состоянии «черновик», пока она ждёт одобрения",
        ),
        (
            "the limit of 5 requests an hour is used up: repeat it in 60 s",
            "исчерпан предел запросов в час (5): повторите через 60 \u0441",
        ),
        ("must be a list, not a number", "нужен список, \u0430 не число"),
        ("must be one of a, b, or null", "нужно одно из: a, b, или ничего"),
        (
            "template a.b requires x, y: add it to context",
            "шаблону a.b нужны переменные: x, y; добавьте их",
        ),
        ("there is no user 7", "нет пользователя 7"),
        ("something that no service says", "something that no service says"),
        ("must be one of ", "must be one of "),
        ("", ""),
    ],
)
def test_values_stand_in_the_translation(text: str, russian: str) -> None:
    with translation.override("ru"):
        assert translated(text) == russian
    for language in ("en", "en-gb"):
        with translation.override(language):
            assert translated(text) == text


def test_all_errors_of_a_request_are_translated_with_their_places() -> None:
    error = InvalidRequest(
        [
            FieldError("name", "required", "is required"),
            FieldError("steps[0].at", "invalid", "must be a whole number"),
            FieldError("", "other", "no service says it"),
        ]
    )
    with translation.override("ru"):
        assert translated(error.detail) == (
            "name: обязательно; steps[0].at: нужно целое число; : no service says it"
        )


def test_a_text_of_a_caller_is_no_translation() -> None:
    """A value with percent signs, names or a sentence in it stays what it is."""
    with translation.override("ru"):
        assert translated("there is no list %(name)s %s {}") == "нет списка %(name)s %s {}"
        assert translated("there is no list is required") == "нет списка is required"
        long = "there is no list " + "x" * LONGEST
        assert translated(long) == long
