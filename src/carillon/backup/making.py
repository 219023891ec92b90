"""Makes a backup: the main database first, then the key store.

A key is committed before the rows that need it. So the key store, copied second, has the keys of
all rows in the copy of the main database, or says that they were erased.
"""

from __future__ import annotations

import secrets
import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path

from django.db import connections
from django.db.migrations.recorder import MigrationRecorder

from carillon.backup.archives import (
    KEYS,
    MAIN,
    Manifest,
    Part,
    archive_name,
    archives_in,
    digest_of,
    time_of,
    write_archive,
)
from carillon.backup.databases import Place, Programs, copy_out, keys_in_main
from carillon.backup.leftovers import SPACE, delete_extracted, delete_leftovers
from notifications.infra.conf import environment
from notifications.models import AuditCheckpoint

PARTS: tuple[Part, ...] = (MAIN, KEYS)


@dataclass(slots=True)
class MadeBackup:
    """The files of a backup."""

    main: Path
    keys: Path
    keys_in_main: bool
    #: Archives of keys, and what killed backups left, that were deleted because of their age.
    deleted: list[Path] = field(default_factory=list)


def make_backup(folder: Path, *, now: datetime, keys_days: int, programs: Programs) -> MadeBackup:
    """Writes two archives into a folder, then deletes old archives of keys there.

    Args:
        folder: it is created where it is missing.
        now: the time in the names.
        keys_days: how long archives of keys are stored.
        programs: how pg_dump is run.

    Raises:
        OSError: the folder cannot be written, or an archive of this second exists.
        ProgramFailed: pg_dump is missing or failed.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    left = delete_leftovers(folder, now=now)
    delete_extracted(environment().data_dir.absolute(), now=now)
    backup, made = secrets.token_hex(8), {}
    with tempfile.TemporaryDirectory(prefix=SPACE, dir=folder) as space:
        for part in PARTS:
            made[part] = _write(folder, Path(space), part, backup, now=now, programs=programs)
    found = MadeBackup(made[MAIN], made[KEYS], keys_in_main())
    found.deleted = left + delete_old_keys(folder, now=now, days=keys_days)
    return found


def _write(
    folder: Path, space: Path, part: Part, backup: str, *, now: datetime, programs: Programs
) -> Path:
    place, content, path = Place(part), space / part, folder / archive_name(part, now)
    newest = AuditCheckpoint.objects.order_by("-pk").values_list("note", flat=True).first()
    migrations = sorted(".".join(key) for key in applied_migrations(place.alias))
    copy_out(place, content, programs)
    digest, size = digest_of(content)
    manifest = Manifest(
        part=part,
        backup=backup,
        version=version("carillon"),
        database=place.kind,
        keys_in_main=keys_in_main(),
        at=now,
        migrations=migrations,
        sha256=digest,
        bytes=size,
        checkpoint=newest or "",
    )
    write_archive(path, manifest, content)
    content.unlink()
    return path


def applied_migrations(alias: str) -> list[tuple[str, str]]:
    """Returns the app and the name of each migration that a database has."""
    return list(MigrationRecorder(connections[alias]).applied_migrations())


def delete_old_keys(folder: Path, *, now: datetime, days: int) -> list[Path]:
    """Deletes archives of keys in a folder whose name is older than some days; returns them.

    What killed backups left there goes, too.
    """
    oldest, deleted = now - timedelta(days=days), delete_leftovers(folder, now=now)
    for path in archives_in(folder, KEYS):
        at = time_of(path)
        if at is not None and at < oldest:
            path.unlink(missing_ok=True)
            deleted.append(path)
    return deleted
