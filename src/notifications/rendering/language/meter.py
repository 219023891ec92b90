"""The limits of one render: turns of loops, characters processed, and time.

The sandbox checks the meter before every operation that could grow or take long, so a hostile
template ends with an error and does not hang a worker. Time is the thread's own CPU time: a busy
machine must not fail an honest template.
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
"""The code of a TemplateFault for a render that exceeded its limits."""
LARGE = 4_096
LETTERS_AT_ONCE = 8
"""Letters that can be searched for in a text in the time that one takes to copy."""
_SHOWN_NODES = 2_000
_WEIGHED_NODES = 50_000
_CHARACTERS_A_NODE = 64
_TICKS = 32
_NUMBERS = frozenset({int, float, bool})


class LimitReached(TemplateRuntimeError):
    """The template exceeded a limit of a render."""


class TimeSpent(LimitReached):
    """The render used up its CPU time."""


class _AtWork(threading.local):
    """The meter of the current render of each thread."""

    meter: Meter


AT_WORK = _AtWork()


class Meter:
    """The remaining budget of one message's render."""

    __slots__ = ("calls", "characters", "operations", "started", "steps")

    def __init__(self) -> None:
        self.calls = 0
        self.steps = MAX_STEPS
        self.characters = MAX_CHARACTERS
        self.operations = 0
        self.started: float | None = None

    def loop(self, items: Iterable[Any], ticks: int = _TICKS) -> Iterator[Any]:
        """Yields the items and counts each turn; checks the time every `ticks` turns.

        Raises:
            LimitReached: the turns or the time are used up.
        """
        if isinstance(items, Undefined):
            return iter(items)  # raises the error that names the missing variable
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
        """Wraps a macro call: it counts as a turn of a loop, and its depth is bounded.

        Raises:
            LimitReached: macros call one another too deeply or too often.
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
        """Checks the CPU time of this render; the first call starts the clock.

        Raises:
            TimeSpent: the time is used up.
        """
        now = time.thread_time()
        if self.started is None:
            self.started = now
        elif now - self.started > RENDER_CPU_SECONDS:
            raise TimeSpent(f"rendering takes more than {RENDER_CPU_SECONDS:g} s of CPU time")

    def charge(self, value: Any, times: int = 1) -> int:
        """Counts a value that is about to be processed as text or compared.

        times: the cost of the work as a multiple of a copy. Returns the size in characters.
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
        """Counts work on `size` characters; returns the size."""
        self.characters -= size
        if self.characters < 0:
            raise LimitReached(f"more than {MAX_CHARACTERS:,} characters are processed")
        self.operations += 1
        if size > LARGE or self.operations % _TICKS == 0:
            self.check_time()
        return size

    def walked(self, items: Any) -> Any:
        """Counts the items that a filter visits: at once, or one by one when they have no length.

        Raises:
            LimitReached: there are more than MAX_STEPS values, or the time is used up.
        """
        if not isinstance(items, Sized):
            return self.loop(items)
        check_length(len(items))
        self.spend(len(items) * _CHARACTERS_A_NODE)
        return items


def check_value(value: Any) -> None:
    """Refuses values that are not data, and namespaces, which may even contain themselves."""
    if isinstance(value, Namespace):
        raise LimitReached("a namespace cannot be used as a value")
    check_data(value)


def check_number(value: Any) -> Any:
    """Refuses an integer that is too long; returns the value."""
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise LimitReached("a number grows too large")
    return value


def check_data(value: Any) -> None:
    """Refuses to write values that are not data, such as methods: they would expose internals."""
    if isinstance(value, Undefined):
        str(value)  # raises the error that names the missing variable
    if callable(value) or isinstance(value, Iterator):
        raise LimitReached("only data can be written, not a function, macro or unfinished filter")


def check_length(count: int) -> None:
    """Refuses a list that would be too long."""
    if count > MAX_STEPS:
        raise LimitReached(f"a list holds more than {MAX_STEPS:,} values")


def check_text(size: int) -> None:
    """Refuses a text that would be too long."""
    if size > MAX_TEXT:
        raise LimitReached(f"a text grows longer than {MAX_TEXT:,} characters")


def weigh(value: Any, limit: int) -> int:
    """Returns how many values a value contains, itself and long texts included.

    Lists can contain one another many times: `[a, a]` of `[b, b]` of ... is small in memory and
    unbounded when written.

    Raises:
        LimitReached: there are more than `limit`.
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
    """Refuses to write an unbounded list or mapping, and values that are not data."""
    if isinstance(value, list | tuple | dict | set | Namespace):
        weigh(value, _SHOWN_NODES)
    else:
        check_data(value)
