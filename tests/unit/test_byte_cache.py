"""A cache that is bounded by bytes."""

from __future__ import annotations

import pytest

from notifications.infra.byte_cache import ByteCache


@pytest.fixture
def cache():
    return ByteCache[str, bytes](10, len)


def test_a_cached_value_is_made_once(cache):
    made = []
    for _ in range(3):
        assert cache.get("a", lambda: made.append(1) or b"aaaa") == b"aaaa"
    assert made == [1]
    cache.clear()
    assert cache.get("a", lambda: b"new") == b"new"


def test_the_least_recently_used_value_is_dropped_first(cache):
    cache.get("a", lambda: b"aaaa")
    cache.get("b", lambda: b"bbbb")
    cache.get("a", lambda: b"never made")
    cache.get("c", lambda: b"cccc")
    assert cache.get("a", lambda: b"again") == b"aaaa"
    assert cache.get("b", lambda: b"again") == b"again"


def test_a_value_larger_than_the_cache_drops_nothing(cache):
    cache.get("a", lambda: b"aaaa")
    assert cache.get("x", lambda: b"x" * 11) == b"x" * 11
    assert cache.get("a", lambda: b"again") == b"aaaa"
    assert cache.get("x", lambda: b"again") == b"again"


def test_the_caller_gets_the_error_of_its_function(cache):
    with pytest.raises(ValueError, match="no"):
        cache.get("a", lambda: int("no"))
