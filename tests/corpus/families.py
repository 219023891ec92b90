"""The index of all behaviour families, in two halves.

One half is to tune a classifier on, the other must be new to it. The rule: families of one
likeness and one kind are sorted by the SHA-256 of their name and take turns; the first is for
tuning. So each half holds similar families. The rule was fixed, and its result is pinned by a
test, before any classifier existed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from hashlib import sha256

from tests.corpus import (
    gateways,
    people,
    people_checked,
    people_elsewhere,
    previews,
    programs,
    proxies,
    sandboxes,
)
from tests.corpus.model import Family

FAMILIES: tuple[Family, ...] = (
    *gateways.FAMILIES,
    *sandboxes.FAMILIES,
    *proxies.FAMILIES,
    *previews.FAMILIES,
    *programs.FAMILIES,
    *people.FAMILIES,
    *people_elsewhere.FAMILIES,
    *people_checked.FAMILIES,
)


def halves(families: Iterable[Family]) -> tuple[tuple[Family, ...], tuple[Family, ...]]:
    """Returns the families for tuning, and those held out."""
    alike: dict[tuple[str, str], list[Family]] = defaultdict(list)
    for family in families:
        alike[family.likeness, family.kind].append(family)
    tuning: list[Family] = []
    held_out: list[Family] = []
    for group in alike.values():
        ordered = sorted(group, key=lambda each: sha256(each.name.encode()).digest())
        tuning += ordered[::2]
        held_out += ordered[1::2]
    return tuple(tuning), tuple(held_out)


TUNING, HELD_OUT = halves(FAMILIES)
