"""The audience `list`: who is in it, exclusions, segments, and which list a broadcast goes to."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from directory.audiences import Audience, AudienceError, list_of
from directory.models import ListMembership, SubscriberList
from notifications.domain.callers import SYSTEM
from notifications.features.lists.joining import leave
from notifications.infra import clock
from notifications.models import BroadcastRecipient, NotificationMessage
from tests.integration.factories import make_user
from tests.integration.lists.factories import make_list, make_subscriber, send_to
from tests.integration.preferences.conftest import work

pytestmark = pytest.mark.django_db


@pytest.fixture
def found() -> SubscriberList:
    return make_list()


def audience(data: dict[str, Any]) -> Audience:
    return Audience.of(data, now=clock.now())


def ids(data: dict[str, Any]) -> list[int]:
    made = audience(data)
    streamed = [key for page in made.stream(page=2) for key in page]
    assert made.count() == len(streamed)
    assert streamed == list(made.people().values_list("pk", flat=True))
    return streamed


def on(found: SubscriberList) -> dict[str, Any]:
    return {"rule": "list", "list_id": found.pk}


def test_it_has_active_people_who_are_subscribed_now(found):
    people = [make_subscriber(found) for _ in range(5)]
    left = make_subscriber(found)
    leave(found, left.pk, caller=SYSTEM, source="api")
    waits = make_user()
    ListMembership.objects.create(
        list=found, user=waits, state="pending", source="api", changed_at=clock.now()
    )
    make_subscriber(make_list())
    type(left).objects.filter(pk=people[0].pk).update(is_active=False)

    expected = [user.pk for user in people[1:]]
    assert ids(on(found)) == ids({"rule": "list", "list_id": str(found.uuid)}) == expected
    assert audience(on(found)).description == f"subscribers of list “{found.name}”"


def test_exclusions_and_segments_name_lists(found):
    both, one = make_subscriber(found), make_subscriber(found)
    other = make_list()
    ListMembership.objects.create(
        list=other, user=both, state="subscribed", source="api", changed_at=clock.now()
    )
    of_other = {"field": "lists", "op": "eq", "value": str(other.uuid)}

    assert ids({"from": on(found), "except": on(other)}) == [one.pk]
    assert ids({"rule": "segment", "criteria": of_other}) == [both.pk]
    assert ids({"rule": "segment", "criteria": {**of_other, "op": "ne"}}) == [one.pk]
    any_list = {"field": "lists", "op": "exists", "value": True}
    assert ids({"rule": "segment", "criteria": any_list}) == [both.pk, one.pk]


def test_an_unknown_list_is_an_error():
    for wrong, code in [(10**9, "unknown_list"), ("x", "invalid"), (None, "required")]:
        with pytest.raises(AudienceError) as caught:
            audience({"rule": "list", "list_id": wrong})
        assert [fault.code for fault in caught.value.faults] == [code]


def test_which_list_holds_everyone(found):
    other, everyone = make_list(), {"rule": "all"}

    def list_id(data: dict[str, Any]) -> int | None:
        return list_of(audience(data).rule)

    assert list_id(on(found)) == found.pk
    assert list_id({"from": on(found), "except": on(other)}) == found.pk
    assert list_id({"from": everyone, "except": on(found)}) is None
    assert list_id({"all": [everyone, on(found)]}) == found.pk
    assert list_id({"all": [on(other), on(found)]}) == other.pk
    assert list_id({"any": [on(found), everyone]}) is None
    assert list_id({"any": [on(found), on(other)]}) is None
    assert list_id({"any": [on(found), {"all": [on(found), everyone]}]}) == found.pk


def test_a_broadcast_goes_to_the_list_but_for_exclusions(found, frozen):
    stays, teacher = make_subscriber(found), make_subscriber(found, role="teacher")
    rule = {"from": on(found), "except": {"rule": "all_teachers"}}
    made = send_to(found, target_group="composed", target_filter=rule)
    leave(found, stays.pk, caller=SYSTEM, source="api")
    work()

    recipients = BroadcastRecipient.objects.filter(broadcast=made)
    assert list(recipients.values_list("recipient_id", flat=True)) == [stays.pk]
    assert made.list_id == found.pk
    assert NotificationMessage.objects.get().status == "suppressed"
    assert not NotificationMessage.objects.filter(user=teacher).exists()


def test_a_slice_reads_its_lists_in_one_statement(found, frozen):
    for _ in range(3):
        make_subscriber(found)
    send_to(found)
    with CaptureQueriesContext(connection) as seen:
        work()

    assert sum("directory_listmembership" in each["sql"] for each in seen.captured_queries) <= 1


def test_pages_and_audiences_use_the_index(found):
    make_subscriber(found)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
        plan = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
        cursor.execute(
            f"{plan} SELECT user_id FROM directory_listmembership m WHERE m.list_id = %s"
            " AND m.state = 'subscribed' AND m.user_id > %s ORDER BY m.user_id LIMIT 50",
            [found.pk, 0],
        )
        text = "\n".join(str(row) for row in cursor.fetchall())
    assert "list_membership_state" in text
