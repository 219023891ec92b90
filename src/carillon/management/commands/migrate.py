"""Django's `migrate` of both databases, with longer limits of time than a service's statements."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.core.management.commands import migrate
from django.db import DEFAULT_DB_ALIAS, connections

from carillon.postgres.base import DatabaseWrapper
from carillon.postgres.limits import Limits

_LIMITS = Limits(statement_s=3600.0, lock_s=5.0, idle_s=600.0)
"""An index of a large table takes minutes. Waits for locks stay as short as elsewhere: a statement
that waits to change a table blocks all later ones."""


class Command(migrate.Command):
    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database=None)

    def get_check_kwargs(self, options: dict[str, Any]) -> Any:
        """Returns the arguments of Django's checks, which need the names of databases."""
        named = options["database"] or DEFAULT_DB_ALIAS
        return super().get_check_kwargs({**options, "database": named})

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrates the named database; without a name the key store, then the main database."""
        if options["database"] is None:
            if settings.KEYS_ALIAS != DEFAULT_DB_ALIAS and not options["app_label"]:
                self._migrate(*args, **{**options, "database": settings.KEYS_ALIAS})
            options["database"] = DEFAULT_DB_ALIAS
        self._migrate(*args, **options)

    def _migrate(self, *args: Any, **options: Any) -> None:
        if options["database"] == settings.KEYS_ALIAS != DEFAULT_DB_ALIAS:
            options["app_label"] = options["app_label"] or "vault"  # it has no other tables
            options["run_syncdb"] = False
        connection = connections[options["database"]]
        if isinstance(connection, DatabaseWrapper):
            with connection.limited(_LIMITS):
                super().handle(*args, **options)
        else:
            super().handle(*args, **options)
