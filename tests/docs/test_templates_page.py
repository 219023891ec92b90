"""docs/templates.md names exactly the filters, tests and functions that templates may use."""

from __future__ import annotations

import inspect
import re

import pytest

from notifications.rendering.language.filters import FILTERS, TESTS
from notifications.rendering.language.formats import Formats
from notifications.rendering.language.sandbox import Sandbox
from tests.docs.codes import ROOT

PAGE = (ROOT / "docs/templates.md").read_text(encoding="utf-8")
SECTION = PAGE.split("## The filters")[1].split("\n## ")[0]
TABLE = re.findall(r"^\| (`.+?`) \| `?(.+?)`? \| ", SECTION, re.MULTILINE)
OURS = [each for cell, _ in TABLE for each in re.findall(r"`(\w+(?:\(.*?\))?)`", cell)]


def names_after(start: str, *, until: str) -> list[str]:
    return re.findall(r"`([^`{]+)`", SECTION.split(start)[1].split(until)[0])


def test_the_page_names_every_filter_once():
    jinjas = names_after("These filters of Jinja are available:", until="\n\n")
    named = [each.partition("(")[0] for each in OURS] + jinjas
    assert sorted(named) == sorted(FILTERS)


def test_the_page_names_every_test_once():
    assert sorted(names_after("divisibleby 3 %}`:", until="\n\n")) == sorted(TESTS)


def test_the_page_names_every_function_once():
    named = names_after("These functions are available:", until="\n\n")
    assert sorted(named) == sorted(Sandbox(html=False).globals)


@pytest.mark.parametrize("given", OURS)
def test_a_filter_has_the_documented_arguments(given):
    name, _, arguments = given.removesuffix(")").partition("(")
    documented = re.findall(r"(\w+)(?:='?(\w+)'?)?", arguments)
    known = inspect.signature(getattr(Formats, f"as_{name}", FILTERS[name])).parameters
    for argument, default in documented:
        assert argument in known
        if default:
            assert str(known[argument].default) == default


@pytest.mark.parametrize(
    "example", [each for _, cell in TABLE for each in re.findall(r"\{\{.*?\}\}", cell)]
)
def test_an_example_is_a_valid_template(example):
    sandbox = Sandbox(html=False)
    sandbox.check(sandbox.parse(example.replace("\\|", "|")))
