"""The lock that SQLite's writers queue at: bounded, woken at once, left to nobody by a fork."""

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
    """Another process has the lock until the block ends."""
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
    """Threads that take the lock and give it back; the list fills with 1 for each that had it."""
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


def test_a_lock_that_another_process_keeps_is_waited_for_no_longer_than_said(path: str) -> None:
    with held(path):
        began = time.monotonic()
        with within(2):
            assert filelock.acquire(path, 0.2) is None
        assert time.monotonic() - began >= 0.2


def test_every_thread_that_waits_is_told_in_time(path: str) -> None:
    with held(path):
        threads, had = waiting(path, 0.2, count=8)
        for thread in threads:
            thread.join(5)
        assert not any(thread.is_alive() for thread in threads)
        assert had == []


def test_whoever_waits_has_the_lock_once_it_is_free(path: str) -> None:
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


def test_a_child_that_was_forked_inside_holds_nothing(path: str) -> None:
    mine = filelock.acquire(path, 1)
    assert mine is not None
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # lives on while the parent gives the lock back
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    try:
        filelock.release(mine)
        again = filelock.acquire(path, 1)
        assert again is not None, "a copy of the descriptor in the child keeps the lock"
        filelock.release(again)
    finally:
        os.close(writer)
        os.waitpid(child, 0)
        os.close(reader)


def test_a_child_can_wait_in_its_turn(path: str) -> None:
    """It has none of its parent's threads, so it starts its own."""
    with held(path):
        assert filelock.acquire(path, 0.05) is None
        child = os.fork()
        if child == 0:
            os._exit(0 if filelock.acquire(path, 0.1) is None else 1)
        assert os.waitpid(child, 0)[1] == 0
