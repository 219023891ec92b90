"""Template paths: dotted names, and patterns in which a `*` stands for exactly one segment.

Lookups use `path__in=candidates(path)`: one query, and no cache that could be stale. `TemplateTrie`
finds paths held in memory by the same rule: the fewest wildcards first, and among equals the one
whose literal segments come earlier.
"""

from __future__ import annotations

import functools
import itertools
import re
from typing import Any

MAX_SEGMENTS = 6
PATH_PATTERN = re.compile(r"(\*|[a-z0-9][a-z0-9_-]*)(\.(\*|[a-z0-9][a-z0-9_-]*))*", re.IGNORECASE)


def is_template_path(path: str) -> bool:
    """Returns whether a template may be stored under this path."""
    return (
        len(path) <= 200
        and path.count(".") < MAX_SEGMENTS
        and PATH_PATTERN.fullmatch(path) is not None
    )


@functools.lru_cache(maxsize=1024)
def _candidates(path: str) -> tuple[str, ...]:
    segments = path.split(".")
    if len(segments) > MAX_SEGMENTS:
        return (path,)
    places = range(len(segments))
    patterns: list[str] = []
    for stars in range(len(segments) + 1):
        chosen = itertools.combinations(places, stars)
        # A combination with later places keeps earlier segments literal: it is more specific.
        patterns += [
            ".".join("*" if place in wild else segments[place] for place in places)
            for wild in sorted(chosen, reverse=True)
        ]
    return tuple(dict.fromkeys(patterns))


def candidates(path: str) -> list[str]:
    """Returns every stored path that could serve this one, the most specific first.

    No pattern serves a path of more than MAX_SEGMENTS segments.
    """
    return list(_candidates(path))


def takes_over(pattern: str, other: str) -> bool:
    """Returns whether a stored path serves some paths that another stored path served before."""
    mine, theirs = pattern.split("."), other.split(".")
    if pattern == other or len(mine) != len(theirs):
        return False
    both = zip(mine, theirs, strict=True)
    if any(a != b and "*" not in (a, b) for a, b in both):
        return False  # no path matches both
    return _rank(mine) < _rank(theirs)


def _rank(segments: list[str]) -> tuple[int, list[int]]:
    """Returns what orders the patterns that match a path, the most specific first."""
    wild = [place for place, segment in enumerate(segments) if segment == "*"]
    return len(wild), [-place for place in wild]


class _Node:
    __slots__ = ("children", "template_id")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.template_id: Any = None


class TemplateTrie:
    """Maps paths and wildcard patterns to template ids."""

    def __init__(self) -> None:
        self._root = _Node()

    def insert(self, path: str, template_id: Any) -> None:
        """Stores an id under a path or pattern; replaces an earlier id."""
        node = self._root
        for segment in path.split("."):
            node = node.children.setdefault(segment, _Node())
        node.template_id = template_id

    def find_template(self, path: str) -> Any:
        """Returns the id of the most specific path or pattern that serves this path, or None."""
        # (wildcard places, node) pairs: all matches are collected, then the best one is chosen
        reached: list[tuple[tuple[int, ...], _Node]] = [((), self._root)]
        for place, segment in enumerate(path.split(".")):
            following: list[tuple[tuple[int, ...], _Node]] = []
            for wild, node in reached:
                exact, star = node.children.get(segment), node.children.get("*")
                if exact is not None:
                    following.append((wild, exact))
                if star is not None and star is not exact:
                    following.append(((*wild, place), star))
            reached = following
        found = [(wild, node) for wild, node in reached if node.template_id is not None]
        if not found:
            return None
        return min(found, key=lambda each: (len(each[0]), [-place for place in each[0]]))[
            1
        ].template_id
