"""Files that a killed backup or restore leaves. They are copies of keys, so they must not stay."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from carillon.backup.archives import KEYS, MAIN
from carillon.backup.databases import Place
from notifications.infra.files import DRAFT

SPACE = ".carillon-"
"""The beginning of the name of a folder in which copies are made."""
_AGE = timedelta(days=2)
"""A run may last for a day: a program of PostgreSQL runs for so long at most."""
_OF_BACKUPS = (f"{SPACE}*", f"carillon-{KEYS}-*.tar*{DRAFT}", f"carillon-{MAIN}-*.tar*{DRAFT}")


def extracted_copy(place: Place, folder: Path) -> Path:
    """Returns the file into which a restore extracts the copy of a database.

    folder: the data folder, which is used for PostgreSQL.
    """
    base = place.file.parent if place.kind == "sqlite" else folder
    return base / f".{place.part}.restoring"


def delete_leftovers(folder: Path, *, now: datetime) -> list[Path]:
    """Deletes what killed backups left in their folder some days ago; returns what it deleted.

    Raises:
        OSError: a file cannot be deleted.
    """
    found = (path for pattern in _OF_BACKUPS for path in sorted(folder.glob(pattern)))
    return [path for path in found if _delete_old(path, now)]


def delete_extracted(folder: Path, *, now: datetime | None = None) -> None:
    """Deletes the copies that a killed restore extracted.

    Args:
        folder: the data folder.
        now: only those that are some days old at this time; None: all.

    Raises:
        OSError: a file cannot be deleted.
    """
    for part in (MAIN, KEYS):
        path = extracted_copy(Place(part), folder)
        if now is None:
            path.unlink(missing_ok=True)
        else:
            _delete_old(path, now)


def _delete_old(path: Path, now: datetime) -> bool:
    """Deletes a file or a folder in which nothing was written lately; returns whether it did."""
    inner = list(path.iterdir()) if path.is_dir() and not path.is_symlink() else []
    times = [each.lstat().st_mtime for each in (path, *inner) if each.exists()]
    if not times or datetime.fromtimestamp(max(times), UTC) > now - _AGE:
        return False
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    return True
