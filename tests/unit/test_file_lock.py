"""The lock that SQLite's writers queue at: waits are bounded and wake at once, forks drop it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from carillon.sqlite import filelock
from tests.pace import within

HOLD = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "db.lock")


@contextmanager
def held(path: str) -> Iterator[subprocess.Popen[str]]:
    """Starts a process that holds the lock until the block ends."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdin is not None
    assert child.stdout.readline() == "held\n"
    try:
        yield child
    finally:
        child.stdin.close()
        child.wait(10)
        child.stdout.close()


def waiting(path: str, seconds: float, count: int = 1) -> tuple[list[threading.Thread], list[int]]:
    """Starts threads that acquire and release the lock; the list gets a 1 for each acquisition."""
    had: list[int] = []

    def run() -> None:
        file = filelock.acquire(path, seconds)
        if file is not None:
            had.append(1)
            filelock.release(file)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, had


def test_the_wait_for_a_lock_of_another_process_ends_at_its_time_out(path: str) -> None:
    with held(path):
        began = time.monotonic()
        with within(2):
            assert filelock.acquire(path, 0.2) is None
        assert time.monotonic() - began >= 0.2


def test_the_wait_of_every_thread_ends_in_time(path: str) -> None:
    with held(path):
        threads, had = waiting(path, 0.2, count=8)
        for thread in threads:
            thread.join(5)
        assert not any(thread.is_alive() for thread in threads)
        assert had == []


def test_every_waiting_thread_gets_the_lock_after_its_release(path: str) -> None:
    with held(path):
        threads, had = waiting(path, 30, count=4)
    for thread in threads:
        thread.join(10)
    assert had == [1, 1, 1, 1]


def test_threads_of_one_process_exclude_each_other(path: str) -> None:
    mine = filelock.acquire(path, 1)
    assert mine is not None
    assert filelock.acquire(path, 0.05) is None
    filelock.release(mine)
    again = filelock.acquire(path, 0.05)
    assert again is not None
    filelock.release(again)


def test_a_child_that_was_forked_under_the_lock_does_not_hold_it(path: str) -> None:
    mine = filelock.acquire(path, 1)
    assert mine is not None
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # lives until after the parent released the lock
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    try:
        filelock.release(mine)
        again = filelock.acquire(path, 1)
        assert again is not None, "a copy of the descriptor in the child still holds the lock"
        filelock.release(again)
    finally:
        os.close(writer)
        os.waitpid(child, 0)
        os.close(reader)


def test_a_forked_child_can_wait_for_the_lock(path: str) -> None:
    """The child has none of its parent's threads, so it starts its own alarm."""
    with held(path):
        assert filelock.acquire(path, 0.05) is None
        child = os.fork()
        if child == 0:
            os._exit(0 if filelock.acquire(path, 0.1) is None else 1)
        assert os.waitpid(child, 0)[1] == 0
