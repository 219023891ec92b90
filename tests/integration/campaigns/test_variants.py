"""A campaign whose template is under an A/B test: each person gets their variant, or nothing."""

from __future__ import annotations

import msgspec
import pytest

from notifications.domain.callers import SYSTEM
from notifications.domain.experiments.assignment import Inclusion, assign_variant
from notifications.features.experiments.catalog import forget_tests
from notifications.features.experiments.schemas import ABTestBody, ABTestDeclareBody
from notifications.features.experiments.service import ABTestService
from notifications.models import Category, Notification, NotificationABTest, NotificationTemplate
from tests.integration.campaigns.factories import (
    act,
    counts,
    finish,
    make_campaign,
    make_news,
)
from tests.integration.factories import make_willing_user

pytestmark = pytest.mark.django_db
SHORT = "news.short"


@pytest.fixture
def test_row(frozen) -> NotificationABTest:
    """A test of the news in two texts, with a holdout of half of the people."""
    marketing = Category.objects.get(key="marketing")
    make_news(SHORT, category=marketing, in_app_template="News\n\nShort")
    body = {
        "name": "Short or usual",
        "template_id": make_news(category=marketing).pk,
        "variants": [{"name": "A"}, {"name": "B", "template_path": SHORT}],
        "traffic_percentage": 100,
        "holdout_percentage": 50,
        "channel": "in_app",
        "minimum_sample_size": 0,
    }
    made = ABTestService().create(body=msgspec.convert(body, ABTestBody), caller=SYSTEM)
    ABTestService().start(identifier=made.id, caller=SYSTEM)
    forget_tests()
    return NotificationABTest.objects.get(pk=made.id)


def test_each_person_gets_their_variant_and_the_holdout_nothing(test_row):
    people = [make_willing_user(role="student") for _ in range(30)]
    made = finish(act("launch", make_campaign(category="marketing")))

    places = {p.pk: assign_variant(test_row.split(), str(p.pk)) for p in people}
    away = [key for key, place in places.items() if place.standing is Inclusion.HELD_OUT]
    assert 0 < len(away) < 30
    assert counts(made) == {"sent": 30 - len(away), "suppressed": len(away)}
    version = dict(NotificationTemplate.objects.values_list("path", "current_version_id"))
    for row in Notification.objects.all():
        place = places[row.user_id]
        named = place.variant if place.standing is not Inclusion.HELD_OUT else ""
        assert row.variant == f"{test_row.pk}:{named or '/held_out'}"
        shown = SHORT if named == "B" else "news.may"
        assert row.template_version_id == version[shown]


def test_everyone_gets_the_declared_winner(test_row):
    body = ABTestDeclareBody(winner="B", reason="shorter is nicer")
    ABTestService().declare(identifier=test_row.pk, body=body, caller=SYSTEM)
    forget_tests()
    people = [make_willing_user(role="student") for _ in range(5)]
    made = finish(act("launch", make_campaign(category="marketing")))
    assert counts(made) == {"sent": len(people)}
    assert set(Notification.objects.values_list("variant", flat=True)) == {f"{test_row.pk}:B/ended"}
