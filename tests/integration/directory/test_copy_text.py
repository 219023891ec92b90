"""The text of COPY: values are read as they were written."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from django.db import connection

from directory.models.user import Role
from directory.rows import copy_text

TEXTS = [
    "",
    "plain",
    "back\\slash",
    r"\N",
    r"\x41",
    r"\.",
    "new\nline",
    "re\rturn",
    "tab\t",
    "имя",
    None,
    "end\\",
]
MOMENT = datetime(2026, 11, 23, 6, 30, 1, 234567, tzinfo=UTC)


@pytest.mark.django_db
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="PostgreSQL's COPY")
@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("text", TEXTS),
        ("text", ["same", "same"]),
        ("text", [r"\N", r"\N"]),
        ("text", [None, None]),
        ("text", [Role.TUTOR, Role.STUDENT]),
        ("bigint", [1, -5, 1 << 62, None]),
        ("boolean", [True, False, None]),
        ("bytea", [b"", b"\x00\xff\\", b"\n\t", None]),
        ("timestamptz", [MOMENT, None]),
        ("date", [date(2026, 11, 23)]),
        ("uuid", [UUID(int=5), UUID(int=7)]),
        ("double precision", [0.1, -1e300, None]),
        ("jsonb", ['{"a": "b\\nc"}', "null"]),
    ],
)
def test_every_value_comes_back_as_it_went_in(kind, values):
    connection.ensure_connection()
    rows = [(place, value, "x") for place, value in enumerate(values)]
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE copied (place int, value {kind}, tail text)")
        try:
            with (
                connection.connection.cursor() as raw,
                raw.copy("COPY copied FROM STDIN") as copy,
            ):
                copy.write(copy_text(rows))
            column = "value::text" if kind == "jsonb" else "value"
            cursor.execute(f"SELECT {column}, tail FROM copied ORDER BY place")
            found = cursor.fetchall()
        finally:
            cursor.execute("DROP TABLE copied")
    assert [bytes(v) if isinstance(v, memoryview) else v for v, _ in found] == values
    assert {tail for _, tail in found} == {"x"}


def test_no_rows_are_no_text():
    assert copy_text([]) == ""


def test_a_value_without_a_text_is_refused():
    with pytest.raises(TypeError, match="no column value: dict"):
        copy_text([[{}]])
