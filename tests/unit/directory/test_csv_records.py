"""Records of real CSV files: wrong lines are reported, and the valid ones are found."""

from __future__ import annotations

import io
import json
from typing import Any
from unittest.mock import Mock

import pytest

from directory.imports import csv_records
from directory.imports.csv_records import Cell
from directory.imports.records import ImportFault, read_records

COLUMNS = ("username", "email", "attributes", "first_name")


def read(content: str | bytes, kind: Any = "csv") -> list[tuple[int, Any]]:
    """Reads a text as the command reads a file."""
    data = content.encode() if isinstance(content, str) else content
    lines = io.TextIOWrapper(
        io.BytesIO(data), encoding="utf-8", errors="surrogateescape", newline=""
    )
    return list(read_records(lines, kind=kind, columns=COLUMNS, nested=True))


def good(rows: list[tuple[int, Any]]) -> list[str]:
    return [row["username"] for _, row in rows if isinstance(row, dict)]


def bad(rows: list[tuple[int, Any]]) -> dict[int, str]:
    return {number: row for number, row in rows if isinstance(row, str)}


NEVER_CLOSED = {
    "to the end of the file": ('ann,a@x\nbob,"b@x\neve,e@x\ndan,d@x\n', [3], ["ann", "eve", "dan"]),
    "in the last line": ('ann,a@x\nbob,"b@x', [3], ["ann"]),
    "to the quote of a later cell": (
        'bob,"b@x\neve,e@x\ndan,"d@x"\nfay,f@x\n',
        [2],
        ["eve", "dan", "fay"],
    ),
    "twice": ('bob,"b@x\neve,e@x\ndan,"d@x\nfay,f@x\n', [2, 4], ["eve", "fay"]),
    "in a line of quotes": ('"bob","b@x\n"eve","e@x"\n"dan","d@x"\n', [2], ["eve", "dan"]),
    "so that one cell too many is there": ('bob,"b\neve,e",x\ndan,d@x\n', [2, 3], ["dan"]),
    "before a text of two lines": (
        'bob,"b@x\neve,"e\n@x"\ndan,d@x\n',
        [2],
        ["eve", "dan"],
    ),
}


@pytest.mark.parametrize(("lines", "wrong", "names"), NEVER_CLOSED.values(), ids=list(NEVER_CLOSED))
def test_an_unclosed_quote_spoils_only_its_own_line(
    lines: str, wrong: list[int], names: list[str]
) -> None:
    rows = read(f"username,email\n{lines}")

    assert list(bad(rows)) == wrong
    assert good(rows) == names
    assert "quote" in bad(rows)[wrong[0]] or "columns" in bad(rows)[wrong[0]]


def test_an_unclosed_quote_in_a_large_file_is_abandoned() -> None:
    lines = "".join(f"u{n},u{n}@example.org\n" for n in range(100_000))

    rows = read(f'username,email\nbob,"b@x\n{lines}')

    assert bad(rows) == {2: "opens a quote that is not closed"}
    assert len(good(rows)) == 100_000


def test_lines_that_each_open_a_quote_are_reread_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each line closes the quote of the line before and opens another one."""
    monkeypatch.setattr(csv_records, "MAX_RECORD", 10_000)
    monkeypatch.setattr(csv_records, "MAX_REREAD", 100_000)
    monkeypatch.setattr(csv_records, "not_utf8", Mock(return_value=""))
    count = 20_000

    rows = read("username,email\n" + 'a",",b\n' * count)

    assert len(bad(rows)) == count
    assert csv_records.not_utf8.call_count < 3 * count


def test_a_text_of_several_lines_is_one_record_at_its_first_line() -> None:
    rows = read('\ufeffusername,email\r\nbob,"x\r\ny ""z"""\r\neve,e\r\n')

    assert rows == [
        (2, {"username": "bob", "email": 'x\r\ny "z"'}),
        (4, {"username": "eve", "email": "e"}),
    ]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("heading", [["username", "email"], ["email", "username", "attributes.x"]])
def test_the_heading_decides_the_delimiter(mark: str, heading: list[str]) -> None:
    cells = [f'"{name}; of, all\tmarks"' for name in heading]

    ((number, row),) = read(f"{mark.join(heading)}\n{mark.join(cells)}\n")

    assert number == 2
    assert row["email"] == "email; of, all\tmarks"


