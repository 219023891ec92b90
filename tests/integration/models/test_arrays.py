"""Array literals for PostgreSQL: values are read as they were written."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import connection

from notifications.models.delivery.hot_postgres import array

TEXTS = ["", "plain", 'quo"te', "back\\slash", "{a,b}", "NULL", "new\nline", "tab\t", "имя", None]
MOMENT = datetime(2026, 11, 23, 6, 30, 1, 234567, tzinfo=UTC)


@pytest.mark.django_db
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="PostgreSQL's literals")
@pytest.mark.parametrize(
    ("cast", "values"),
    [
        ("text[]", TEXTS),
        ("bigint[]", [1, -5, 1 << 62, None]),
        ("bool[]", [True, False, None]),
        ("bytea[]", [b"", b"\x00\xff\\", b'"', None]),
        ("timestamptz[]", [MOMENT, None]),
        ("int[]", []),
    ],
)
def test_every_element_comes_back_as_it_went_in(cast, values):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT unnest(%s::{cast})", [array(values)])
        found = [bytes(v) if isinstance(v, memoryview) else v for (v,) in cursor.fetchall()]
    assert found == values


def test_a_value_without_a_literal_is_refused():
    with pytest.raises(TypeError, match="no array element: dict"):
        array([{}])
