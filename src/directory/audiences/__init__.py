"""Audiences: rules, segment criteria, and the SQL that finds the users.

docs/audiences.md documents the language.
"""

from directory.audiences.audience import PAGE, Audience
from directory.audiences.errors import AudienceError, AudienceFault
from directory.audiences.parse import RULES, parse_audience, parse_target
from directory.audiences.parse_criteria import parse_criteria
from directory.audiences.resolve import Missing
from directory.audiences.rules import Rule, list_of
from directory.audiences.segments import (
    check_criteria,
    criteria_in_words,
    lists_named,
    saved_criteria,
)

__all__ = [
    "PAGE",
    "RULES",
    "Audience",
    "AudienceError",
    "AudienceFault",
    "Missing",
    "Rule",
    "check_criteria",
    "criteria_in_words",
    "list_of",
    "lists_named",
    "parse_audience",
    "parse_criteria",
    "parse_target",
    "saved_criteria",
]
