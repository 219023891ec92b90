"""Tries mutants of functions in forks of one process that has collected all tests.

The fork loads nothing again: it replaces the code of the function, which takes a tenth of the time.
Mutants of constants, defaults and classes need a trial that loads the changed module.
"""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

_OPTIMIZED = 1  # CO_OPTIMIZED: the body of a function
Swaps = list[tuple[CodeType, CodeType]]
Name = tuple[str, str, int]
Functions = dict[Name, list[FunctionType]]


class Warm:
    """A pytest plugin that runs requested tests instead of all collected ones.

    Args:
        place: the folder of the modules.
        first: the test that creates the database.
        report: the file for the name of a failed test.
        serve: called with this plugin after collection, when the database exists.
    """

    def __init__(
        self, place: Path, first: str, report: Path, serve: Callable[[Warm], None]
    ) -> None:
        self._place = place
        self._first = first
        self._functions: Functions = {}
        self._report = report
        self._serve = serve
        self._session: pytest.Session
        self._items: defaultdict[str, list[pytest.Item]] = defaultdict(list)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        from django.db import connections

        self._session = session
        for item in session.items:
            self._items[item.nodeid.partition("[")[0]].append(item)
        # With a next test of another folder, pytest ends all fixtures except those of the session.
        first = self._items[self._first][0]
        other = next(item for item in session.items if "/unit/" in item.nodeid)
        session.config.hook.pytest_runtest_protocol(item=first, nextitem=other)
        connections.close_all()  # SQLite connections must not pass through a fork
        if session.testsfailed:
            raise pytest.UsageError(f"{self._first} fails without any mutant")
        # It would write its dots to the output of the process that reports results.
        session.config.pluginmanager.unregister(name="terminalreporter")
        self._functions = functions_in(self._place)
        gc.freeze()  # a collection in a fork would copy all objects
        self._serve(self)
        return True

    def run(self, tests: list[str], swaps: Swaps) -> int:
        """Runs the tests with changed code, in a fork, until one fails; returns 0 if all pass."""
        swap(swaps, self._functions)
        items = [item for test in tests for item in self._items[test]]
        hook = self._session.config.hook
        for item, following in zip(items, [*items[1:], None], strict=True):
            hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self._session.testsfailed:
                self._report.write_text(f"FAILED {item.nodeid}\n")
                return 1
        return 0


def swaps_of(path: Path, before: str, after: str) -> Swaps | None:
    """Returns the functions that a change of a module changes, as (code, changed code).

    None: the change affects code that runs only when the module is loaded.
    """
    old = compile(before, str(path), "exec", dont_inherit=True)
    new = compile(after, str(path), "exec", dont_inherit=True)
    try:
        pairs = list(_paired(old, new))
    except ValueError:
        return None
    swaps = []
    for was, becomes in pairs:
        if not was.co_flags & _OPTIMIZED:  # a module or a class
            if _bare(was) != _bare(becomes):
                return None
        elif was != becomes:
            if was.co_freevars != becomes.co_freevars:
                return None
            swaps.append((was, becomes))
    return swaps or None


def functions_in(place: Path) -> Functions:
    """Returns the functions in this process whose modules are below `place`, by their code."""
    found: Functions = defaultdict(list)
    for each in gc.get_objects():
        if type(each) is FunctionType and each.__code__.co_filename.startswith(str(place)):
            found[_name(each.__code__)].append(each)
    return found


def swap(swaps: Swaps, functions: Functions) -> None:
    """Replaces the code of functions by the changed code."""
    for was, becomes in swaps:
        for each in functions.get(_name(was), ()):
            each.__code__ = becomes


def _inner(code: CodeType) -> list[CodeType]:
    return [each for each in code.co_consts if isinstance(each, CodeType)]


def _paired(old: CodeType, new: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    yield old, new
    for was, becomes in zip(_inner(old), _inner(new), strict=True):
        yield from _paired(was, becomes)


def _bare(code: CodeType) -> tuple[Any, ...]:
    consts = [repr(each) for each in code.co_consts if not isinstance(each, CodeType)]
    return code.co_code, code.co_names, consts, len(code.co_consts)


def _name(code: CodeType) -> Name:
    return code.co_filename, code.co_qualname, code.co_firstlineno
