"""A text that a test requires to be absent cannot appear by chance in a hexadecimal id or hash."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
BY_CHANCE = re.compile(r'assert f?"[0-9a-f]{1,7}" not in ')


def test_no_text_that_must_be_absent_is_made_of_hexadecimal_digits() -> None:
    found = [
        f"{path.relative_to(TESTS)}:{number}"
        for path in sorted(TESTS.rglob("test_*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if BY_CHANCE.search(line)
    ]
    assert found == [], "use a longer text, or one with other letters"
