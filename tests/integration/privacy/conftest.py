"""What the tests of privacy share."""

from __future__ import annotations

from django.db import connections

from tests.integration.api.conftest import api, as_staff, as_user, staff, template, user, with_key

__all__ = [
    "api",
    "as_staff",
    "as_user",
    "staff",
    "template",
    "texts_of_database",
    "user",
    "with_key",
]


def texts_of_database() -> str:
    """Everything that the rows of both databases have, as text."""
    found = []
    for connection in connections.all():
        with connection.cursor() as cursor:
            for table in connection.introspection.table_names(cursor):
                cursor.execute(f'SELECT * FROM "{table}"')
                for row in cursor.fetchall():
                    found += [
                        bytes(v).decode("latin-1") if isinstance(v, bytes | memoryview) else str(v)
                        for v in row
                    ]
    return "\n".join(found)
