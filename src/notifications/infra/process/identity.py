"""Names a process among all processes of all hosts, and finds out whether a named one has ended.

A name holds host, boot id, pid namespace, pid and start time. A pid that is used again has another
start time; a rebooted machine has another boot id; a container has another namespace. Only within
one boot and one namespace can a process be known to have ended (proc(5), pid_namespaces(7)).
"""

from __future__ import annotations

import functools
import os
import socket
from pathlib import Path
from typing import NamedTuple

from notifications.infra import ports

_SEPARATOR = "/"
_ENDED_STATES = frozenset("ZXx")
"""States of /proc/PID/stat: a zombie has ended and waits for its parent (proc(5))."""
_START_FIELD = 19  # the 22nd field of /proc/PID/stat, counted from the one after the name
_HOST_LENGTH = 24


class ProcessName(NamedTuple):
    """The parts of a name. boot: the first 8 characters of the boot id. started: in clock ticks
    since boot; empty where the system has no such data."""

    host: str
    boot: str
    namespace: str
    pid: int
    started: str


def own_name(label: str = "") -> str:
    """Returns a name for this process, of at most 80 characters. Each call returns another one.

    Args:
        label: at most 10 characters that name the part of the process for people.
    """
    place = _place()
    parts = (place.host, place.boot, place.namespace, str(os.getpid()), _started(os.getpid()))
    return _SEPARATOR.join((*parts, f"{label[:10]}{ports.token(3)}"))


def has_ended(name: str) -> bool:
    """Returns whether the process of a name is known to have ended.

    False for processes of other machines, boots and namespaces, about which nothing is known here.
    """
    parsed = _parse(name)
    if parsed is None or not parsed.started:
        return False
    place = _place()
    if (parsed.host, parsed.boot, parsed.namespace) != (place.host, place.boot, place.namespace):
        return False
    return _started(parsed.pid) != parsed.started


def is_stopped(pid: int) -> bool:
    """Returns whether a process is stopped (SIGSTOP). False where the system has no such data."""
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()[:1] == ["T"]


def _parse(name: str) -> ProcessName | None:
    parts = name.split(_SEPARATOR)
    if len(parts) != 6 or not parts[3].isdecimal():
        return None
    return ProcessName(parts[0], parts[1], parts[2], int(parts[3]), parts[4])


@functools.lru_cache(maxsize=1)
def _place() -> ProcessName:
    host = socket.gethostname()[:_HOST_LENGTH].replace(_SEPARATOR, "-")
    boot = _read("/proc/sys/kernel/random/boot_id")[:8]
    try:
        namespace = os.readlink("/proc/self/ns/pid").partition("[")[2].rstrip("]")
    except OSError:
        namespace = ""
    return ProcessName(host, boot, namespace, 0, "")


def _started(pid: int) -> str:
    """Returns when a process started; empty where there is none, or it has ended."""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if len(fields) <= _START_FIELD or fields[0] in _ENDED_STATES:
        return ""
    return fields[_START_FIELD]


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
