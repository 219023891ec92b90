"""The pages of the console about broadcasts, campaigns, series, A/B tests and mailing lists."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_CAST = "broadcasts"
_READ_TESTS, _WRITE_TESTS = "templates:read", "templates:write"
_READ_LISTS, _WRITE_LISTS = "users:read", "lists:write"
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
        "console/campaigns": _CAST,
        "console/campaigns/new": _CAST,
        "console/campaigns/preview": _CAST,
        "console/campaigns/<int:number>": _CAST,
        "console/campaigns/<int:number>/edit": _CAST,
        "console/campaigns/<int:number>/estimate": _CAST,
        "console/campaigns/<int:number>/figures": _CAST,
        "console/campaigns/<int:number>/report": _CAST,
        "console/campaigns/<int:number>/recipients": _CAST,
        "console/campaigns/<int:number>/frame/<str:channel>": _CAST,
        "console/campaigns/<int:number>/<str:action>": _CAST,
        "console/series": _CAST,
        "console/series/new": _CAST,
        "console/series/<int:number>": _CAST,
        "console/series/<int:number>/edit": _CAST,
        "console/series/<int:number>/<str:action>": _CAST,
        "console/experiments": _READ_TESTS,
        "console/experiments/<int:number>": _READ_TESTS,
        "console/experiments/<int:number>/<str:action>": _WRITE_TESTS,
        "console/lists": _READ_LISTS,
        "console/lists/<int:number>": _READ_LISTS,
        "console/lists/<int:number>/<str:action>": _WRITE_LISTS,
    }
)
"""The scope of each page by its path. The forms call services, which check the scope once more."""
