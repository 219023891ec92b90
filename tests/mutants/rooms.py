"""Which modules get mutants, which tests try them, and which mutants change nothing."""

from __future__ import annotations

from collections.abc import Iterator
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

_QUICK = {
    "policy": ["tests/unit/policy"],
    "queue": ["tests/unit/queue", "tests/integration/queue"],
    "recording": ["tests/integration/pipeline/test_pipeline.py"],
    "delivery/retry.py": [
        "tests/unit/delivery/test_retry.py",
        "tests/architecture/test_documented_surface.py",
    ],
}
_THEN = {
    "domain": ["tests/unit/domain", "tests/unit/policy", "tests/integration/pipeline"],
    "policy": ["tests/integration/preferences", "tests/integration/pipeline"],
    "queue": ["tests/integration/pipeline", "tests/integration/services/test_holding.py"],
    "recording": [
        "tests/integration/pipeline",
        "tests/integration/receipts",
        "tests/integration/queue",
        "tests/integration/preferences/test_digests.py",
        "tests/integration/services/test_dead_letters.py",
        "tests/integration/services/test_webhooks.py",
    ],
    "delivery/retry.py": ["tests/integration/schedules/test_retries.py"],
    "services": [],
}
_OTHER_DATABASE = {"postgres.py", "hot_postgres.py"}

EQUIVALENT: dict[tuple[str, str, str], str] = {}
"""(module, line, changed line) -> why no test can tell the two apart."""


def modules_of(room: str) -> list[Path]:
    """The modules of a room that the tests on SQLite run."""
    place = SOURCE / room
    found = [place] if place.is_file() else sorted(place.glob("*.py"))
    return [path for path in found if path.name not in {"__init__.py", *_OTHER_DATABASE}]


def stages_of(room: str, module: Path) -> Iterator[list[str]]:
    """The tests for a module's mutants: the quick ones, then those for what they let live."""
    named = list(_tests_that_name(module))
    quick = [name for name in named if name.startswith("tests/unit")] + _QUICK.get(room, [])
    slow = [name for name in named if not name.startswith("tests/unit")] + _THEN[room]
    if quick:
        yield list(dict.fromkeys(quick))
    if slow:
        yield list(dict.fromkeys(slow))


def _tests_that_name(module: Path) -> Iterator[str]:
    dotted = ".".join(module.with_suffix("").parts[1:])
    package, _, name = dotted.rpartition(".")
    words = (
        f"from {dotted} import",
        f"import {dotted}",
        f"{dotted}.",
        f"from {package} import {name}",
    )
    for folder in ("tests/unit", "tests/integration"):
        for path in sorted(Path(folder).rglob("test_*.py")):
            text = path.read_text()
            if any(word in text for word in words):
                yield path.as_posix()
