"""Memory that a worker shares with its watchdog. It has no lock: each field has one writer."""

from __future__ import annotations

import mmap
import os
import tempfile

SIZE = 4_096
SEQUENCE, VERSION, THREAD, BUSY, ASLEEP = range(5)
"""Indexes of cells of eight bytes.

SEQUENCE is odd while a render runs. THREAD is the system's id of the thread that renders.
BUSY is 1 while a slice is being rendered. ASLEEP is 1 while the watchdog waits for a byte."""
_SOURCE_AT = 128
_SOURCE_BYTES = 400


class Board:
    """The shared memory, mapped into this process."""

    def __init__(self, number: int) -> None:
        """Maps the memory; number is the descriptor of its file."""
        self._map = mmap.mmap(number, SIZE)
        self.cells = memoryview(self._map).cast("Q")

    @property
    def source(self) -> str:
        """The source of the message that is being rendered."""
        raw = bytes(self._map[_SOURCE_AT : _SOURCE_AT + _SOURCE_BYTES])
        return raw.rstrip(b"\0").decode("utf-8", "replace")

    @source.setter
    def source(self, text: str) -> None:
        raw = text.encode("utf-8", "replace")[:_SOURCE_BYTES]
        self._map[_SOURCE_AT : _SOURCE_AT + _SOURCE_BYTES] = raw.ljust(_SOURCE_BYTES, b"\0")

    def close(self) -> None:
        """Unmaps the memory."""
        self.cells.release()
        self._map.close()


def new_file() -> int:
    """Returns the descriptor of a new unnamed file for a board."""
    if hasattr(os, "memfd_create"):
        number = os.memfd_create("carillon-render-board")
    else:
        number, path = tempfile.mkstemp()
        os.unlink(path)
    os.truncate(number, SIZE)
    return number
