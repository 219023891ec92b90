"""Which modules get mutants, how many, and which mutants change nothing."""

from __future__ import annotations

from pathlib import Path

SOURCE = Path("src/notifications")
SHARES = {
    "domain": 45,
    "policy": 35,
    "queue": 30,
    "recording": 30,
    "delivery/retry.py": 15,
    "services": 65,
}
"""Mutants of a run, for each room."""

_OTHER_DATABASE = {"postgres.py", "hot_postgres.py"}

EQUIVALENT: dict[tuple[str, str, str], str] = {}
"""(module, line, changed line) -> why no test can tell the two apart."""


def modules_of(room: str) -> list[Path]:
    """The modules of a room that the tests on SQLite run."""
    place = SOURCE / room
    found = [place] if place.is_file() else sorted(place.glob("*.py"))
    return [path for path in found if path.name not in {"__init__.py", *_OTHER_DATABASE}]
