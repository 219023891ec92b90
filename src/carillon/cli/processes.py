"""Code that long-running commands share: ports, metrics files, the link to a supervisor."""

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

from carillon.serving.server.listening import listening_socket, new_socket
from carillon.settings.environment import SERVED_AT

SUPERVISED = "CARILLON_SUPERVISED"
PORT = click.IntRange(1, 65535)
log = structlog.get_logger("carillon.web")
_ADDRESS_FILE = "web-address"


def address(host: str, port: int) -> str:
    """Returns the URL of a listening address for a person on this machine."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 -- the reader's own address is shown instead
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def publish_address(host: str, port: int) -> None:
    """Publishes the served address to this process and its children, before Django is set up.

    Links lead to this address when no public URL is set, also links that a child worker writes.
    """
    os.environ.setdefault(SERVED_AT, address(host, port))


def store_address(host: str, port: int, folder: Path) -> None:
    """Stores the address for commands that run beside the web process, such as `doctor`."""
    draft = folder / f"{_ADDRESS_FILE}.{os.getpid()}"
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(address(host, port))
        draft.replace(folder / _ADDRESS_FILE)
    except OSError as error:  # the service works without it: only `doctor` knows less
        log.info("web.address_not_stored", reason=error.strerror)


def stored_address(folder: Path) -> str:
    """Returns the address of the web process that started last; empty if there was none."""
    try:
        return (folder / _ADDRESS_FILE).read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def listen(host: str, port: int) -> socket.socket:
    """Returns the listening socket of a web process: one that it receives, or a new one.

    Raises:
        click.ClickException: the address is in use, not allowed, or not this machine's.
    """
    from notifications.infra.conf import environment

    return _opened(
        host, port, lambda: listening_socket(host, port, environment().data_dir.resolve())
    )


def listen_anew(host: str, port: int) -> socket.socket:
    """Returns a new socket, for a supervisor whose web processes inherit it.

    Raises:
        click.ClickException: the address is in use, not allowed, or not this machine's.
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


def check_settled() -> None:
    """Checks that the database was not restored without `carillon restore`.

    A database that is away is no error here: the processes wait for it, and a worker checks again.

    Raises:
        click.ClickException: what was open in the backup is not settled.
    """
    from django.db import DatabaseError, InterfaceError, connections

    from notifications.models import InstallationState
    from notifications.models.operations.installation import NotSettled

    try:
        InstallationState.objects.check_settled()
    except NotSettled as error:
        raise click.ClickException(str(error)) from error
    except (DatabaseError, InterfaceError) as error:
        log.info("start.state_unknown", reason=" ".join(str(error).split()))
    finally:
        connections.close_all()


def clear_metrics(folder: Path) -> None:
    """Deletes the counters of ended processes; `serve` starts with empty metrics."""
    for path in folder.glob("*.db"):
        path.unlink(missing_ok=True)


def follow_supervisor() -> None:
    """Ends this process when its supervisor has ended in any way: their pipe then closes."""
    if os.environ.get(SUPERVISED):
        threading.Thread(target=_wait_for_end, name="supervisor-watch", daemon=True).start()


def _wait_for_end() -> None:
    # Not through sys.stdin: Python cannot exit while a thread waits inside its buffer.
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def leave_pid_one() -> None:
    """Continues in a child if this process is the first of a container, and ends with the child.

    The kernel delivers no SIGKILL from within to the first process of a pid namespace
    (pid_namespaces(7)), but the watchdog must be able to kill a worker. This process reaps orphans.
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
