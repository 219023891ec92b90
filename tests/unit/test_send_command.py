"""How `carillon send` reads its arguments and files."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import click
import pytest

from carillon.cli.send import _attachment, _pairs

COMMAND = click.Context(click.Command("send"))
OPTION = click.Option(["--context"])


def read(*words: str) -> dict[str, Any]:
    return _pairs(COMMAND, OPTION, words)


@pytest.mark.parametrize(
    ("words", "context"),
    [
        (["amount=29.99"], {"amount": 29.99}),
        (["name=Ada"], {"name": "Ada"}),
        (["order.id=5", "order.total=2.5"], {"order": {"id": 5, "total": 2.5}}),
        (["a.b.c=x=y"], {"a": {"b": {"c": "x=y"}}}),
        (['order={"id": 5}', "order.total=2"], {"order": {"id": 5, "total": 2}}),
        (['lines=[{"n": 1}, 2]'], {"lines": [{"n": 1}, 2]}),
        (['code="007"'], {"code": "007"}),
        (["code=007"], {"code": "007"}),
        (["gone=null", "on=true"], {"gone": None, "on": True}),
        (["x=NaN"], {"x": "NaN"}),
        (["x="], {"x": ""}),
        (["x={broken"], {"x": "{broken"}),
    ],
)
def test_values_are_json_and_names_may_have_parts(words: list[str], context: Any) -> None:
    assert read(*words) == context


@pytest.mark.parametrize(
    "words",
    [["x"], ["=1"], ["a..b=1"], [".a=1"], ["a=1", "a=2"], ["a=1", "a.b=2"], ["a.b=1", "a=2"]],
)
def test_contradictory_words_are_reported(words: list[str]) -> None:
    with pytest.raises(click.BadParameter):
        read(*words)


@pytest.mark.parametrize(
    ("name", "raw", "kind"),
    [
        ("a.txt", "Grüße".encode(), "text/plain; charset=utf-8"),
        ("a.csv", "Grüße".encode("latin-1"), "text/csv"),
        ("a.pdf", b"%PDF", "application/pdf"),
    ],
)
def test_a_text_file_has_its_charset(tmp_path: Path, name: str, raw: bytes, kind: str) -> None:
    (tmp_path / name).write_bytes(raw)
    found = _attachment(tmp_path / name)
    assert (found["content_type"], base64.b64decode(found["content"])) == (kind, raw)
