"""Every fenced block of a page has a kind; commands are in blocks that a test runs."""

from __future__ import annotations

import json
import re

import pytest

from carillon.cli import SUBCOMMANDS
from carillon.settings.environment import read_environment
from tests.docs.blocks import PAGES, ROOT, RUN, SHOWN, Block, blocks_of

NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
BLOCKS = [block for page in PAGES for block in blocks_of(page)]
COMMAND = re.compile(
    rf"^\s*(?:\$ |curl |make [a-z]|(?:\S+/)?carillon (?:{'|'.join(SUBCOMMANDS)})\b|import \w+$)",
    re.MULTILINE,
)


def place_of(block: Block) -> str:
    return f"{block.page}:{block.line}"


@pytest.mark.parametrize("block", BLOCKS, ids=place_of)
def test_a_block_has_a_kind(block):
    assert block.kind in (*RUN, *SHOWN)


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.kind in SHOWN], ids=place_of)
def test_a_block_that_is_only_shown_has_no_command(block):
    assert COMMAND.search(block.text) is None


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.kind == "json"], ids=place_of)
def test_a_json_block_is_valid_json(block):
    text = block.text if block.text.lstrip().startswith("{") else f"{{{block.text}}}"
    assert json.loads(text)


@pytest.mark.parametrize(
    "block", [b for b in BLOCKS if b.kind == "ini" and "CARILLON_" in b.text], ids=place_of
)
def test_shown_settings_are_valid(block, tmp_path):
    """The service accepts each line of a shown `.env` file."""
    lines = re.findall(r"^(CARILLON_\w+)=(.*)$", block.text, re.MULTILINE)
    given = {name: text.strip().strip("'\"") for name, text in lines}
    assert read_environment({"CARILLON_DATA_DIR": str(tmp_path), **given})
