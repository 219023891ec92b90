"""The documented Python and Celery surface, name by name with its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from carillon.celery import app
from tests.documented_surface import LATER, NAMES, PERIODIC, RETRIED, TASKS

WALK = [(module, name, text) for module, names in NAMES.items() for name, text in names.items()]


def found(module: str, name: str) -> Any:
    value = import_module(module)
    for word in name.split("."):
        value = getattr(value, word)
    return value


def wrong_with(function: Callable[..., Any], documented: str, *, method: bool = False) -> list[str]:
    """Returns the differences from the documented arguments: names, order, defaults, new ones."""
    wanted = list(inspect.signature(eval(f"lambda {documented}: None")).parameters.values())
    own = list(inspect.signature(function).parameters.values())[int(method) :]
    faults = []
    for place, one in enumerate(wanted):
        theirs = own[place] if place < len(own) else None
        if theirs is None or (theirs.name, theirs.kind) != (one.name, one.kind):
            faults.append(f"{one} is {theirs}")
        elif one.default not in (one.empty, ..., theirs.default):
            faults.append(f"{one} has the default {theirs.default!r}")
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for more in own[len(wanted) :]:
        if more.kind not in variable and more.default is more.empty:
            faults.append(f"{more} must be given")
        if more.kind is more.POSITIONAL_OR_KEYWORD:
            faults.append(f"{more} is new, and not keyword-only")
    return faults


@pytest.mark.parametrize(
    ("module", "name", "documented"), WALK, ids=[f"{m}:{n}" for m, n, _ in WALK]
)
def test_every_documented_name_takes_its_arguments(
    module: str, name: str, documented: str | None
) -> None:
    value = found(module, name)
    if documented is None or name == "Priority":
        return
    owner = found(module, name.rpartition(".")[0]) if "." in name else None
    bound = inspect.isclass(owner) and inspect.isfunction(
        inspect.getattr_static(owner, name.rpartition(".")[2])
    )
    assert wrong_with(value, documented, method=bound) == []


@pytest.mark.parametrize(("module", "names"), LATER.items())
def test_a_name_that_is_not_built_yet_has_no_empty_shell(module: str, names: list[str]) -> None:
    """When you build one, move it to NAMES, where its arguments are checked."""
    try:
        there = import_module(module)
    except ModuleNotFoundError:
        return
    assert [name for name in names if hasattr(there, name)] == []


@pytest.mark.parametrize(("name", "documented"), TASKS.items())
def test_every_documented_task_takes_its_arguments(name: str, documented: str) -> None:
    app.loader.import_default_modules()
    task = app.tasks[name]
    assert wrong_with(task.run, documented) == []
    module, _, word = name.rpartition(".")
    assert found(module, word).name == name
    if name in RETRIED:
        assert task.max_retries == RETRIED[name]


def test_beat_has_every_documented_periodic_task() -> None:
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} >= PERIODIC


def test_constants_of_the_batch_processor() -> None:
    processor = found("notifications.broadcast_batch", "BroadcastBatchProcessor")
    assert (processor.BATCH_SIZE, processor.SEND_BATCH_SIZE, processor.MAX_RETRIES) == (
        1_000,
        100,
        3,
    )
    assert list(processor.RETRY_DELAYS) == [10, 60, 300]
