"""An installation for tests that start the product's own commands."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(true: Callable[[], object], seconds: float = 40) -> None:
    """Polls until something holds; a deadline instead of a sleep."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.05)


class Installation:
    """A data folder and an environment; `carillon(...)` runs a command in it."""

    def __init__(self, folder: Path, **settings: str) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("CARILLON_")}
        self.environ = {
            **kept,
            "DJANGO_SETTINGS_MODULE": "carillon.settings.base",
            "CARILLON_DATA_DIR": str(folder),
            "CARILLON_LOG_LEVEL": "ERROR",
            **{f"CARILLON_{name.upper()}": value for name, value in settings.items()},
        }
        self.folder = folder

    def carillon(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "carillon", *words],
            env=self.environ,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @contextmanager
    def running(self, *words: str, module: str = "carillon") -> Iterator[subprocess.Popen[bytes]]:
        """A command that runs until the block ends; its output is kept in a file."""
        log = (self.folder / f"{words[0]}-{os.urandom(3).hex()}.log").open("wb")
        with log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *words],
                env=self.environ,
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.terminate()
                process.wait(60)

    def python(self, script: str) -> str:
        """Runs a script in the installation, Django ready; returns what it printed."""
        done = subprocess.run(
            [sys.executable, "-c", f"import django; django.setup()\n{script}"],
            env={**self.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def statuses(self) -> dict[str, int]:
        """Messages by status, and what is queued, asked of the database."""
        answer: dict[str, int] = json.loads(
            self.python(
                "import json; from django.db.models import Count\n"
                "from notifications.models import *\n"
                "rows = NotificationMessage.objects.values_list('status').annotate(Count('pk'))\n"
                "print(json.dumps({**dict(rows), 'batches': DeliveryBatch.objects.count()}))\n"
            )
        )
        return answer
