"""What integration tests share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def override_environment(settings: Any) -> Callable[..., None]:
    """Changes fields of the typed environment for one test."""

    def change(**values: Any) -> None:
        settings.CARILLON = dataclasses.replace(settings.CARILLON, **values)

    return change
