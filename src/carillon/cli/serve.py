"""`carillon serve`: a supervisor of web, worker and schedule, in one process group."""

from __future__ import annotations

import os
import select
import signal
import socket
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
from carillon.cli.demo import FORCE, load_demo, refuse_in_production
from carillon.cli.doctor_settings import warn_of_misspelt
from carillon.cli.processes import (
    PORT,
    SUPERVISED,
    address,
    check_settled,
    clear_metrics,
    listen_anew,
    publish_address,
)
from carillon.processes import store_metrics_in_files
from carillon.serving.server.listening import INHERITED
from notifications.infra.process.identity import is_stopped

_DRAIN_S = 45.0
_BACK_OFF_S = (0.2, 1.0, 5.0, 15.0)
_STEADY_S = 30.0
_STOPPED_S = 15.0
_GREET_S = 0.1
_CHECK_S = 30.0
"""Seconds between two looks at children that run. The end or the stop of one is a signal."""
_STOPPED_CHECK_S = 1.0
WELCOME = """
Carillon serves on {url}
  outbox    {url}/outbox/      the messages that would have been sent
  inbox     {url}/demo/        the inbox of a made-up student, live
  API docs  {url}/api/docs/
  admin     {url}/admin/
  health    {url}/health

Send a first notification:
  {command} send user.payment.success --to student1 --channel email --context amount=29.99

Press Ctrl-C to drain and stop.
"""


@dataclass
class Child:
    """One supervised process.

    When it dies, other workers take over its batches at once, because its leases name a process
    that has ended. So the supervisor uses no database, and restarts a child without one, too.
    """

    #: The subcommand.
    name: str
    #: The rest of its command.
    words: list[str] = field(default_factory=list)
    #: A socket that the process inherits and that outlives it.
    listener: socket.socket | None = None
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    deaths: int = 0
    not_before: float = 0.0
    stopped_at: float | None = None

    def start(self) -> None:
        environ = {**os.environ, SUPERVISED: "1"}
        inherited = [self.listener.fileno()] if self.listener else []
        for number in inherited:
            environ[INHERITED] = str(number)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "carillon", self.name, *self.words],
            stdin=subprocess.PIPE,
            env=environ,
            pass_fds=inherited,
        )
        self.started_at = time.monotonic()

    def supervise(self, now: float) -> None:
        """Starts the process, and restarts it after its death, with growing pauses."""
        if self.process is None:
            if now >= self.not_before:
                self.start()
            return
        if self.process.poll() is None:
            self._end_if_stopped(now)
            return
        code, self.process = self.process.returncode, None
        if now - self.started_at > _STEADY_S:
            self.deaths = 0
        pause = _BACK_OFF_S[min(self.deaths, len(_BACK_OFF_S) - 1)]
        self.deaths += 1
        self.not_before = now + pause
        click.echo(f"{self.name} ended ({code}); again in {pause:g} s", err=True)

    def due_in(self, now: float) -> float:
        """Returns the seconds after which `supervise` may have something to do without a signal."""
        if self.process is None:
            return self.not_before - now
        return _CHECK_S if self.stopped_at is None else _STOPPED_CHECK_S

    def _end_if_stopped(self, now: float) -> None:
        """Kills a process that stays stopped (SIGSTOP): other workers have its leases."""
        assert self.process is not None
        if not is_stopped(self.process.pid):
            self.stopped_at = None
        elif self.stopped_at is None:
            self.stopped_at = now
        elif now - self.stopped_at > _STOPPED_S:
            self.process.kill()


class _SignalWait:
    """Waits for a signal, at most for some seconds. Only for the main thread."""

    def __enter__(self) -> Callable[[float], None]:
        self._ours, theirs = socket.socketpair()
        self._ours.setblocking(False)
        theirs.setblocking(False)
        self._theirs = theirs
        self._before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        return self._wait

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._before)
        self._ours.close()
        self._theirs.close()

    def _wait(self, seconds: float) -> None:
        readable, _, _ = select.select([self._ours], [], [], seconds)
        if readable:
            self._ours.recv(4096)


class ProcessSupervisor:
    """Keeps children running until it gets a signal; then drains them."""

    def __init__(self, children: list[Child]) -> None:
        self._children = children
        self._signals = 0

    def run(self, greet: Callable[[], bool]) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # a signal without a handler wakes nothing
        greeted = False
        with _SignalWait() as wait:
            while not self._signals:
                for child in self._children:
                    child.supervise(time.monotonic())
                greeted = greeted or greet()
                wait(self._pause() if greeted else _GREET_S)
        self._drain()

    def _pause(self) -> float:
        """Returns the seconds until a child must be started or ended. Signals come earlier."""
        now = time.monotonic()
        return max(0.0, min(child.due_in(now) for child in self._children))

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1

    def _drain(self) -> None:
        for child in self._children:
            if child.listener:
                child.listener.close()  # from now on only its process accepts connections
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
@click.option("--port", type=PORT, default=8000, show_default=True)
@click.option("--demo", is_flag=True, help="Load the demo data first, as `carillon demo` does.")
@FORCE
def command(host: str, port: int, demo: bool, force: bool) -> None:
    """Migrate, then run web, worker and schedule in one process group.

    Ctrl-C drains: running requests and provider calls finish, the rest returns to the queue. A
    second Ctrl-C stops at once, without losing anything.
    """
    store_metrics_in_files()
    publish_address(host, port)
    setup_django()
    warn_of_misspelt()
    from django.core.management import call_command
    from django.db import connections

    from notifications.features.upkeep.digests import ensure_digest_template
    from notifications.infra.conf import environment

    if demo:
        refuse_in_production(force=force)
    listener = listen_anew(host, port)
    clear_metrics(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
    call_command("migrate", verbosity=0, interactive=False)
    check_settled()
    ensure_digest_template()
    if demo:
        load_demo(quiet=True)  # after the port is bound: a password shown now can be used
    connections.close_all()
    children = [
        Child("web", ["--host", host, "--port", str(port)], listener),
        Child("worker"),
    ]
    if environment().redis_url:
        children.append(Child("beat"))
    ProcessSupervisor(children).run(_greeter(address(host, port)))


def _greeter(url: str) -> Callable[[], bool]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # without a proxy

    def greet() -> bool:
        try:
            with opener.open(f"{url}/health/ready", timeout=1) as response:
                if response.status != 200:
                    return False
        except (urllib.error.URLError, OSError):
            return False
        click.echo(WELCOME.format(url=url, command=_own_name()))
        return True

    return greet


def _own_name() -> str:
    """Returns how this command was called, for a line to paste into a second shell."""
    return "python -m carillon" if sys.argv[0].endswith("__main__.py") else sys.argv[0]
