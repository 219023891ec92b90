"""The locale and time zone that rendering falls back to.

They are passed in rather than read from the settings: render processes have no settings.
"""

from __future__ import annotations

from typing import NamedTuple


class Defaults(NamedTuple):
    """The service's locale (`en`, `pt_BR`) and IANA time zone."""

    locale: str = "en"
    timezone: str = "UTC"
