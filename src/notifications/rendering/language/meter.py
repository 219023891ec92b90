"""What one render may use: turns of loops, characters worked on, and time.

The sandbox asks the meter before every operation that could grow or take long, so that a hostile
template ends with an error instead of a worker that hangs. Time is the thread's own CPU time: a
busy machine must not fail an honest template.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Any

from jinja2.exceptions import TemplateRuntimeError
from jinja2.runtime import Undefined
from jinja2.utils import Namespace

MAX_SOURCE = 100_000
MAX_OUTPUT = 1_000_000
MAX_TEXT = 100_000
MAX_STEPS = 10_000
MAX_CHARACTERS = 5_000_000
MAX_BITS = 1_024
MAX_CALLS = 8
RENDER_CPU_SECONDS = 0.15
METER = "_meter"
LIMIT = "template_limit"
"""The code of a TemplateFault for a render that asked for more than it may use."""
LARGE = 4_096
LETTERS_AT_ONCE = 8
"""Letters that are looked for in a text while one is copied."""
_SHOWN_NODES = 2_000
_WEIGHED_NODES = 50_000
_CHARACTERS_A_NODE = 64
_TICKS = 32
_NUMBERS = frozenset({int, float, bool})


class LimitReached(TemplateRuntimeError):
    """The template asked for more than a render may use."""


class TimeSpent(LimitReached):
    """The render used up its CPU time."""


class _AtWork(threading.local):
    """The meter of the render that this thread is at."""

    meter: Meter


AT_WORK = _AtWork()


class Meter:
    """What one message's render has left."""

    __slots__ = ("calls", "characters", "operations", "started", "steps")

    def __init__(self) -> None:
        self.calls = 0
        self.steps = MAX_STEPS
        self.characters = MAX_CHARACTERS
        self.operations = 0
        self.started: float | None = None

    def loop(self, items: Iterable[Any], ticks: int = _TICKS) -> Iterator[Any]:
        """The items, each turn counted; the time is asked for after so many turns.

        Raises:
            LimitReached: when the turns are used up, or the time is.
        """
        if isinstance(items, Undefined):
            return iter(items)  # raises the error that names the variable
        if isinstance(items, Sized) and len(items) > self.steps:
            raise LimitReached(f"loops run more than {MAX_STEPS:,} times in one render")
        return self._counted(items, ticks)

    def _counted(self, items: Iterable[Any], ticks: int) -> Iterator[Any]:
        for item in items:
            self.steps -= 1
            if self.steps % ticks == 0:
                self.check_time()
            if self.steps < 0:
                raise LimitReached(f"loops run more than {MAX_STEPS:,} times in one render")
            yield item

    @contextmanager
    def call(self) -> Iterator[None]:
        """Around a macro's work: counted like a turn of a loop, and bounded in depth.

        Raises:
            LimitReached: when macros call one another too deeply or too often.
        """
        self.steps -= 1
        self.calls += 1
        if self.calls > MAX_CALLS:
            raise LimitReached(f"macros call one another more than {MAX_CALLS} deep")
        if self.steps < 0:
            raise LimitReached(f"loops and macros run more than {MAX_STEPS:,} times in one render")
        if self.steps % _TICKS == 0:
            self.check_time()
        yield
        self.calls -= 1

    def check_time(self) -> None:
        """Raises LimitReached when this render has used its CPU time; the first call starts it."""
        now = time.thread_time()
        if self.started is None:
            self.started = now
        elif now - self.started > RENDER_CPU_SECONDS:
            raise TimeSpent(f"rendering takes more than {RENDER_CPU_SECONDS:g} s of CPU time")

    def charge(self, value: Any, times: int = 1) -> int:
        """Counts a value that is about to be worked on as text, or compared.

        times: how much more than copying the work takes. Answers the size in characters.
        """
        if isinstance(value, str):
            size = len(value)
        elif type(value) in _NUMBERS:
            size = _CHARACTERS_A_NODE
        elif isinstance(value, list | tuple | dict | set | range):
            size = weigh(value, _WEIGHED_NODES) * _CHARACTERS_A_NODE
        else:
            check_value(value)
            size = _CHARACTERS_A_NODE
        self.spend(size * times)
        return size

    def spend(self, size: int) -> int:
        """Counts work on so many characters."""
        self.characters -= size
        if self.characters < 0:
            raise LimitReached(f"more than {MAX_CHARACTERS:,} characters are worked on")
        self.operations += 1
        if size > LARGE or self.operations % _TICKS == 0:
            self.check_time()
        return size

    def walked(self, items: Any) -> Any:
        """What a filter goes through: counted as a whole, or item by item when it has no length.

        Raises:
            LimitReached: when it holds more than MAX_STEPS values, or the time is used up.
        """
        if not isinstance(items, Sized):
            return self.loop(items)
        check_length(len(items))
        self.spend(len(items) * _CHARACTERS_A_NODE)
        return items


def check_value(value: Any) -> None:
    """Refuses what is no data, and namespaces: they may hold anything, themselves included."""
    if isinstance(value, Namespace):
        raise LimitReached("a namespace is no value")
    check_data(value)


def check_number(value: Any) -> Any:
    """Refuses a whole number that is too long; answers the value."""
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise LimitReached("a number grows too large")
    return value


def check_data(value: Any) -> None:
    """Refuses to write out what is no data: methods, macros, generators tell of the program."""
    if isinstance(value, Undefined):
        str(value)  # raises the error that names the variable
    if callable(value) or isinstance(value, Iterator):
        raise LimitReached("only data can be written out, no function, macro or filter's rest")


def check_length(count: int) -> None:
    """Refuses a list that would be too long."""
    if count > MAX_STEPS:
        raise LimitReached(f"a list holds more than {MAX_STEPS:,} values")


def check_text(size: int) -> None:
    """Refuses a text that would be too long."""
    if size > MAX_TEXT:
        raise LimitReached(f"a text grows longer than {MAX_TEXT:,} characters")


def weigh(value: Any, limit: int) -> int:
    """How many values a value holds, itself and long texts included.

    Lists can hold one another many times over: `[a, a]` of `[b, b]` of ... is small in memory and
    without end on paper.

    Raises:
        LimitReached: above the limit.
    """
    count = 0
    waiting = [value]
    while waiting:
        each = waiting.pop()
        count += 1
        if isinstance(each, str):
            count += len(each) // _CHARACTERS_A_NODE
        elif isinstance(each, dict):
            waiting += each.values()
            waiting += each.keys()
        elif isinstance(each, list | tuple | set):
            waiting += each
        elif isinstance(each, range):
            count += len(each)
        else:
            check_value(each)
        if count + len(waiting) > limit:
            raise LimitReached(f"a list or mapping holds more than {limit:,} values")
    return count


def check_shown(value: Any) -> None:
    """Refuses to write out a list or mapping without end, and what is no data."""
    if isinstance(value, list | tuple | dict | set | Namespace):
        weigh(value, _SHOWN_NODES)
    else:
        check_data(value)
