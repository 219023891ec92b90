"""The fenced blocks of the pages, and which of them are commands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.docs.codes import ROOT

PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], key=lambda path: path.as_posix()
)
RUN = ("sh", "python", "javascript")
"""Kinds of blocks that a reader runs, and a test too."""
SHOWN = ("text", "json", "ini", "sql", "mermaid", "jinja", "nginx", "caddyfile", "html")
"""Kinds of blocks that a reader reads, or saves for another program."""
_FENCE = re.compile(r"^ *```(.*)$")
_FILE = re.compile(r"(?:#|//) ([\w.-]+\.(?:py|mjs|mts))$")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    page: str
    #: The line of the opening fence, counted from 1.
    line: int
    kind: str
    text: str

    @property
    def file(self) -> str:
        """The name of the file to save the block as; its first line is a comment with the name."""
        found = _FILE.match(self.text.partition("\n")[0])
        return found[1] if found else ""


def blocks_of(page: Path) -> list[Block]:
    """Returns all fenced blocks of a page, in order."""
    found: list[Block] = []
    kind, line, lines = "", 0, None
    for number, text in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.match(text)
        if fence and lines is None:
            kind, line, lines = fence[1], number, []
        elif fence and lines is not None:
            name = page.relative_to(ROOT).as_posix()
            found.append(Block(name, line, kind, "\n".join(lines) + "\n"))
            lines = None
        elif lines is not None:
            lines.append(text)
    assert lines is None, f"{page}: the block of line {line} does not end"
    return found


def commands_of(page: Path) -> list[Block]:
    """Returns the blocks of a page that a reader runs."""
    return [block for block in blocks_of(page) if block.kind in RUN]
