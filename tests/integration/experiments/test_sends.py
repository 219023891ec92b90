"""What people get while their template is tested: assignment, holdout, exposures, explain."""

from __future__ import annotations

import pytest

from notifications.domain.experiments.assignment import assign_variant
from notifications.features.experiments.counting import count_test
from notifications.infra import clock
from notifications.models import SandboxMessage
from tests.integration.experiments.conftest import deliver, messages_of, send

pytestmark = pytest.mark.django_db


def counts(test):
    return count_test(test, now=clock.now())


def sent(test, variant):
    return counts(test).of(variant, "email").handed_over


def bodies():
    found = {}
    for row in SandboxMessage.objects.all():
        found[row.message_id] = row.content["body"].strip()
    return found


def test_each_person_gets_the_text_of_their_variant(running, people):
    test = running()
    made = [send(person) for person in people]
    deliver()

    for person, notification in zip(people, made, strict=True):
        variant = assign_variant(test.split(), str(person.pk)).variant
        assert notification.ab_test_id == test.pk
        assert notification.variant == f"{test.pk}:{variant}"
        assert bodies()[notification.pk] == {"A": "Usual", "B": "Short"}[variant]
    assert sent(test, "A") + sent(test, "B") == len(people)
    assert sent(test, "A") == len(messages_of(f"{test.pk}:A")) > 5
