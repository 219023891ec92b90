"""Blind indexes are HMAC-SHA-256: stored ones stay valid, however they are computed."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from django.test import override_settings

from vault.indexes import blind_index, hasher

TEXTS = ("", "a", "phone:+491512345678", "ü" * 300, "\N{GRINNING FACE}", "x" * 64)


@pytest.mark.parametrize("pepper", ["", "p", "k" * 64, "k" * 65, "ключ" * 30])
def test_a_hash_is_that_of_hmac(pepper: str) -> None:
    with override_settings(PEPPER=pepper):
        for text in TEXTS:
            wanted = hmac.new(pepper.encode(), text.encode(), hashlib.sha256)
            assert hasher()(text) == wanted.digest()
            assert blind_index(text) == wanted.hexdigest()[:40]
