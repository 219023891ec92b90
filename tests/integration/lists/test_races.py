"""Two changes of one membership at the same moment: the second sees the first."""

from __future__ import annotations

import pytest
from django.db import connection, transaction

from directory.models import ListMembership, SubscriberList, User
from notifications.domain.callers import SYSTEM
from notifications.features.lists.joining import JoinResult, leave
from notifications.models import ConsentRecord
from tests.integration.factories import make_willing_user
from tests.integration.lists.factories import make_list, put_on
from tests.integration.races import PATIENCE_S, Other, other, wait_until_blocked_or_done

__all__ = ["other"]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer"),
]


@pytest.fixture
def found() -> SubscriberList:
    return make_list()


@pytest.fixture
def user() -> User:
    return make_willing_user()


def ledger(found: SubscriberList) -> list[bool]:
    rows = ConsentRecord.objects.filter(purpose=found.purpose).order_by("pk")
    return list(rows.values_list("granted", flat=True))


def test_who_leaves_while_being_added_has_left(
    found: SubscriberList, user: User, other: Other
) -> None:
    with transaction.atomic():
        put_on(found, user)
        work = other.start(lambda: leave(found, user.pk, caller=SYSTEM, source="one_click"))
        wait_until_blocked_or_done(work)
        assert not work.done()
    assert work.result(PATIENCE_S) is True
    assert ListMembership.objects.get().state == "unsubscribed"
    assert ledger(found) == [True, False]


def test_an_import_does_not_add_who_is_just_leaving(
    found: SubscriberList, user: User, other: Other
) -> None:
    put_on(found, user)
    with transaction.atomic():
        leave(found, user.pk, caller=SYSTEM, source="one_click")
        work = other.start(lambda: put_on(found, user))
        wait_until_blocked_or_done(work)
        assert not work.done()
    assert work.result(PATIENCE_S) == {user.pk: JoinResult.OPTED_OUT}
    assert ledger(found) == [True, False]


def test_two_imports_at_once_add_a_person_once(
    found: SubscriberList, user: User, other: Other
) -> None:
    with transaction.atomic():
        put_on(found, user)
        work = other.start(lambda: put_on(found, user))
        wait_until_blocked_or_done(work)
    assert work.result(PATIENCE_S) == {user.pk: JoinResult.UNCHANGED}
    assert ListMembership.objects.count() == 1
    assert ledger(found) == [True]


def test_two_imports_of_the_same_people_do_not_deadlock(
    found: SubscriberList, other: Other
) -> None:
    people = [make_willing_user() for _ in range(4)]
    with transaction.atomic():
        put_on(found, *people)
        work = other.start(lambda: put_on(found, *reversed(people)))
        wait_until_blocked_or_done(work)
    assert set(work.result(PATIENCE_S).values()) == {JoinResult.UNCHANGED}
