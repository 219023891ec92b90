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
from pathlib import Path
from types import FrameType

import click

from carillon.cli import setup_django
from carillon.cli.processes import (
    PORT,
    SUPERVISED,
    clear_metrics,
    keep_metrics_in_files,
    refuse_taken_port,
)

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
  {command} send user.payment.success --to student1 --channel email --context amount=29.99

Ctrl-C drains and ends.
"""


@dataclass
class Child:
    """One supervised process. words makes the rest of its command anew for each start."""

    name: str
    words: Callable[[], list[str]]
    died: Callable[[], None] = field(default=lambda: None)
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    deaths: int = 0
    not_before: float = 0.0

    def start(self) -> None:
        environ = {**os.environ, SUPERVISED: "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "carillon", self.name, *self.words()],
            stdin=subprocess.PIPE,
            env=environ,
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
        click.echo(f"{self.name} ended ({code}); again in {pause:g} s", err=True)
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
        for child in self._children:
            if child.process and child.process.returncode:
                child.died()


@click.command(epilog="Example: carillon serve --port 8080")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=PORT, default=8000, show_default=True)
def command(host: str, port: int) -> None:
    """Run everything in one go: migrate, then web, worker and schedule.

    Ctrl-C drains: requests and provider calls are finished, the rest is given back to the queue. A
    second Ctrl-C ends at once; nothing is lost by it.
    """
    keep_metrics_in_files()
    setup_django()
    from django.core.management import call_command
    from django.db import connections

    from notifications.conf import environment
    from notifications.services.digests import digest_template

    refuse_taken_port(host, port)
    clear_metrics(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
    call_command("migrate", verbosity=0, interactive=False)
    digest_template()
    connections.close_all()
    worker = _WorkerName()
    children = [
        Child("web", lambda: ["--host", host, "--port", str(port)]),
        Child("worker", lambda: ["--name", worker.new()], worker.died),
    ]
    if environment().redis_url:
        children.append(Child("beat", list))
    Supervisor(children).run(_greeter(_address(host, port)))


class _WorkerName:
    """The name that the worker's leases carry: a new one for each heir."""

    def __init__(self) -> None:
        self._name = ""

    def new(self) -> str:
        self._name = f"serve:{os.getpid()}:{secrets.token_hex(4)}"
        return self._name

    def died(self) -> None:
        """Ends the dead one's leases, so that its heir need not wait for them to run out."""
        from django.db import DatabaseError, connections

        from notifications.models import WorkerProcess
        from notifications.queue.takeover import expire_owner

        try:
            owners = WorkerProcess.objects.filter(owner__startswith=self._name)
            for owner in {self._name, *owners.values_list("owner", flat=True)}:
                expire_owner(owner)
        except DatabaseError as error:
            reason = " ".join(str(error).split())
            click.echo(f"its leases stand until they run out: {reason}", err=True)
        connections.close_all()


def _address(host: str, port: int) -> str:
    """Where a person on this machine reaches it."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 -- the reader's own address is shown instead
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _greeter(url: str) -> Callable[[], bool]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never by a proxy

    def greet() -> bool:
        try:
            with opener.open(f"{url}/health/ready", timeout=1) as answer:
                if answer.status != 200:
                    return False
        except (urllib.error.URLError, OSError):
            return False
        click.echo(WELCOME.format(url=url, command=_own_name()))
        return True

    return greet


def _own_name() -> str:
    """How this command was called, for a line that can be pasted into a second shell."""
    return "python -m carillon" if sys.argv[0].endswith("__main__.py") else sys.argv[0]
