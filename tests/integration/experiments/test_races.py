"""Two processes that start or end a test at the same moment. On PostgreSQL."""

from __future__ import annotations

import pytest
from django.db import connection, transaction

from notifications.domain.callers import SYSTEM
from notifications.domain.errors import Conflict
from notifications.features.experiments.schemas import ABTestDeclareBody
from notifications.features.experiments.service import ABTestService
from notifications.models import NotificationABTest, OperatorAction
from tests.integration.experiments.conftest import draft, started
from tests.integration.races import other, wait_until_blocked_or_done

__all__ = ["other"]

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer"),
]


def begin(key):
    try:
        return ABTestService().start(identifier=key, caller=SYSTEM).status
    except Conflict as error:
        return error.code


def declare(key, winner):
    try:
        body = ABTestDeclareBody(winner=winner)
        return ABTestService().declare(identifier=key, body=body, caller=SYSTEM).winner
    except Conflict as error:
        return error.code


def both(other, first, second):
    """The second begins before the first has committed."""
    with transaction.atomic():
        one = first()
        running = other.start(second)
        wait_until_blocked_or_done(running)
    return one, running.result(10)


def test_one_test_is_started_once(template, other):
    key = draft(template)
    assert both(other, lambda: begin(key), lambda: begin(key)) == ("running", "ab_test_status")
    assert OperatorAction.objects.filter(action="ab-test.started").count() == 1


def test_two_tests_of_a_template_do_not_both_start(template, other):
    keys = [draft(template), draft(template)]
    found = both(other, lambda: begin(keys[0]), lambda: begin(keys[1]))
    assert found == ("running", "template_in_test")
    assert NotificationABTest.objects.filter(in_force=True).count() == 1


def test_the_first_of_two_declarations_counts(template, other):
    key = draft(template)
    begin(key)
    found = both(other, lambda: declare(key, "B"), lambda: declare(key, "A"))
    assert found == ("B", "ab_test_status")
    assert started(key).winner_variant == "B"
