"""LIKE on SQLite: the case of all letters, and what the wildcards stand for."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.sqlite.like import like
from tests.pace import within


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("иван%", "Иван Петров", True),
        ("ИВАН%", "иван", True),
        ("%straße%", "Hauptstrasse 5", True),
        ("%стр_ка", "новая Строка", True),
        ("иван", "Иван Петров", False),
        ("a%a", "a", False),
        ("a%b%c", "aXbXbXc", True),
        ("%_b%", "ab", True),
        ("%_b", "b", False),
        ("50\\%", "50%", True),
        ("50\\%", "50 x", False),
        ("a\\_b", "a_b", True),
        ("a\\_b", "axb", False),
        ("_.", "x.", True),
        ("_.", "xy", False),
        ("", "", True),
        ("%", "", True),
        ("%%", "x\ny", True),
        ("a_c", "a\nc", True),
    ],
)
def test_like(pattern: str, text: str, found: bool) -> None:
    assert like(pattern, text, "\\") is found


def test_null_is_null() -> None:
    assert like(None, "x") is None
    assert like("x", None, "\\") is None
    assert like("1%", 15) is True


@given(st.text("abA%_\\.", max_size=8), st.text("abA%_\\.", max_size=8))
def test_it_is_what_a_regular_expression_would_find(pattern: str, text: str) -> None:
    spelled, letters = "", iter(pattern)
    for letter in letters:
        if letter == "\\":
            spelled += re.escape(next(letters, ""))
        else:
            spelled += {"%": ".*", "_": "."}.get(letter, re.escape(letter))
    expected = re.fullmatch(spelled, text, re.IGNORECASE | re.DOTALL) is not None
    assert like(pattern, text, "\\") is expected


def test_many_wildcards_take_linear_time() -> None:
    with within(1.0, cpu=True):
        assert like("%a" * 50 + "b", "a" * 20_000, "\\") is False
