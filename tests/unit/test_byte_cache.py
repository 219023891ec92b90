"""A cache that is bounded by bytes."""

from __future__ import annotations

import pytest

from notifications.infra.byte_cache import ByteCache


@pytest.fixture
def kept():
    return ByteCache[str, bytes](10, len)


def test_what_is_kept_is_made_once(kept):
    made = []
    for _ in range(3):
        assert kept.get("a", lambda: made.append(1) or b"aaaa") == b"aaaa"
    assert made == [1]
    kept.clear()
    assert kept.get("a", lambda: b"new") == b"new"


def test_what_was_used_longest_ago_goes_first(kept):
    kept.get("a", lambda: b"aaaa")
    kept.get("b", lambda: b"bbbb")
    kept.get("a", lambda: b"never made")
    kept.get("c", lambda: b"cccc")
    assert kept.get("a", lambda: b"again") == b"aaaa"
    assert kept.get("b", lambda: b"again") == b"again"


def test_what_is_too_large_alone_pushes_nothing_out(kept):
    kept.get("a", lambda: b"aaaa")
    assert kept.get("x", lambda: b"x" * 11) == b"x" * 11
    assert kept.get("a", lambda: b"again") == b"aaaa"
    assert kept.get("x", lambda: b"again") == b"again"


def test_a_fault_is_the_callers(kept):
    with pytest.raises(ValueError, match="no"):
        kept.get("a", lambda: int("no"))
