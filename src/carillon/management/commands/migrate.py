"""Django's `migrate`, which may take its time where a service's statements may not."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate
from django.db import connections

from carillon.postgres.base import DatabaseWrapper
from carillon.postgres.limits import Limits

_LIMITS = Limits(statement_s=3600.0, lock_s=5.0, idle_s=600.0)
"""An index of a great table takes minutes. A lock is not waited for longer than by anybody else:
whoever waits to change a table holds up all who come later."""


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        if isinstance(connection, DatabaseWrapper):
            with connection.limited(_LIMITS):
                super().handle(*args, **options)
        else:
            super().handle(*args, **options)
