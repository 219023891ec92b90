"""Pushes fit into their payload: a long one is cut at a word, never refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.delivery.vendors.webpush.crypto import LONGEST_PAYLOAD
from notifications.delivery.vendors.webpush.send import payload_for
from notifications.rendering.lengths.push import (
    MAX_PUSH_BYTES,
    MAX_TITLE_BYTES,
    push_bytes,
    push_fitted,
    push_length,
)
from notifications.rendering.render import CompiledVersion, text_content


def test_a_push_that_fits_is_unchanged() -> None:
    assert push_fitted("Paid", "Thank you") == ("Paid", "Thank you")
    exact = "x" * (MAX_PUSH_BYTES - 4)
    assert push_fitted("Paid", exact) == ("Paid", exact)


@pytest.mark.parametrize("word", ["word ", "слово ", "😀 ", '"\n" ', "\x01"])
def test_a_push_that_is_too_long_is_cut_at_a_word(word: str) -> None:
    title, body = push_fitted("Paid", word * 3_000)

    assert title == "Paid"
    assert body.endswith(f"{word.strip(' ')}…")
    assert MAX_PUSH_BYTES - 40 < push_bytes(title, body) <= MAX_PUSH_BYTES


def test_a_long_title_leaves_space_for_the_body() -> None:
    title, body = push_fitted("T" * 5_000, "b" * 5_000)

    assert push_bytes(title, "") <= MAX_TITLE_BYTES
    assert push_bytes("", body) > 2_900


@given(title=st.text(max_size=900), body=st.text(max_size=900), times=st.integers(1, 6))
def test_any_push_fits(title: str, body: str, times: int) -> None:
    fitted = push_fitted(title, body * times)

    assert push_bytes(*fitted) <= MAX_PUSH_BYTES
    length = push_length(title, body * times)
    assert (length.bytes, length.limit) == (push_bytes(*fitted), MAX_PUSH_BYTES)
    assert length.cut == (fitted != (title, body * times))


def test_the_longest_push_fits_into_a_browsers_record() -> None:
    title, body = push_fitted("T" * 5_000, "b" * 5_000)
    message: dict[str, Any] = {
        "title": title,
        "body": body,
        "data": {},
        "reference": "r" * 36,
        "collapse_key": "c" * 100,
    }

    payload = payload_for(message)

    assert len(payload) <= LONGEST_PAYLOAD
    assert json.loads(payload)["body"] == body


def test_rendering_cuts_a_push_and_nothing_else() -> None:
    version = CompiledVersion(
        version_id=1,
        path="a.b",
        content={"en": {"push_template": "{{ text }}", "sms_template": "{{ text }}"}},
        required_variables=[],
        supported_channels=[],
        default_locale="en",
    )
    context = {"text": "word " * 2_000, "user": {}, "app_name": "Carillon"}

    push = version.render(channel="push", locale="en", context=context)
    sms = version.render(channel="sms", locale="en", context=context)

    assert push.body.endswith("word…")
    assert len(push.body) < MAX_PUSH_BYTES
    assert len(sms.body) == 9_999


def test_a_text_without_a_template_is_cut_for_a_push_only() -> None:
    long = "word " * 2_000

    assert text_content("a\nb", long, channel="push").body.endswith("word…")
    assert text_content("a\nb", long, channel="in_app").body == long
    assert text_content("a\nb", "x", channel="push").title == "a b"
