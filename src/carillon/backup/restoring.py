"""Restores archives into an installation.

The main database comes first. From then on no process starts, until everything is settled: the
copy has no row that says so. The erasures that the present databases know are written to a file
before they are replaced, so that an interrupted restore loses none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from django.core.management import call_command
from django.db import DatabaseError, connections
from django.db.migrations.loader import MigrationLoader

from carillon.backup.archives import (
    KEYS,
    MAIN,
    InvalidArchive,
    Manifest,
    archives_in,
    extract,
    read_manifest,
    time_of,
)
from carillon.backup.databases import (
    NotEmpty,
    Place,
    Programs,
    check_copy,
    copy_in,
    keys_in_main,
    row_count,
)
from carillon.backup.leftovers import delete_extracted, extracted_copy
from carillon.backup.loaded import forget_loaded, loaded_time
from notifications.features.audit.restores import check_continues
from notifications.features.privacy.known import KnownErasures, read_erasures, write_erasures
from notifications.features.restoring.service import RestoreSummary, settle_restored
from notifications.infra import clock
from notifications.infra.audit_keys import open_checkpoint
from notifications.infra.database.time import database_time
from notifications.infra.files import DRAFT
from notifications.models import InstallationState, WorkerProcess

Report = Callable[[str], object]
_SAVED = "erasures-before-restore-*.ndjson"


class StillRunning(Exception):
    """Workers use the database that is to be restored."""


class UnknownErasures(Exception):
    """It is not known which people were erased since the backup."""


@dataclass(slots=True)
class RestorePlan:
    """What is restored, and from where erasures are known."""

    #: The archive of the main database; None where the database is in place already.
    main: Path | None
    #: The archive of the keys; None: the present key store stays.
    keys: Path | None
    erasures: Sequence[Path]
    #: The caller states that no one was erased since this time.
    none_since: datetime | None
    #: Whether rows of the present databases may be replaced.
    replaces: bool
    send_open: bool
    #: The folder for the file of erasures of the present databases.
    folder: Path
    programs: Programs
    #: Whether the two archives may be of different backups.
    mixes: bool = False
    manifests: dict[Path, Manifest] = field(default_factory=dict)
    #: The newest time in a database that is in place already.
    loaded_at: datetime | None = None

    @property
    def archives(self) -> list[tuple[Place, Path]]:
        """The archives to restore, in their order."""
        given = ((Place(MAIN), self.main), (Place(KEYS), self.keys))
        return [(place, path) for place, path in given if path is not None]

    @property
    def backup_at(self) -> datetime | None:
        """When the archive of the main database was made, or the newest time in the loaded one."""
        return self.manifests[self.main].at if self.main is not None else self.loaded_at


def choose_archives(paths: Sequence[Path]) -> tuple[Path, Path | None]:
    """Returns the archives of main database and keys: those given, or the newest of a folder.

    Of a folder, the archive of keys is that of the same time, or else the newest.

    Raises:
        InvalidArchive: there is none of the main database, or two of one part.
    """
    if len(paths) == 1 and paths[0].is_dir():
        (folder,) = paths
        mains, keys = archives_in(folder, MAIN), archives_in(folder, KEYS)
        if not mains:
            raise InvalidArchive(f"{folder} has no archive of a main database")
        own = [path for path in keys if time_of(path) == time_of(mains[-1])]
        chosen = own or keys
        return mains[-1], chosen[-1] if chosen else None
    found: dict[str, Path] = {}
    for path in paths:
        part = read_manifest(path).part
        if part in found:
            raise InvalidArchive(f"{found[part]} and {path} are both archives of {part}")
        found[part] = path
    if MAIN not in found:
        raise InvalidArchive("name the archive of the main database, too")
    return found[MAIN], found.get(KEYS)


def restore(plan: RestorePlan, *, report: Report) -> RestoreSummary:
    """Restores archives, applies all known erasures and settles what was open.

    Raises:
        InvalidArchive, NotEmpty, StillRunning, UnknownErasures, InvalidErasures: before anything is
            changed.
        ProgramFailed, NotFreed, NotMade, ErasureFailed, OSError: no process starts until it is
            repeated.
    """
    delete_extracted(plan.folder)
    _check_archives(plan)
    if not plan.archives:
        plan.loaded_at = _loaded_time(plan)
    known = _read_known(plan)
    _check_stopped()
    _check_empty(plan)
    if plan.archives:
        _save_present(plan, known)
        _load(plan, report)
    else:
        InstallationState.objects.unsettle()
    report("bringing the tables up to date")
    call_command("migrate", verbosity=0, interactive=False)
    InstallationState.objects.unsettle()  # a migration may just have made its table
    if plan.main is not None and (note := plan.manifests[plan.main].checkpoint):
        check_continues(open_checkpoint(note))
    done = settle_restored(known, backup_at=plan.backup_at, send_open=plan.send_open, report=report)
    for path in [*plan.folder.glob(_SAVED), *plan.folder.glob(f"{_SAVED}*{DRAFT}")]:
        path.unlink(missing_ok=True)
    forget_loaded(plan.folder)
    return done


def _loaded_time(plan: RestorePlan) -> datetime | None:
    try:
        return loaded_time(plan.folder)
    except DatabaseError as error:
        raise UnknownErasures(
            f"the time of the database in place cannot be read ({error}): run `carillon migrate`"
            " first"
        ) from error


def _check_archives(plan: RestorePlan) -> None:
    for place, path in plan.archives:
        found = plan.manifests[path] = read_manifest(path)
        if found.part != place.part:
            raise InvalidArchive(f"{path} is an archive of {found.part}, not of {place.part}")
        if found.database != place.kind:
            raise InvalidArchive(
                f"{path} is a copy of {found.database}, and this installation uses {place.kind}:"
                " set CARILLON_DATABASE_URL to a database of the same kind"
            )
        if found.keys_in_main != keys_in_main():
            raise InvalidArchive(
                f"{path} was made where the keys were"
                f" {'in the main database' if found.keys_in_main else 'in a store of their own'}:"
                " set CARILLON_KEYS_DATABASE_URL in the same way"
            )
        known = {".".join(key) for key in MigrationLoader(None).disk_migrations}
        if newer := sorted(set(found.migrations) - known):
            raise InvalidArchive(
                f"{path} was made by release {found.version}, whose migration {newer[-1]} this"
                " release does not have: restore with that release"
            )
    if len({each.backup for each in plan.manifests.values()}) > 1 and not plan.mixes:
        raise InvalidArchive(
            f"{plan.main} and {plan.keys} are of different backups: people may be unreadable, or"
            " erased people readable. Name two archives of one backup, or give --mixed"
        )


def _read_known(plan: RestorePlan) -> KnownErasures:
    """Reads all files of erasures, and checks that they reach to the time of the database."""
    known = KnownErasures()
    for path in plan.erasures:
        until = read_erasures(path, known)
        known.until = max(known.until or until, until)
    for path in sorted(plan.folder.glob(_SAVED)):
        read_erasures(path, known)  # of an interrupted restore: it says nothing of other databases
    if not plan.erasures and plan.none_since is None:
        raise UnknownErasures(
            "people may have been erased since the backup, and would be readable again: give"
            " --erasures FILE (of `carillon erasures export`), or --none-since TIME if you know"
            " that no one was erased since"
        )
    at = plan.backup_at
    ends = [each.at for each in plan.manifests.values()]
    ends += [at] if at is not None else []
    ends += [known.until] if known.until is not None else []
    if plan.none_since is not None and ends and plan.none_since > max(ends):
        raise UnknownErasures(
            f"erasures between {max(ends):%Y-%m-%dT%H:%M:%SZ} and --none-since are not known: give"
            " a file of erasures that reaches to that time, or an earlier time"
        )
    if plan.none_since is None and at is not None and (known.until is None or known.until < at):
        raise UnknownErasures(
            "the file of erasures ends before the"
            f" {'backup' if plan.main else 'newest row'} of {at:%Y-%m-%dT%H:%M:%SZ}: give a newer"
            " one, or --none-since TIME too"
        )
    return known


def _check_stopped() -> None:
    """Checks that no worker has a valid lease in the present database."""
    if Place(MAIN).kind == "sqlite" and not Place(MAIN).file.exists():
        return
    try:
        running = WorkerProcess.objects.filter(lease_until__gt=database_time())
        owner = running.values_list("owner", flat=True).first()
    except DatabaseError:  # it has no tables
        connections[Place(MAIN).alias].close()
        return
    if owner is not None:
        raise StillRunning(
            f"the worker {owner} uses the database: stop all processes; after a crash wait"
            " CARILLON_LEASE_SECONDS"
        )


def _check_empty(plan: RestorePlan) -> None:
    for place, path in plan.archives:
        if plan.replaces or not (count := row_count(place)) or _is_unsettled(place):
            continue
        raise NotEmpty(
            f"the {place.part} database has rows ({count:,}{'+' if count >= 1000 else ''}):"
            f" {path.name} is restored into an empty one. Give --replace to replace it"
        )
    if plan.main is not None and plan.keys is None and not row_count(Place(KEYS)):
        raise NotEmpty(
            "there is no archive of keys, and the present key store is empty: without the keys"
            " nothing of people can be read. Name the archive of the keys, too"
        )


def _is_unsettled(place: Place) -> bool:
    """Whether a main database comes from a restore that was interrupted."""
    if place.part != MAIN:
        return False
    try:
        return not InstallationState.objects.exists()
    except DatabaseError:
        return False


def _save_present(plan: RestorePlan, known: KnownErasures) -> None:
    """Writes the erasures of the present databases to a file, and adds them."""
    now = clock.now()
    path = plan.folder / _SAVED.replace("*", f"{now:%Y%m%dT%H%M%S%f}")
    main, keys = (bool(row_count(Place(part))) for part in (MAIN, KEYS))
    if not main and not keys:
        return
    plan.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        write_erasures(path, now=now, main=main, keys=keys)
    except DatabaseError as error:
        raise UnknownErasures(
            f"the erasures of the present databases cannot be read ({error}): run `carillon"
            " migrate` there first, or restore into other databases"
        ) from error
    read_erasures(path, known)


def _load(plan: RestorePlan, report: Report) -> None:
    copies: list[tuple[Place, Path]] = []
    try:
        for place, path in plan.archives:
            report(f"reading {path.name}")
            content = extracted_copy(place, plan.folder)
            content.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            content.unlink(missing_ok=True)
            copies.append((place, content))
            extract(path, content)
            check_copy(place.kind, content)
        connections.close_all()
        for place, content in copies:
            report(f"replacing the {place.part} database")
            copy_in(place, content, plan.programs)
    finally:
        for _, content in copies:
            content.unlink(missing_ok=True)
