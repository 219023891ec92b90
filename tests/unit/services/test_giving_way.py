"""The size of a step of background work."""

from __future__ import annotations

import pytest

from notifications.features.background import giving_way
from notifications.features.background.giving_way import StepSize

pytestmark = pytest.mark.usefixtures("wanted")


@pytest.fixture
def wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(giving_way, "wanted_step_s", lambda: 0.01)


def rows_after(steps: int, *, own_s: float, row_s: float, first: int = 200) -> int:
    """The rows of a step after some, on a machine with these costs of a step and of a row."""
    size = StepSize(first, most=5_000)
    for _ in range(steps):
        size.add(own_s + size.rows * row_s)
    return size.rows


@pytest.mark.parametrize(("row_s", "rows"), [(0.0001, 100), (0.001, 10), (0.1, 1), (1e-9, 5_000)])
def test_rows_alone_fill_the_time(row_s: float, rows: int) -> None:
    assert abs(rows_after(20, own_s=0.0, row_s=row_s) - rows) <= rows * 0.02


def test_the_costs_of_the_step_itself_leave_less_for_rows() -> None:
    assert 55 <= rows_after(40, own_s=0.004, row_s=0.0001) <= 65


def test_a_machine_whose_steps_are_slow_makes_progress() -> None:
    """Each step lasts 20 ms there, however few rows it has: the rows may last as long."""
    assert 180 <= rows_after(60, own_s=0.02, row_s=0.0001) <= 220


def test_a_step_grows_four_times_at_most() -> None:
    size = StepSize(10, most=5_000)
    assert size.add(0.0001) == 40
    assert size.add(0.0001) == 160


def test_a_caller_may_want_fewer_rows() -> None:
    size = StepSize(10, most=50)
    for _ in range(10):
        size.add(0.0001)
    assert size.rows == 50
