"""The figures of docs/broadcasts.md are those of the code."""

from __future__ import annotations

from notifications.features.broadcasts.delivery.fold import LOGGED
from notifications.features.broadcasts.delivery.intents import CALLS
from notifications.features.broadcasts.delivery.launch import MESSAGE_BATCH, SNAPSHOT_BATCH
from tests.docs.codes import ROOT

PAGE = (ROOT / "docs/broadcasts.md").read_text(encoding="utf-8")
WORDS = {4: "four", 100: "hundred"}


def test_a_launch_works_in_parts_of_the_documented_size():
    assert f"`BroadcastRecipient` rows, {SNAPSHOT_BATCH:,} people a transaction" in PAGE
    assert f"**Messages**: {MESSAGE_BATCH:,} recipients a transaction" in PAGE


def test_the_page_has_the_number_of_calls_and_of_stored_failures():
    assert f"{WORDS[CALLS]} calls in all" in PAGE
    assert f"`error_log` holds the latest {WORDS[LOGGED]} failures" in PAGE
