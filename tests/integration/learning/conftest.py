"""Learning that is on, and people with a history of mails."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from directory.models import User
from notifications.domain.learning.counts import HourCounts
from notifications.domain.learning.hours import hour_of_week, period_of
from notifications.domain.wall_clock import first_zone
from notifications.infra import clock
from notifications.models import EngagementHours, EngagementPrior
from notifications.models.learning.hours import packed_cells
from tests.integration.experiments.conftest import running, template
from tests.integration.tracking.conftest import person, reader, send_mail

__all__ = ["person", "reader", "running", "send_mail", "template"]


@pytest.fixture
def learning(settings) -> None:
    settings.CARILLON = replace(settings.CARILLON, learning="on", learning_minimum=5)


@pytest.fixture
def sure(learning, monkeypatch) -> None:
    """Learning without a holdout: who is in it follows from the random UUID of a campaign."""
    monkeypatch.setattr("notifications.domain.learning.choice.is_held_out", lambda *named: False)


def known(
    user: User, channel: str, hours: dict[int, tuple[int, int]], *, at: datetime | None = None
) -> None:
    """Writes what is known of a person: (handed over, clicked) by hour of the week."""
    period = period_of(at or clock.now())
    cells = {
        (period, hour): HourCounts(handed, clicked, clicked)
        for hour, (handed, clicked) in hours.items()
    }
    EngagementHours.objects.update_or_create(
        user=user, channel=channel, defaults={"cells": packed_cells(cells)}
    )


def known_of_all(channel: str, hours: dict[int, tuple[int, int]]) -> None:
    """Writes what is known of all people."""
    period = period_of(clock.now())
    cells = {
        (period, hour): HourCounts(handed, clicked, clicked)
        for hour, (handed, clicked) in hours.items()
    }
    EngagementPrior.objects.update_or_create(
        channel=channel, defaults={"cells": packed_cells(cells)}
    )


def hour_at(user: User, moment: datetime) -> int:
    """The hour of the week on the person's clock."""
    return hour_of_week(moment, first_zone(user.timezone, "UTC")[0])


def noon(*, days: int = 0, hours: int = 0) -> datetime:
    """The time of the stopped clock, or one after it: Wednesday, noon, of a May."""
    return datetime(2030, 5, 1, 12, tzinfo=UTC) + timedelta(days=days, hours=hours)
