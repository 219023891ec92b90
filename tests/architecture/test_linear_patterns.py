"""Every regular expression of the source takes linear time in the length of its text.

The tests run each pattern by the method that the source calls on it. The texts are made of the
pattern's own characters: one repeated, two in turn, with and without a beginning.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from tests.architecture.test_budgets import ROOT, SOURCES, name

METHODS = ("match", "search", "fullmatch", "findall", "finditer", "sub", "split")
ODD = ("/testing/", "/bench/", "/chaos/")
SHORT, LONG = 1_500, 6_000
SUSPICIOUS_S = 0.004
BEGINNINGS = ("", "<a", "{%", "<style ")


class Use(NamedTuple):
    pattern: re.Pattern[Any]
    method: str


def _uses() -> Iterator[tuple[str, Use]]:
    for path in SOURCES:
        if any(word in name(path) for word in ODD) or "re." not in path.read_text():
            continue
        parts = path.relative_to(ROOT / "src").with_suffix("").parts
        module = ".".join(parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            owner, method = node.func.value, node.func.attr
            if not isinstance(owner, ast.Name) or method not in METHODS:
                continue
            if owner.id == "re":
                if isinstance(node.args[0], ast.Constant):
                    yield f"{module}:{node.lineno}", Use(re.compile(node.args[0].value), method)
                continue
            found = getattr(importlib.import_module(module), owner.id, None)
            if isinstance(found, re.Pattern):
                yield f"{module}:{owner.id}", Use(found, method)


def _call(use: Use) -> Callable[[Any], Any]:
    if use.method == "sub":
        return lambda text: use.pattern.sub(text[:0], text)
    if use.method == "finditer":
        return lambda text: list(use.pattern.finditer(text))
    found: Callable[[Any], Any] = getattr(use.pattern, use.method)
    return found


def _source(pattern: re.Pattern[Any]) -> str:
    source = pattern.pattern
    return source if isinstance(source, str) else source.decode()


def _makers(pattern: re.Pattern[Any]) -> Iterator[Callable[[int], str]]:
    """Yields functions that make texts of a given length that may be slow for a pattern."""
    source = _source(pattern)
    letters = [each for each in " \ta1<>'\"-.=&{%_/:;,+@" if each in source or each in " a1<"]
    words = sorted(set(re.findall(r"[A-Za-z]{2,}", source)), key=len, reverse=True)[:4]
    units = [*letters, "\n", *words]
    begun = [(begin, unit) for begin in (*BEGINNINGS, *words[:2]) for unit in units]
    turns = [("", a + b) for a, b in itertools.permutations(units[:10], 2)]
    for begin, unit in (*begun, *turns):
        yield lambda size, begin=begin, unit=unit: begin + unit * (size // len(unit)) + "\0"


def _seconds(call: Callable[[Any], Any], text: str, is_bytes: bool) -> float:
    given = text.encode() if is_bytes else text
    spent = []
    for _ in range(3):
        began = time.thread_time()
        call(given)
        spent.append(time.thread_time() - began)
        if spent[-1] < SUSPICIOUS_S:
            break
    return min(spent)


def slow_text(use: Use) -> str:
    """Returns the start of a text in which a pattern takes more than linear time, or ''."""
    call, is_bytes = _call(use), isinstance(use.pattern.pattern, bytes)
    for make in _makers(use.pattern):
        short = _seconds(call, make(SHORT), is_bytes)
        if short < SUSPICIOUS_S:
            continue
        if _seconds(call, make(LONG), is_bytes) > 8 * short:
            return make(40)
    return ""


FOUND = dict(_uses())


@pytest.mark.parametrize("place", FOUND)
def test_a_pattern_is_linear(place: str) -> None:
    assert slow_text(FOUND[place]) == ""


@pytest.mark.parametrize(
    "pattern", [r"\s*([^\n]*\S[^\n]*?)[ \t\r]*\n", r"<(/?)([a-z][a-z0-9-]*)([^<>]*)>", r"[\w.]+@x"]
)
def test_a_quadratic_pattern_would_be_found(pattern: str) -> None:
    method = "match" if pattern.startswith(r"\s") else "search"

    assert slow_text(Use(re.compile(pattern), method)) != ""


@pytest.mark.parametrize("place", FOUND)
def test_no_group_is_possessive(place: str) -> None:
    """Before Python 3.11.5 a group `(...)*+` matches less of a text than it should. Single
    characters and classes are safe (github.com/python/cpython, issue 106052)."""
    assert not re.search(r"(?<!\\)\)(?:[*+?]|\{[0-9,]+\})\+", _source(FOUND[place].pattern))


def test_patterns_are_found_where_texts_of_authors_are_read() -> None:
    modules = {place.partition(":")[0] for place in FOUND}

    assert {
        "notifications.rendering.mail.html",
        "notifications.rendering.mail.pages",
        "notifications.rendering.mail.tags",
        "notifications.rendering.titles",
        "notifications.domain.references",
        "notifications.delivery.mail.mime",
    } <= modules
