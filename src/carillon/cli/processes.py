"""What the long-running commands share: ports, metrics files, a supervisor that may vanish."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import click
import structlog

from carillon.serving.listening import listening_socket, new_socket
from carillon.settings.environment import SERVED_AT

SUPERVISED = "CARILLON_SUPERVISED"
PORT = click.IntRange(1, 65535)
log = structlog.get_logger("carillon.web")
_ADDRESS_FILE = "web-address"


def address(host: str, port: int) -> str:
    """Where a person on this machine reaches what listens there."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 -- the reader's own address is shown instead
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def publish_address(host: str, port: int) -> None:
    """Links lead to this address where no public URL is set, also those that a worker writes which
    this process starts. Call it before Django is set up."""
    os.environ.setdefault(SERVED_AT, address(host, port))


def store_address(host: str, port: int, folder: Path) -> None:
    """Keeps the address for commands that run beside the web process, such as `doctor`."""
    draft = folder / f"{_ADDRESS_FILE}.{os.getpid()}"
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(address(host, port))
        draft.replace(folder / _ADDRESS_FILE)
    except OSError as error:  # it serves without: only `doctor` knows less
        log.info("web.address_not_kept", reason=error.strerror)


def stored_address(folder: Path) -> str:
    """The address at which a web process of this installation began last; empty without one."""
    try:
        return (folder / _ADDRESS_FILE).read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def listen(host: str, port: int) -> socket.socket:
    """The socket of a web process: the one that it is handed, or a new one.

    Raises:
        click.ClickException: the address is taken, not allowed, or not this machine's.
    """
    from notifications.infra.conf import environment

    return _opened(
        host, port, lambda: listening_socket(host, port, environment().data_dir.resolve())
    )


def listen_anew(host: str, port: int) -> socket.socket:
    """A new socket, for a supervisor whose web processes inherit it.

    Raises:
        click.ClickException: the address is taken, not allowed, or not this machine's.
    """
    return _opened(host, port, lambda: new_socket(host, port))


def _opened(host: str, port: int, opened: Callable[[], socket.socket]) -> socket.socket:
    try:
        return opened()
    except OSError as error:
        reason = error.strerror or str(error)
        raise click.ClickException(
            f"cannot listen on {host}:{port}: {reason}; choose another with --host and --port"
        ) from error


def clear_metrics(folder: Path) -> None:
    """Forgets the counters of processes that are gone; `serve` begins anew."""
    for path in folder.glob("*.db"):
        path.unlink(missing_ok=True)


def follow_supervisor() -> None:
    """Ends this process when its supervisor is gone, however it died: the pipe to it closes."""
    if os.environ.get(SUPERVISED):
        threading.Thread(target=_wait_for_end, name="supervisor-watch", daemon=True).start()


def _wait_for_end() -> None:
    # Not through sys.stdin: Python could not end while a thread waits inside its buffer.
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def leave_pid_one() -> None:
    """Goes on in a child where this process is the first of a container, and ends with it.

    The kernel delivers no SIGKILL from within to the first process of a pid namespace
    (pid_namespaces(7)): a worker must be one that its watchdog can kill. Orphans are reaped here.
    """
    if os.getpid() != 1:
        return
    child = subprocess.Popen([sys.executable, *sys.orig_argv[1:]])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda which, _frame: child.send_signal(which))
    code: int | None = None
    while code is None:
        pid, status = os.wait()
        if pid == child.pid:
            code = os.waitstatus_to_exitcode(status)
    sys.exit(code if code >= 0 else 128 - code)
