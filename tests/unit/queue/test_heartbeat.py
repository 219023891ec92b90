"""What a heartbeat's calls raise ends no thread."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, InterfaceError
from structlog.testing import capture_logs

from notifications.queue import heartbeat

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (DatabaseError("gone"), "warning"),
        (InterfaceError("closed"), "warning"),
        (ValueError("a fault of ours"), "error"),
    ],
)
def test_a_call_that_raises_is_told_and_its_connection_closed(
    monkeypatch: pytest.MonkeyPatch, error: Exception, level: str
) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(heartbeat.connection, "close", lambda: closed.append(True))

    def call() -> Any:
        raise error

    with capture_logs() as logs:
        assert not heartbeat.with_database(call, "beat.missed")
    assert [(line["event"], line["log_level"]) for line in logs] == [("beat.missed", level)]
    assert closed == [True]


def test_a_call_that_answers_is_good_and_told_nobody() -> None:
    with capture_logs() as logs:
        assert heartbeat.with_database(lambda: None)
    assert logs == []
