"""The pages of codes list exactly the codes that the service responds with."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

import pytest

from tests.docs.codes import ANY_POSITION, POSITIONS, ROOT, SOURCES, codes_of_source

PAGE = "".join(
    (ROOT / "docs/reference" / name).read_text(encoding="utf-8")
    for name in ("errors.md", "outcomes.md", "access-errors.md", "analytics-errors.md")
)
LISTED = set(re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE))


@pytest.mark.parametrize("code", sorted(codes_of_source()))
def test_every_code_of_the_source_is_documented(code):
    assert any(fnmatchcase(each, code) for each in LISTED), f"add {code} to the page"


@pytest.mark.parametrize("code", sorted(LISTED))
def test_every_documented_code_exists(code):
    made = any(fnmatchcase(code, pattern) for pattern in codes_of_source())
    written = any(f'"{code}"' in path.read_text(encoding="utf-8") for path in SOURCES)
    assert made or written, f"the source has no code {code}"


@pytest.mark.parametrize("name", [*POSITIONS, *ANY_POSITION])
def test_every_callable_that_takes_a_code_exists(name):
    """A renamed callable would hide its codes from these tests."""
    defined = re.compile(rf"^ *(?:def|class) {name}\b", re.MULTILINE)
    assert any(defined.search(path.read_text(encoding="utf-8")) for path in SOURCES)
