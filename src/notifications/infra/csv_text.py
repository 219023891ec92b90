"""CSV that a spreadsheet may open (RFC 4180): no cell runs as a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""Characters that begin a formula in a spreadsheet, and their wide forms, which some programs treat
alike. Some programs skip blanks before them."""
_INNER = re.compile(r"(?<=[;\t\r\n])([^\S\t\r\n]*+)(?=[=+@\uff1d\uff0b\uff0d\uff20-])")
"""Where a cell begins in a spreadsheet that splits at semicolons or tabs, as in much of Europe. It
does not treat a quote inside a line as a quote."""


def safe_cell(text: str) -> str:
    """Returns the text with an apostrophe before each part that a spreadsheet would run."""
    text = _INNER.sub(r"\1'", text)
    return f"'{text}" if text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA) else text


def csv_lines(rows: Iterable[Sequence[str]]) -> bytes:
    """Rows of cells as lines in UTF-8, each ended by CR LF."""
    written = io.StringIO()
    csv.writer(written).writerows([[safe_cell(cell) for cell in row] for row in rows])
    return written.getvalue().encode()
