"""The counts equal a recount of the messages, in whatever order changes come, and how often.

The recount reads messages and engagement by itself, and shares no code with what writes the counts.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from directory.models import User
from notifications.domain.engagement import CLICK_HUMAN, OPEN_HUMAN
from notifications.features.analytics.recount import begin_again, recount
from notifications.features.learning.rebuild import rebuild
from notifications.models import (
    EngagementHours,
    EngagementPrior,
    NotificationAnalytics,
    NotificationMessage,
)
from notifications.models.learning.hours import unpacked_cells
from tests.integration.analytics.test_rollups import Play
from tests.integration.factories import make_messages, make_user

pytestmark = pytest.mark.django_db
ZONES = ("UTC", "Europe/Paris", "Asia/Kathmandu", "America/Lima")
OPTIONS = ({"track_clicks": True}, {"track_clicks": True}, {"track_opens": True}, None)


def counted() -> dict[tuple, Counter]:
    found: dict[tuple, Counter] = {}
    for row in EngagementHours.objects.all():
        for cell, counts in unpacked_cells(row.cells).items():
            found[row.user_id, row.channel, *cell] = _whole(counts._asdict())
    return {key: counts for key, counts in found.items() if counts}


def counted_of_all() -> dict[tuple, Counter]:
    found = {}
    for row in EngagementPrior.objects.all():
        for cell, counts in unpacked_cells(row.cells).items():
            found[row.channel, *cell] = _whole(counts._asdict())
    return {key: counts for key, counts in found.items() if counts}


def recounted() -> dict[tuple, Counter]:
    found: dict[tuple, Counter] = {}
    rows = NotificationMessage.objects.select_related("notification", "notification__category")
    for message in rows:
        notification = message.notification
        options = notification.options or {}
        is_tracked = options.get("track_clicks") or options.get("track_opens")
        if message.channel == "email" and not (is_tracked and notification.template_version_id):
            continue
        if notification.is_test or message.priority <= 1 or not notification.category.trackable:
            continue
        if message.sent_at and message.status in ("sent", "delivered", "failed"):
            found.setdefault(_cell(message, message.sent_at), Counter())["handed"] += 1
        row = NotificationAnalytics.objects.filter(pk=message.pk).first()
        if row and row.flags & (CLICK_HUMAN | OPEN_HUMAN):
            counts = found.setdefault(_cell(message, row.sent_at), Counter())
            counts["clicked"] += bool(row.flags & CLICK_HUMAN)
            counts["engaged"] += 1
    return {key: _whole(counts) for key, counts in found.items()}


def _cell(message: NotificationMessage, at: datetime) -> tuple[int, str, int, int]:
    user = User.objects.get(pk=message.user_id)
    local = at.astimezone(ZoneInfo(user.timezone))
    period = int(at.timestamp() // (28 * 86_400))
    return user.pk, message.channel, period, local.weekday() * 24 + local.hour


def _whole(counts) -> Counter:
    return Counter({name: number for name, number in counts.items() if number})


def _sum(found: dict[tuple, Counter]) -> dict[tuple, Counter]:
    """The counts of all people together."""
    sums: dict[tuple, Counter] = {}
    for (_, *rest), counts in found.items():
        sums.setdefault(tuple(rest), Counter()).update(counts)
    return sums


class LearningPlay(Play):
    """One random history of messages to people in several zones; some cannot be learned from."""

    def __init__(self, seed: int, frozen) -> None:
        super().__init__(seed, frozen)
        self.people = [make_user(timezone=zone) for zone in ZONES]

    def accept(self) -> None:
        made = make_messages(
            self.random.randint(4, 12),
            user=self.random.choice(self.people),
            channel=self.random.choice(("email", "email", "sms")),
            category=self.random.choice(("payment", "payment", "payment", "security")),
            priority=self.random.choice((1, 3, 3, 3, 3)),
        )
        for message in made:
            note = message.notification
            note.options = self.random.choice(OPTIONS)
            note.is_test = self.random.random() < 0.1
            note.template_version_id = self.random.choice(
                (self.version, self.version, self.version, None)
            )
            note.save()

    def _some(self) -> NotificationMessage | None:
        """Most often a message that was sent: only such a one teaches something."""
        sent = NotificationMessage.objects.filter(sent_at__isnull=False).order_by("pk")
        rows = list(sent.select_related("notification"))
        return self.random.choice(rows) if rows and self.random.random() < 0.7 else super()._some()

    def engage(self) -> None:
        for _ in range(5):
            super().engage()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_counts_equal_a_recount_after_any_history(seed, learning, frozen):
    play = LearningPlay(seed, frozen)
    for _ in range(120):
        play.step()
    play.roll_up()
    expected = recounted()
    totals = sum(expected.values(), Counter())
    assert min(totals["handed"], totals["engaged"]) > 3
    assert counted() == expected
    assert counted_of_all() == _sum(expected)
    play.roll_up()
    assert counted() == expected

    play.accept()
    play.record()  # its hand-overs wait, and are counted from the messages
    rebuild()
    play.roll_up()
    assert counted() == recounted()
    assert counted_of_all() == _sum(recounted())


def test_a_new_count_of_everything_leaves_learned_counts_for_their_own(learning, frozen):
    play = LearningPlay(9, frozen)
    for _ in range(50):
        play.step()
    play.roll_up()
    begin_again()
    assert not EngagementHours.objects.exists()
    rebuild()
    recount()
    play.roll_up()
    assert counted() == recounted() != {}
