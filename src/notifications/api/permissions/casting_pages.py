"""The pages of the console about broadcasts, campaigns, series, A/B tests and mailing lists."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_CAST = "broadcasts"
CASTING_SCOPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "console/broadcasts": _CAST,
        "console/broadcasts/new": _CAST,
        "console/broadcasts/preview": _CAST,
        "console/broadcasts/<int:number>": _CAST,
        "console/broadcasts/<int:number>/edit": _CAST,
        "console/broadcasts/<int:number>/dry-run": _CAST,
        "console/broadcasts/<int:number>/figures": _CAST,
        "console/broadcasts/<int:number>/recipients": _CAST,
        "console/broadcasts/<int:number>/<str:action>": _CAST,
    }
)
"""The scope of each page by its path. The forms call services, which check the scope once more."""