def test_a_heading_without_known_columns_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ImportFault, match=r"unknown column 'fone'; known: .*attributes\.NAME"):
        read("username;fone\nx;y\n")
    with pytest.raises(ImportFault, match="the heading opens a quote that is not closed"):
        read('"username,email\nx,y\n')


LATIN = "username,email\nbob,b@x\nJos\u00e9,j@x\neve,e@x\n".encode("latin-1")


def test_a_line_that_is_not_utf8_is_reported_with_its_byte() -> None:
    rows = read(LATIN)

    assert bad(rows) == {3: "is not UTF-8: its byte 4 is 0xE9"}
    assert good(rows) == ["bob", "eve"]
    assert bad(read(b'{"username": "\xff"}\n{"username": "x"}\n', kind="ndjson")) == {
        1: "is not UTF-8: its byte 15 is 0xFF"
    }
    assert bad(read(b'username,email\nbob,"x\n\xe9",y\neve,e@x\n')) == {
        3: "is not UTF-8: its byte 1 is 0xE9, within the quote of line 2"
    }


@pytest.mark.parametrize(
    "content", ["username,email\nx,y\n".encode("utf-16"), "usernam\u00e9\nx\n".encode("latin-1")]
)
def test_a_file_that_is_not_utf8_is_refused_as_such(content: bytes) -> None:
    with pytest.raises(ImportFault, match="is not UTF-8: its byte"):
        read(content)


def test_an_attributes_column_and_single_attribute_columns_are_merged() -> None:
    cell = json.dumps({"a": 1, "grade": 7}).replace('"', '""')
    rows = read(
        "username,attributes,attributes.grade,attributes.b\n"
        f'ann,"{cell}",,2\nbob,"{cell}",7,2\neve,"{cell}",8,2\ndan,,7,\nfay,nonsense,7,\n'
    )

    assert rows[0][1]["attributes"] == {"a": 1, "grade": 7, "b": "2"}
    assert rows[1][1]["attributes"] == {"a": 1, "grade": 7, "b": "2"}
    assert bad(rows) == {4: "attributes.grade differs from attributes"}
    assert rows[3][1] == {"username": "dan", "attributes": {"grade": "7"}}
    assert rows[4][1]["attributes"] == "nonsense"


def test_a_column_may_state_the_type_of_its_attribute() -> None:
    rows = read(
        "username,attributes.n:number,attributes.b:boolean,attributes.t:text,attributes.x:y\n"
        "ann,7,TRUE,7,1\nbob,-7.5,false,,\neve,seven,,,\ndan,,perhaps,,\nfay,1e400,,,\n"
    )

    assert rows[0][1]["attributes"] == {"n": 7, "b": True, "t": "7", "x:y": "1"}
    assert rows[1][1]["attributes"] == {"n": -7.5, "b": False}
    assert bad(rows) == {
        4: "attributes.n must be a number, e.g. 7 or 7.5",
        5: "attributes.b must be true or false",
        6: "attributes.n must be a number, e.g. 7 or 7.5",
    }
    with pytest.raises(ImportFault, match="is there twice"):
        read("attributes.n:number,attributes.n\n1,2\n")


@pytest.mark.parametrize(
    ("text", "held", "found"),
    [
        ("7", 3, 7),
        ("7.5", 3, 7.5),
        ("007", 3, "007"),
        ("seven", 3, "seven"),
        ("9" * 400, 3, "9" * 400),
        ("true", False, True),
        ("1", True, "1"),
        ("7", "3", "7"),
        ("7", None, "7"),
        ("7", [3], "7"),
    ],
)
def test_a_cell_is_a_number_where_the_attribute_is_one(text: str, held: Any, found: Any) -> None:
    typed = Cell(text).typed_as(held)

    assert typed == found
    assert isinstance(typed, bool) == isinstance(found, bool)


@pytest.mark.parametrize("text", ["C:\\udemy", "\\u0000", "\\ud83c", "a\\nb", "\\"])
def test_a_backslash_is_an_ordinary_character(text: str) -> None:
    cell = json.dumps({"a": text}).replace('"', '""')
    rows = read(f'username,attributes,attributes.b\nann,"{cell}",{text}\n')

    assert rows == [(2, {"username": "ann", "attributes": {"a": text, "b": text}})]
