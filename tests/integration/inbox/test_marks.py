"""What clients received is written, whatever other processes write meanwhile."""

from __future__ import annotations

import pytest

from notifications.features.inbox import marks
from notifications.features.inbox.marks import Received, mark_received


def test_what_another_process_delivers_meanwhile_ends_nothing_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A person has two devices, whose web processes both write what was received."""
    sent = set(range(marks._AT_ONCE + 10))

    def deliver_but_the_first(keys: list[int]) -> int:
        sent.difference_update(keys)
        return len(keys) - 1  # another process has delivered the first one

    monkeypatch.setattr(marks, "_sent_in", lambda _: sorted(sent)[: marks._AT_ONCE])
    monkeypatch.setattr(marks, "_deliver", deliver_but_the_first)

    assert mark_received([Received(1, 0, len(sent))]) == marks._AT_ONCE - 1 + 10 - 1
    assert not sent
