"""What integration tests share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from notifications.infra.process import inbox_wakeups


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
