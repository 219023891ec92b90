"""The settings as the service reads them: typed, from the project's environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from carillon.settings.environment import Environment as Environment


def environment() -> Environment:
    """The typed CARILLON_* environment. Tests override `settings.CARILLON`."""
    found: Environment = settings.CARILLON
    return found
