"""Which stored path takes sends from another: what the lookup by candidates says."""

from __future__ import annotations

import itertools

from notifications.rendering.paths import candidates, takes_over

WORDS = ("a", "b", "*")
PATTERNS = [".".join(each) for n in (1, 2, 3) for each in itertools.product(WORDS, repeat=n)]
PATHS = [each for each in PATTERNS if "*" not in each]


def serving(path: str, *stored: str) -> str | None:
    return next((each for each in candidates(path) if each in stored), None)


def test_every_pair_of_patterns_is_as_the_lookup_says() -> None:
    for pattern, other in itertools.permutations(PATTERNS, 2):
        taken = any(
            serving(path, other) == other and serving(path, other, pattern) == pattern
            for path in PATHS
        )
        assert takes_over(pattern, other) is taken, (pattern, other)


def test_a_path_takes_nothing_from_itself() -> None:
    assert not any(takes_over(each, each) for each in PATTERNS)
