"""The figures of docs/broadcasts.md are those of the code."""

from __future__ import annotations

from notifications.features.broadcasts.delivery.fold import LOGGED
from notifications.features.broadcasts.delivery.launch import CALLS, MESSAGE_BATCH, SNAPSHOT_BATCH
from tests.docs.codes import ROOT

PAGE = (ROOT / "docs/broadcasts.md").read_text(encoding="utf-8")
WORDS = {4: "four", 100: "hundred"}


def test_a_launch_goes_in_parts_of_the_size_that_the_page_says():
    assert f"`BroadcastRecipient` rows, {SNAPSHOT_BATCH:,} people a transaction" in PAGE
    assert f"**Given their messages**, {MESSAGE_BATCH:,} recipients a transaction" in PAGE


def test_calls_and_kept_failures_are_as_many_as_the_page_says():
    assert f"{WORDS[CALLS]} calls in all" in PAGE
    assert f"`error_log` holds the latest {WORDS[LOGGED]} failures" in PAGE
