"""docs/audiences.md describes the audience language as the code has it."""

from __future__ import annotations

import json
import re

from directory.audiences import RULES, parse_audience
from directory.audiences.fields import CONTACTS, FIELDS
from directory.audiences.operands import MAX_VALUES
from directory.audiences.parse_context import MAX_DEPTH, MAX_LISTED, MAX_PARTS
from tests.docs.codes import ROOT

PAGE = (ROOT / "docs/audiences.md").read_text(encoding="utf-8")


def test_every_field_has_a_row():
    lines = [
        f"| `{field.name}` | {' '.join(f'`{op}`' for op in field.ops)} | {field.about} |"
        for field in FIELDS.values()
    ]
    assert [line for line in lines if line not in PAGE] == []
    section = PAGE.split("## Segment criteria")[1]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(FIELDS)


def test_every_rule_has_a_row():
    section = PAGE.split("## Rules")[1].split("## Nothing")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == RULES


def test_examples_are_valid_audiences():
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert parse_audience(json.loads(example))


def test_limits_are_those_of_the_code():
    assert f"up to {MAX_PARTS} parts, nested up to {MAX_DEPTH} deep" in PAGE
    assert f"up to {MAX_LISTED:,} people" in PAGE
    assert f"up to {MAX_VALUES:,} values" in PAGE
    assert all(f"`{kind}`" in PAGE for kind in CONTACTS)
