"""Criteria on their own: checked before they are saved, told in words when they are shown."""

from __future__ import annotations

from typing import Any

from directory.audiences.describe import describe_criteria
from directory.audiences.errors import AudienceError
from directory.audiences.parse_criteria import parse_criteria
from directory.audiences.resolve import resolve_rule
from directory.audiences.rules import Matching


def check_criteria(data: Any, *, path: str = "criteria") -> None:
    """Nothing is wrong with the criteria, and what they name exists.

    Raises:
        AudienceError: with every fault.
    """
    resolve_rule(Matching(parse_criteria(data, path=path)))


def criteria_in_words(data: Any) -> str:
    """Saved criteria for people; empty where they cannot be read any more."""
    try:
        return describe_criteria(parse_criteria(data), {})
    except AudienceError:
        return ""
