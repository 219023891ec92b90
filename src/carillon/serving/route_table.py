"""Finds what serves a path, by method and path, in the same time however many routes there are.

A path may have one parameter, which is a whole part of it: `/notifications/{id}/status`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")
_ANY = "{}"


class RouteTable(Generic[T]):
    """Values by method and path pattern."""

    def __init__(self, values: Mapping[tuple[str, str], T], *, paths: Iterable[str]) -> None:
        """Creates the table.

        Args:
            values: by method and path.
            paths: all paths that the service knows.

        Raises:
            ValueError: a path has two parameters, or has one and another path of the service
                matches the same requests, so that the order of routes would decide.
        """
        self._values: dict[tuple[str, str], tuple[T, str]] = {}
        #: The parts of a path that may be a parameter, by the number of its parts.
        self._places: dict[int, set[int]] = defaultdict(set)
        known = set(paths)
        for (method, path), value in values.items():
            parts = path.split("/")
            named = [place for place, part in enumerate(parts) if _is_parameter(part)]
            if len(named) > 1:
                raise ValueError(f"{path} has more than one parameter")
            if named:
                _check_unambiguous(path, known)
            name = ""
            for place in named:
                self._places[len(parts)].add(place)
                name, parts[place] = parts[place][1:-1], _ANY
            self._values[method, "/".join(parts)] = (value, name)

    def find(self, method: str, path: str) -> tuple[T, Mapping[str, str]] | None:
        """Returns the value of a request's route and the parameters in the path; None without."""
        found = self._values.get((method, path))
        if found is not None and not found[1]:
            return found[0], {}
        places = self._places.get(path.count("/") + 1)
        if places is None:
            return None
        parts = path.split("/")
        for place in places:
            pattern = "/".join([*parts[:place], _ANY, *parts[place + 1 :]])
            found = self._values.get((method, pattern))
            if found is not None and parts[place]:
                return found[0], {found[1]: parts[place]}
        return None


def _is_parameter(part: str) -> bool:
    return part.startswith("{")


def _check_unambiguous(path: str, known: Iterable[str]) -> None:
    parts = path.split("/")
    for other in known:
        others = other.split("/")
        if other == path or len(others) != len(parts):
            continue
        pairs = zip(parts, others, strict=True)
        if all(a == b or _is_parameter(a) or _is_parameter(b) for a, b in pairs):
            raise ValueError(f"{path} and {other} match the same requests")
