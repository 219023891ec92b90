"""The record of a killed worker is tried again: the machine may be slow, or the lock taken."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from notifications.rendering.guard.board import SEQUENCE, THREAD, VERSION, Board, new_file
from notifications.rendering.guard.process import NOTE_AFTER_S, RenderWatchdog

NOTE = """
import sys
from pathlib import Path
tries = Path(sys.path[0], "tries.txt")
with tries.open("a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
sys.exit(len(tries.read_text().splitlines()) <= {failures})
"""


def _kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int) -> tuple[list[str], int]:
    """Lets a watchdog kill a process; returns the tries of the record and the exit code."""
    (tmp_path / "note_of_test.py").write_text(NOTE.format(failures=failures))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    number = new_file()
    board = Board(number)
    worker = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    try:
        board.cells[SEQUENCE], board.cells[VERSION], board.cells[THREAD] = 1, 7, worker.pid
        board.source = "key:1"
        RenderWatchdog(worker.pid, board, 0, 1.0, "note_of_test")._kill()
        return (tmp_path / "tries.txt").read_text().splitlines(), worker.wait(20)
    finally:
        worker.kill()
        worker.wait(20)
        board.close()
        os.close(number)


def test_a_record_that_fails_is_tried_again_after_the_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries, code = _kill(tmp_path, monkeypatch, failures=2)
    assert tries == ["7 key:1"] * 3
    assert code == -signal.SIGKILL


def test_a_record_that_never_succeeds_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tries, code = _kill(tmp_path, monkeypatch, failures=99)
    assert len(tries) == 1 + len(NOTE_AFTER_S)
    assert code == -signal.SIGKILL
    assert "render.kill-unnoted error=exit 1" in capsys.readouterr().err
