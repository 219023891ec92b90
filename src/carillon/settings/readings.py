"""Readers of settings that say what goes where: domains with rates, countries, amounts."""

from __future__ import annotations

import re

_DOMAIN_RATE = re.compile(
    r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+=[1-9][0-9]{0,8}/(s|min|h)", re.IGNORECASE
)
_LONGEST_DOMAIN = 40


def domain_rates(text: str) -> tuple[str, ...]:
    """domain=rate pairs separated by commas, such as gmail.com=5/s,example.org=100/min"""
    pairs = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    for pair in pairs:
        if not _DOMAIN_RATE.fullmatch(pair) or pair.index("=") > _LONGEST_DOMAIN:
            raise ValueError
    return pairs
