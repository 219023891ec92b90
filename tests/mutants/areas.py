"""Which modules get mutants, how many, and which mutants change nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

SOURCE = Path("src/notifications")
SHARES = {
    "domain": 45,
    "policy": 35,
    "queue": 30,
    "recording": 30,
    "delivery/retry.py": 15,
    "features": 65,
}
"""The number of mutants of a run, by area."""

_OF_ALL = (
    "tests/unit/domain",
    "tests/unit/policy",
    "tests/unit/queue",
    "tests/unit/recording",
    "tests/unit/delivery/test_retry.py",
    "tests/unit/test_recorder.py",
    "tests/unit/test_worker.py",
    "tests/integration/queue",
    "tests/integration/pipeline",
    "tests/integration/preferences",
    "tests/integration/receipts",
    "tests/integration/faults",
    "tests/integration/models",
    "tests/architecture/test_documented_surface.py",
    "tests/integration/services",
)
_OF_FEATURES = (
    "tests/unit/services",
    "tests/integration/broadcasts",
    "tests/integration/schedules",
    "tests/integration/directory",
    "tests/integration/providers",
    "tests/integration/rendering/test_demo.py",
    "tests/integration/rendering/test_template_service.py",
    "tests/integration/api",
    "tests/contract",
)

_OTHER_DATABASE = {"postgres.py", "hot_postgres.py"}

EQUIVALENT: dict[tuple[str, str, str], str] = {
    (
        "src/notifications/queue/depth.py",
        "max(1, left),",
        "max( 2, left),",
    ): "reads one more row, which is not counted",
    (
        "src/notifications/domain/quiet_hours.py",
        "break",
        "continue",
    ): "the remaining passes find the same moment outside the window",
    (
        "src/notifications/domain/timing.py",
        "break",
        "continue",
    ): "later occurrences are later still",
    (
        "src/notifications/features/broadcasts/delivery/rounds.py",
        "break",
        "continue",
    ): "the time stays over",
    (
        "src/notifications/features/broadcasts/delivery/retry.py",
        "break",
        "continue",
    ): "the time stays over",
    (
        "src/notifications/features/upkeep/digests.py",
        "break",
        "continue",
    ): "the remaining rounds find nothing to close",
    (
        "src/notifications/features/broadcasts/delivery/clearing.py",
        "break",
        "continue",
    ): "the time stays over",
    (
        "src/notifications/features/sending/queries.py",
        "if first is None or last is None:",
        "if first is None and last is None:",
    ): "rows without a first have no last",
    (
        "src/notifications/features/background/items.py",
        "if len(keys) < at_once or (not found and self.failures == failures):",
        "if len(keys) != at_once or (not found and self.failures == failures):",
    ): "there are never more keys than the requested number",
    (
        "src/notifications/features/webhooks/deliver.py",
        "while clock.monotonic() < stop_at:",
        "while clock.monotonic() <= stop_at:",
    ): "the clock has exactly this value only by chance",
    (
        "src/notifications/queue/sqlite.py",
        "break",
        "continue",
    ): "capacity that is used up stays used up: the remaining rows are skipped",
    (
        "src/notifications/queue/batches.py",
        "if not free.select_for_update(skip_locked=True).exists():",
        "if not free.select_for_update(skip_locked=False).exists():",
    ): "SQLite locks no rows; tests/integration/queue/test_locks.py detects it on PostgreSQL",
    (
        "src/notifications/domain/recurrence.py",
        "while empty < limit:",
        "while empty != limit:",
    ): "`empty` grows by one, so it reaches the limit",
}
"""(module, line, changed line) -> why no test can detect the change."""


def modules_of(area: str) -> list[Path]:
    """Returns the modules of an area that the tests on SQLite run."""
    place = SOURCE / area
    found = [place] if place.is_file() else sorted(place.rglob("*.py"))
    return [path for path in found if path.name not in {"__init__.py", *_OTHER_DATABASE}]


def tests_for(areas: Iterable[str]) -> list[str]:
    """Returns the test files that try the mutants of those areas.

    To record which lines they run takes minutes, and tests of other areas rarely detect such a
    mutant first.
    """
    places = [*_OF_ALL, *(_OF_FEATURES if "features" in areas else ())]
    return [
        path.as_posix()
        for place in map(Path, places)
        for path in ([place] if place.is_file() else sorted(place.rglob("test_*.py")))
    ]
