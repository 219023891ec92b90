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
def test_a_call_that_raises_is_reported_and_its_connection_closed(
    monkeypatch: pytest.MonkeyPatch, error: Exception, level: str
) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(heartbeat.connection, "close", lambda: closed.append(True))

    def call() -> Any:
        raise error

    with capture_logs() as logs:
        assert not heartbeat.run_logged(call, "beat.missed")
    assert [(line["event"], line["log_level"]) for line in logs] == [("beat.missed", level)]
    assert closed == [True]


def test_a_call_that_answers_is_good_and_reported_no_one() -> None:
    with capture_logs() as logs:
        assert heartbeat.run_logged(lambda: None)
    assert logs == []


class Renewal:
    """A renewal that succeeds, or raises `error`."""

    error: Exception | None = None

    def __call__(self) -> None:
        if self.error is not None:
            raise self.error


@pytest.fixture(autouse=True)
def _no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "now_us", lambda: 0)


def beats(renew: Renewal | None = None, **given: Any) -> heartbeat.Heartbeat:
    return heartbeat.Heartbeat(renew=renew or Renewal(), unregister=lambda: None, **given)


def test_a_beat_is_good_without_anything_to_call_after_it() -> None:
    assert beats()._beat()


def test_what_comes_after_a_beat_is_called_only_when_it_reached_the_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(heartbeat.connection, "close", lambda: None)
    called: list[bool] = []
    renewal = Renewal()
    heart = beats(renewal, on_beat=lambda: called.append(True))
    assert heart._beat()
    assert heart.is_registered()
    renewal.error = DatabaseError("gone")
    assert not heart._beat()
    assert called == [True]
