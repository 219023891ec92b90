"""Criteria without a rule: checks them before they are saved, describes them in English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from directory.audiences.describe import describe_criteria
from directory.audiences.errors import AudienceError
from directory.audiences.parse import parse_audience
from directory.audiences.parse_criteria import parse_criteria
from directory.audiences.resolve import criteria_of, resolve_rule
from directory.audiences.rules import Identifier, Matching, Rule, lists_in, segments_in


def check_criteria(data: Any, *, path: str = "criteria") -> None:
    """Checks that the criteria are valid, and that everything they name exists.

    Raises:
        AudienceError: with every fault.
    """
    resolve_rule(Matching(parse_criteria(data, path=path)))


def saved_criteria(data: Any) -> dict[str, Any]:
    """Returns the criteria of the saved segments that an audience names, by id or UUID.

    One that does not exist is left out.

    Raises:
        AudienceError: with every fault of the audience.
    """
    named = {str(each): criteria_of(each) for each in segments_in(parse_audience(data))}
    return {key: criteria for key, criteria in named.items() if criteria is not None}


def lists_named(rule: Rule, *, segments: Mapping[str, Any] | None = None) -> set[Identifier]:
    """Returns the mailing lists that a rule names, by id or UUID, also by its saved segments.

    segments: criteria that count instead of those of a saved segment, by its id or UUID.
    """
    found = lists_in(rule)
    for key in segments_in(rule):
        criteria = (segments or {}).get(str(key)) or criteria_of(key)
        try:
            found |= lists_in(Matching(parse_criteria(criteria)))
        except AudienceError:
            continue  # it is gone, or cannot be read any more: then it names nothing
    return found


def criteria_in_words(data: Any) -> str:
    """Returns saved criteria in English; empty where they cannot be read any more."""
    try:
        return describe_criteria(parse_criteria(data), {})
    except AudienceError:
        return ""
