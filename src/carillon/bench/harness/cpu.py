"""Processor time by role: how two cores are shared among the client and the service's processes."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

_PROC = Path("/proc")
_PARENT, _USER, _SYSTEM = 1, 11, 12  # fields of /proc/<pid>/stat after the name, proc(5)


def cpu_seconds(roots: Mapping[str, int]) -> dict[str, float]:
    """Returns the processor seconds used so far by each role: a process and its descendants.

    A descendant that is itself a root belongs to its own role only. Empty without /proc (Linux).

    Args:
        roots: process ids by role.
    """
    stats = dict(_stats())
    role_of = {pid: role for role, pid in roots.items()}
    used = dict.fromkeys(roots, 0)
    for pid, (_, ticks) in stats.items():
        owner = pid
        while owner not in role_of and owner in stats:
            owner = stats[owner][0]
        if owner in role_of:
            used[role_of[owner]] += ticks
    hertz = os.sysconf("SC_CLK_TCK")
    return {role: ticks / hertz for role, ticks in used.items()} if stats else {}


def descendants(root: int) -> list[int]:
    """Returns the process ids of all descendants of a process. Empty without /proc (Linux)."""
    children = defaultdict(list)
    for pid, (parent, _) in _stats():
        children[parent].append(pid)
    found: list[int] = []
    left = [root]
    while left:
        some = children[left.pop()]
        found += some
        left += some
    return found


def _stats() -> list[tuple[int, tuple[int, int]]]:
    """Returns the parent and the clock ticks of every process, by process id."""
    found = []
    for path in _PROC.glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it ended
            continue
        ticks = int(fields[_USER]) + int(fields[_SYSTEM])
        found.append((int(path.parent.name), (int(fields[_PARENT]), ticks)))
    return found
