"""Django's `migrate`, with longer limits of time than a service's statements."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate
from django.db import connections

from carillon.postgres.base import DatabaseWrapper
from carillon.postgres.limits import Limits

_LIMITS = Limits(statement_s=3600.0, lock_s=5.0, idle_s=600.0)
"""An index of a large table takes minutes. Waits for locks stay as short as elsewhere: a statement
that waits to change a table blocks all later ones."""


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        if isinstance(connection, DatabaseWrapper):
            with connection.limited(_LIMITS):
                super().handle(*args, **options)
        else:
            super().handle(*args, **options)
