"""Paths and wildcards: the candidates, the trie, and a naive matcher agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.rendering.paths import TemplateTrie, candidates, is_template_path

segment = st.sampled_from(["a", "b", "c"])
paths = st.lists(segment, min_size=1, max_size=5).map(".".join)
patterns = st.lists(st.one_of(segment, st.just("*")), min_size=1, max_size=5).map(".".join)


def serves(pattern: str, path: str) -> bool:
    ours, theirs = pattern.split("."), path.split(".")
    return len(ours) == len(theirs) and all(
        mine in ("*", other) for mine, other in zip(ours, theirs, strict=True)
    )


def naive(stored: list[str], path: str) -> str | None:
    """Returns the match with the fewest wildcards, then with the earliest literal segments."""
    found = [pattern for pattern in stored if serves(pattern, path)]
    return min(
        found,
        key=lambda each: (each.count("*"), [part == "*" for part in each.split(".")]),
        default=None,
    )


def trie_of(stored: list[str]) -> TemplateTrie:
    trie = TemplateTrie()
    for pattern in stored:
        trie.insert(pattern, f"id of {pattern}")
    return trie


def test_the_documented_example() -> None:
    trie = TemplateTrie()
    trie.insert("user.payment.success", "payment_success_template")
    trie.insert("user.course.*", "course_generic_template")

    assert trie.find_template("user.course.enrollment") == "course_generic_template"
    assert trie.find_template("user.payment.success") == "payment_success_template"
    assert trie.find_template("user.payment") is None
    assert trie.find_template("user.course.a.b") is None


def test_a_wildcard_serves_when_the_exact_branch_has_no_match() -> None:
    trie = trie_of(["user.course.done", "*.course.start"])

    assert trie.find_template("user.course.start") == "id of *.course.start"


def test_the_candidates_are_in_order() -> None:
    assert candidates("a.b") == ["a.b", "a.*", "*.b", "*.*"]


def test_a_path_of_too_many_segments_has_itself_only() -> None:
    assert candidates("a.b.c.d.e.f.g") == ["a.b.c.d.e.f.g"]


@given(stored=st.lists(patterns, max_size=12), path=paths)
def test_trie_candidates_and_naive_matcher_agree(stored: list[str], path: str) -> None:
    wanted = naive(stored, path)

    by_candidates = next((each for each in candidates(path) if each in stored), None)

    assert by_candidates == wanted
    assert trie_of(stored).find_template(path) == (wanted and f"id of {wanted}")


@pytest.mark.parametrize(
    ("path", "good"),
    [
        ("user.payment.success", True),
        ("user.course.*", True),
        ("*", True),
        ("user-2.a_b", True),
        ("", False),
        ("user..x", False),
        ("user.", False),
        ("user.pay*", False),
        ("a.b.c.d.e.f.g", False),
        ("a b", False),
        ("x" * 201, False),
    ],
)
def test_valid_and_invalid_paths(path: str, good: bool) -> None:
    assert is_template_path(path) is good
