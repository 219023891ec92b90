"""CSV that a spreadsheet may open (RFC 4180): no cell of it is run as a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""What spreadsheets take for the beginning of a formula, and the wide forms of the signs, which
some of them read alike; blanks in front are skipped by others."""
_INNER = re.compile(r"(?<=[;\t\r\n])([^\S\t\r\n]*+)(?=[=+@\uff1d\uff0b\uff0d\uff20-])")
"""Where a cell begins to a spreadsheet that splits at semicolons or tabs, as in much of Europe: a
quote further on in a line is no quote to it."""


def safe_cell(text: str) -> str:
    """The text; with an apostrophe before what a spreadsheet would run, wherever that splits."""
    text = _INNER.sub(r"\1'", text)
    return f"'{text}" if text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA) else text


def csv_lines(rows: Iterable[Sequence[str]]) -> bytes:
    """Rows of cells as lines in UTF-8, each ended by CR LF."""
    written = io.StringIO()
    csv.writer(written).writerows([[safe_cell(cell) for cell in row] for row in rows])
    return written.getvalue().encode()
