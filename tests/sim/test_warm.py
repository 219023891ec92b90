"""After a run, the product's own modules are as before, and their caches are empty."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections import OrderedDict, deque
from collections.abc import Iterator
from types import ModuleType

import pytest

from carillon.sim.warm import State


@contextlib.contextmanager
def forgotten() -> Iterator[None]:
    """Restores the state after the block."""
    state = State()
    yield
    state.restore()


class Thing:
    """A class of the product, as far as its module's name says."""

    shared = "before"
    __module__ = "notifications.invented"

    def __init__(self) -> None:
        self.value = 1
        self.inner = {"list": [1]}

    @staticmethod
    @functools.cache
    def cached(number: int) -> int:
        """Returns the number."""
        return number


@pytest.fixture
def module(monkeypatch):
    made = ModuleType("notifications.invented")
    made.thing, made.Thing, made.number = Thing(), Thing, 1
    made.ordered = OrderedDict(a=1, b=2)
    made.queue = deque([1, 2], maxlen=3)
    made.known = {1}
    monkeypatch.setitem(sys.modules, made.__name__, made)
    yield made
    Thing.shared = "before"


def test_names_are_restored(module):
    with forgotten():
        module.number = 2
        module.added = 3
        module.thing.value = 2
        module.thing.added = 3
        Thing.shared = "after"
        Thing.added = 3

    assert (module.number, module.thing.value, Thing.shared) == (1, 1, "before")
    assert not any(hasattr(owner, "added") for owner in (module, module.thing, Thing))


def test_contents_are_restored_in_the_same_containers(module):
    ordered, inner = module.ordered, module.thing.inner["list"]
    with forgotten():
        ordered.move_to_end("a")
        module.queue.append(3)
        module.queue.append(4)
        module.known.add(2)
        inner.append(2)
        module.thing.inner = {}

    assert list(ordered) == ["a", "b"]
    assert list(module.queue) == [1, 2]
    assert module.queue.maxlen == 3
    assert module.known == {1}
    assert module.thing.inner == {"list": [1]}
    assert module.thing.inner["list"] is inner


def test_caches_are_emptied(module):
    with forgotten():
        module.Thing.cached(5)

    assert module.Thing.cached.cache_info().currsize == 0


def test_the_state_can_be_restored_again(module):
    state = State()
    for number in range(2):
        module.known.add(number + 5)
        module.queue.append(number)
        state.restore()

    assert (module.known, list(module.queue)) == ({1}, [1, 2])


def test_a_module_that_was_imported_meanwhile_stays(module):
    with forgotten():
        module.part = ModuleType("notifications.invented.part")

    assert module.part.__name__ == "notifications.invented.part"
