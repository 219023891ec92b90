"""Files that have their name only when they are complete and on the disk."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

DRAFT = ".new"
"""The ending of a file that is being written. Its name is drawn, so that no other file has it."""


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Opens a new file that only its owner may read. It gets its name at the end of the block.

    Raises:
        OSError: it exists, or cannot be written.
    """
    _refuse_taken(path)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}{DRAFT}")
    try:
        with private_file(draft) as file:
            yield file
        _refuse_taken(path)
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
    flush_folder(path.parent)


def _refuse_taken(path: Path) -> None:
    """Raises FileExistsError where the path names anything, a broken link included."""
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


@contextmanager
def private_file(path: Path) -> Iterator[IO[bytes]]:
    """Opens a new file that only its owner may read, and flushes it to the disk.

    Raises:
        OSError: it exists, or cannot be written.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Makes the names of files in a folder durable."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
