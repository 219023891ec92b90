"""Objects of sockets are frozen in steps, and found again when half of them have left."""

from __future__ import annotations

import gc

import pytest

from carillon.serving.server.collecting import FULL_EVERY_S, STEP, FrozenSockets
from notifications.infra import ports


class Collector:
    """What is called of the module gc."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.now = 0.0
        for name in ("freeze", "unfreeze", "collect"):
            patch.setattr(gc, name, lambda *given, name=name: self.calls.append(name))
        patch.setattr(ports, "monotonic", lambda: self.now)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Collector:
    return Collector(monkeypatch)


def test_sockets_are_frozen_in_steps(made: Collector) -> None:
    frozen = FrozenSockets()
    for number in range(2 * STEP + 1):
        frozen.note(number)

    assert made.calls == ["collect", "freeze"] * 2


def test_half_of_them_leave(made: Collector) -> None:
    frozen = FrozenSockets()
    frozen.note(4 * STEP)
    made.calls.clear()
    for number in range(4 * STEP, -1, -1):
        frozen.note(number)

    every = ["unfreeze", "collect", "freeze"]
    assert made.calls == every * 2  # with 499, and with 248, of which none is frozen
    frozen.note(1)
    assert made.calls == every * 2


def test_a_full_collection_comes_every_hour(made: Collector) -> None:
    frozen = FrozenSockets()
    frozen.note(2 * STEP)
    made.calls.clear()
    made.now = FULL_EVERY_S + 1
    frozen.note(2 * STEP - 1)
    frozen.note(2 * STEP)

    assert made.calls == ["unfreeze", "collect", "freeze"]


def test_a_process_without_sockets_collects_as_ever(made: Collector) -> None:
    frozen = FrozenSockets()
    made.now = FULL_EVERY_S + 1
    frozen.note(1)
    frozen.note(0)

    assert made.calls == []
