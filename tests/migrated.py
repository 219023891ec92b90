"""The SQLite files of the test databases: migrated once, then copied by each process that tests.

The migrations take as long as hundreds of tests. Their result is stored under `.pytest_cache`, for
later runs, too.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
STORE = ROOT / ".pytest_cache" / "migrated"
#: What decides about the tables: the migrations, what they import, and the libraries' own ones.
SOURCES = (
    "src/*/migrations/*.py",
    "src/notifications/models/**/*.py",
    "src/notifications/domain/*.py",
    "src/directory/models/**/*.py",
    "src/directory/addresses.py",
    "src/vault/models.py",
    "requirements/run.txt",
)


def sources_hash(root: Path = ROOT) -> str:
    """Returns a hash of all that decides about the tables of a new database."""
    found = hashlib.sha256(sqlite3.sqlite_version.encode())
    for pattern in SOURCES:
        for path in sorted(root.glob(pattern)):
            found.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return found.hexdigest()[:32]


@contextmanager
def stored(files: Mapping[str, Path], store: Path = STORE) -> Iterator[bool]:
    """Copies the stored files to `files`, or stores `files` when the block has made them.

    Yields whether they were copied. One process at a time makes them; the others wait and copy.

    Args:
        files: name in the store -> the file of a test database.
    """
    store.mkdir(parents=True, exist_ok=True)
    folder = store / sources_hash()
    with (store / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            yield False
            _store(files, folder)
            return
    for name, path in files.items():
        for old in path.parent.glob(f"{path.name}*"):
            old.unlink()
        shutil.copyfile(folder / name, path)
    yield True


def _store(files: Mapping[str, Path], folder: Path) -> None:
    for old in folder.parent.iterdir():
        if old.is_dir():
            shutil.rmtree(old)
    making = folder.with_suffix(".making")
    making.mkdir()
    for name, path in files.items():
        with (
            closing(sqlite3.connect(path)) as source,
            closing(sqlite3.connect(making / name)) as to,
        ):
            source.backup(to)
    making.rename(folder)
