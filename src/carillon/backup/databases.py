"""Copies one database into a file, and a file into an empty database.

SQLite is copied by its online backup, PostgreSQL by `pg_dump` in the custom format. The row that
lets an installation send is never part of a copy of the main database.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connections

from carillon.backup.archives import DatabaseKind, InvalidArchive, Part
from carillon.backup.programs import run_program
from notifications.infra.files import flush_folder
from notifications.models.operations.installation import TABLE as STATE_TABLE

KEY_TABLES = ("vault_datakey", "vault_erasedkey")
_BESIDE = ("-wal", "-shm", "-journal")
_LOCK_S = 30.0


class NotEmpty(Exception):
    """The database that is restored into has rows."""


@dataclass(frozen=True, slots=True)
class Programs:
    """How the programs of PostgreSQL are run."""

    #: Their folder; empty: they are on PATH.
    folder: str
    #: The longest time (s) that one may run.
    seconds: float


@dataclass(frozen=True, slots=True)
class Place:
    """One of the two databases of an installation."""

    part: Part

    @property
    def alias(self) -> str:
        """Django's name of the database."""
        return "default" if self.part == "main" else settings.KEYS_ALIAS

    @property
    def settings(self) -> dict[str, Any]:
        """Django's settings of the database."""
        found: dict[str, Any] = settings.DATABASES[self.alias]
        return found

    @property
    def kind(self) -> DatabaseKind:
        """Which database it is."""
        return "sqlite" if self.settings["ENGINE"] == "carillon.sqlite" else "postgresql"

    @property
    def file(self) -> Path:
        """The file of an SQLite database."""
        return Path(str(self.settings["NAME"]))

    @property
    def shares_main(self) -> bool:
        """Whether it is the key store, and its tables are in the main database."""
        return self.part == "keys" and keys_in_main()


def keys_in_main() -> bool:
    """Whether the keys of people are tables of the main database."""
    main, keys = settings.DATABASES["default"], settings.DATABASES[settings.KEYS_ALIAS]
    names = ("ENGINE", "NAME", "HOST", "PORT")
    return bool(settings.KEYS_ALIAS == "default") or all(main[each] == keys[each] for each in names)


def copy_out(place: Place, target: Path, programs: Programs) -> None:
    """Copies a database into a new file, while the service runs.

    Raises:
        ProgramFailed: pg_dump is missing or failed. sqlite3.Error: the file cannot be read.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    if place.kind == "sqlite":
        _copy_sqlite(place, target)
        return
    words = ["--format=custom", f"--file={target}"]
    if place.part == "main":
        # In any schema: pg_dump's search path may be another one than that of the service.
        words += [f"--exclude-table=*.{name}" for name in KEY_TABLES]
        words += [f"--exclude-table-data=*.{STATE_TABLE}"]
    elif place.shares_main:
        words += [f"--table={name}" for name in _with_schema(place, KEY_TABLES)]
    run_program("pg_dump", words, place.settings, folder=programs.folder, seconds=programs.seconds)


def _with_schema(place: Place, names: Sequence[str]) -> list[str]:
    """Returns the names of tables with the schema in which the service finds them."""
    with connections[place.alias].cursor() as cursor:
        cursor.execute(
            "SELECT relnamespace::regnamespace::text || '.' || relname FROM pg_class"
            " WHERE oid IN (SELECT to_regclass(name) FROM unnest(%s::text[]) AS name)",
            [list(names)],
        )
        return sorted(found for (found,) in cursor.fetchall())


def _copy_sqlite(place: Place, target: Path) -> None:
    source_uri = f"{place.file.absolute().as_uri()}?mode=ro"
    with (
        closing(sqlite3.connect(source_uri, uri=True, timeout=_LOCK_S)) as source,
        closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy)  # in one step: one snapshot, and no writer waits for it
        copy.execute("PRAGMA journal_mode=DELETE")
        copy.execute("PRAGMA secure_delete=ON")
        if place.part == "main":
            copy.execute(f"DELETE FROM {STATE_TABLE}")  # noqa: S608 -- a constant
            for name in KEY_TABLES:
                copy.execute(f"DROP TABLE IF EXISTS {name}")
            copy.commit()


def check_copy(kind: DatabaseKind, content: Path) -> None:
    """Checks that an extracted SQLite copy is whole; pg_restore checks its own.

    Raises:
        InvalidArchive: it is damaged.
    """
    if kind != "sqlite":
        return
    try:
        with closing(sqlite3.connect(content)) as copy:
            problem = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        problem = str(error)
    if problem != "ok":
        raise InvalidArchive(f"the database in the archive is damaged: {problem}")


def row_count(place: Place) -> int:
    """Returns how many rows a database has that a new installation has not; 0 without tables."""
    if place.kind == "sqlite" and not place.file.exists():
        return 0
    connection = connections[place.alias]
    present = set(connection.introspection.table_names())
    wanted: Sequence[str] = KEY_TABLES
    if place.part == "main":
        wanted = ("directory_user", "notifications_notification", "notifications_auditleaf")
    count = 0
    with connection.cursor() as cursor:
        for name in wanted:
            if name in present:
                cursor.execute(f"SELECT count(*) FROM (SELECT 1 FROM {name} LIMIT 1000) q")  # noqa: S608
                count += cursor.fetchone()[0]
    return count


def copy_in(place: Place, content: Path, programs: Programs) -> None:
    """Replaces a database by the content of an archive. On SQLite the file is moved away.

    Raises:
        ProgramFailed: pg_restore is missing or failed. OSError: the file cannot be replaced.
    """
    if place.kind == "sqlite":
        connections[place.alias].close()
        for ending in _BESIDE:
            Path(f"{place.file}{ending}").unlink(missing_ok=True)
        content.replace(place.file)
        flush_folder(place.file.parent)
        return
    _drop_tables(place)
    words = ["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"]
    run_program(
        "pg_restore",
        [*words, str(content)],
        place.settings,
        folder=programs.folder,
        seconds=programs.seconds,
    )
    with connections[place.alias].cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("ANALYZE")
    connections[place.alias].close()


def _drop_tables(place: Place) -> None:
    """Drops all tables of a database, or only those of the keys, or all but those."""
    connection = connections[place.alias]
    present = connection.introspection.table_names()
    if place.shares_main:
        chosen = [name for name in present if name in KEY_TABLES]
    elif keys_in_main():
        chosen = [name for name in present if name not in KEY_TABLES]
    else:
        chosen = present
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        for name in chosen:
            cursor.execute(f"DROP TABLE IF EXISTS {connection.ops.quote_name(name)} CASCADE")
        if place.part == "main":
            cursor.execute(
                "SELECT p.oid::regprocedure::text FROM pg_proc p"
                " JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = current_schema()"
            )
            for (routine,) in cursor.fetchall():
                cursor.execute(f"DROP ROUTINE IF EXISTS {routine} CASCADE")
    connection.close()
