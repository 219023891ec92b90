"""`carillon serve`: a supervisor over web, worker and schedule, in one process group."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

import click

from carillon.cli import setup_django
from carillon.cli.processes import SUPERVISED, clear_metrics, keep_metrics_in_files

_DRAIN_S = 45.0
_BACK_OFF_S = (0.2, 1.0, 5.0, 15.0)
_STEADY_S = 30.0
WELCOME = """
Carillon serves on {url}
  outbox    {url}/outbox/      what would have gone out
  API docs  {url}/api/docs/
  admin     {url}/admin/
  health    {url}/health

Send a first notification:
  carillon send user.payment.success --to student1 --channel email --context amount=29.99

Ctrl-C drains and ends.
"""


@dataclass
class Child:
    """One supervised process. words makes its command anew for each start."""

    words: Callable[[], list[str]]
    died: Callable[[], None] = field(default=lambda: None)
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    deaths: int = 0
    not_before: float = 0.0

    def start(self) -> None:
        environ = {**os.environ, SUPERVISED: "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "carillon", *self.words()], stdin=subprocess.PIPE, env=environ
        )
        self.started_at = time.monotonic()

    def look_after(self, now: float) -> None:
        """Starts the process again after it died, with growing pauses."""
        if self.process is None:
            if now >= self.not_before:
                self.start()
            return
        if self.process.poll() is None:
            return
        code, self.process = self.process.returncode, None
        if now - self.started_at > _STEADY_S:
            self.deaths = 0
        pause = _BACK_OFF_S[min(self.deaths, len(_BACK_OFF_S) - 1)]
        self.deaths += 1
        self.not_before = now + pause
        click.echo(f"{self.words()[0]} ended ({code}); again in {pause:g} s", err=True)
        self.died()


class Supervisor:
    """Keeps children alive until it is told to end; then drains them."""

    def __init__(self, children: list[Child]) -> None:
        self._children = children
        self._signals = 0

    def run(self, greet: Callable[[], bool]) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._told)
        greeted = False
        while not self._signals:
            for child in self._children:
                child.look_after(time.monotonic())
            greeted = greeted or greet()
            time.sleep(0.1)
        self._drain()

    def _told(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1

    def _drain(self) -> None:
        living = [child.process for child in self._children if child.process]
        for process in living:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _DRAIN_S
        while any(process.poll() is None for process in living):
            if self._signals > 1 or time.monotonic() > deadline:
                for process in living:
                    process.kill()
            time.sleep(0.05)


@click.command(epilog="Example: carillon serve --port 8080")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True)
def command(host: str, port: int) -> None:
    """Run everything in one go: migrate, then web, worker and schedule."""
    keep_metrics_in_files()
    setup_django()
    from pathlib import Path

    from django.core.management import call_command

    from notifications.conf import environment
    from notifications.queue.takeover import expire_owner

    clear_metrics(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
    call_command("migrate", verbosity=0, interactive=False)
    owner = {"name": ""}

    def worker_words() -> list[str]:
        owner["name"] = owner["name"] or f"serve:{os.getpid()}:{secrets.token_hex(4)}"
        return ["worker", "--name", owner["name"]]

    def worker_died() -> None:
        """Its leases end at once, and its heir has a name of its own."""
        expire_owner(owner["name"])
        owner["name"] = ""

    children = [
        Child(lambda: ["web", "--host", host, "--port", str(port)]),
        Child(worker_words, worker_died),
    ]
    if environment().redis_url:
        children.append(Child(lambda: ["beat"]))
    Supervisor(children).run(_greeter(f"http://{host}:{port}"))


def _greeter(url: str) -> Callable[[], bool]:
    def greet() -> bool:
        try:
            with urllib.request.urlopen(f"{url}/health/ready", timeout=1) as answer:  # noqa: S310 -- our own address
                if answer.status != 200:
                    return False
        except (urllib.error.URLError, OSError):
            return False
        click.echo(WELCOME.format(url=url))
        return True

    return greet
