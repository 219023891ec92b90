"""The order of the bits in which preferences come from the database. Pure.

A statement writes the yes-or-no preferences of a person as a text of 0 and 1. The statement
(models/delivery/hot_facts.py) and its reader (policy) both take the order from here.
"""

from __future__ import annotations

from collections.abc import Sequence

from notifications.domain.preferences import SWITCHES

CATEGORY_BITS: tuple[str, ...] = SWITCHES
"""The columns of a preference for one category."""

GENERAL_BITS: tuple[str, ...] = (
    "data_processing_consent",
    "notifications_enabled",
    "marketing_enabled",
    *SWITCHES,
    "quiet_hours_enabled",
)
"""The columns of a person's general preferences."""


def read_bits(text: str, columns: Sequence[str]) -> dict[str, bool]:
    """Returns the value of each column in a text of bits. A bit that is missing is left out."""
    return {column: bit == "1" for column, bit in zip(columns, text, strict=False)}
