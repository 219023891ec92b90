"""What integration tests share."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from notifications.infra import ports
from notifications.infra.process import inbox_wakeups

_COUNTERS = {"CaptureQueriesContext", "Statements"}


@pytest.fixture
def override_environment(settings: Any) -> Callable[..., None]:
    """Changes fields of the typed environment for one test."""

    def change(**values: Any) -> None:
        settings.CARILLON = dataclasses.replace(settings.CARILLON, **values)

    return change


@pytest.fixture(scope="session", autouse=True)
def _no_session_is_left(django_db_setup: None) -> Iterator[None]:
    """The thread that publishes wake-ups has a session, and a database in use cannot be dropped."""
    yield
    inbox_wakeups.disconnect()


@pytest.fixture(autouse=True)
def _caches_stay_fresh(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slows the clock of caches where statements are counted: a look at it lasts a microsecond.

    Rows that are read anew every two seconds would add a statement on a slow machine.
    """
    if not _COUNTERS.isdisjoint(vars(request.module)):
        looks = itertools.count(ports.monotonic(), 1e-6)
        monkeypatch.setattr(ports, "monotonic", lambda: next(looks))
