"""The URLs that are no routes of the API, as Django has them."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

from notifications.api.routes import ROUTES
from notifications.api.urls import pattern_of

_WHOLE = frozenset({"admin/"})
"""Prefixes of pages that Django makes itself: they are one entry."""


def all_paths() -> set[str]:
    """Returns the patterns of all URLs, without a first slash."""
    return _patterns(get_resolver(), "")


def other_paths() -> set[str]:
    """Returns the patterns of all URLs outside of the routes of the API, without a first slash."""
    return all_paths() - {pattern_of(route.path) for route in ROUTES}


def _patterns(resolver: Any, prefix: str) -> set[str]:
    found: set[str] = set()
    for each in resolver.url_patterns:
        path = prefix + str(each.pattern)
        if isinstance(each, URLResolver) and path not in _WHOLE:
            found |= _patterns(each, path)
        elif isinstance(each, URLPattern | URLResolver):
            found.add(path)
    return found
