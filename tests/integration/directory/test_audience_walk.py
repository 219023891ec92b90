"""A stream walks through a small audience itself, not through all users."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from directory.audiences import Audience
from directory.models import (
    Enrollment,
    Group,
    GroupMembership,
    Subject,
    TutorAssignment,
    User,
)
from notifications.infra import clock
from tests.integration.campaigns.factories import act, make_campaign, recipients
from tests.integration.factories import make_user
from tests.integration.lists.factories import make_list, put_on

pytestmark = pytest.mark.django_db
MANY, FEW = 400, 4


@pytest.fixture
def crowd() -> list[int]:
    """Many users; a few of them, far from each other, are in the small audiences."""
    User.objects.bulk_create(
        User(username=f"u{number}", role="student", is_active=True) for number in range(MANY)
    )
    keys = list(User.objects.order_by("pk").values_list("pk", flat=True))
    return keys[:: MANY // FEW]


def small_audiences(few: list[int]) -> dict[str, dict[str, Any]]:
    people = list(User.objects.filter(pk__in=few))
    found = make_list()
    put_on(found, *people)
    group = Group.objects.create(name="Few")
    tutor, teacher = make_user(role="tutor"), make_user(role="teacher")
    subject = Subject.objects.create(name="Sums")
    for each in people:
        GroupMembership.objects.create(group=group, user=each)
        TutorAssignment.objects.create(tutor=tutor, student=each)
        Enrollment.objects.create(student=each, teacher=teacher, subject=subject)
    on_list = {"rule": "list", "list_id": found.pk}
    in_group = {"rule": "group", "group_id": group.pk}
    criteria = {"field": "lists", "op": "eq", "value": found.pk}
    everyone = {"rule": "all"}
    return {
        "list": on_list,
        "group": in_group,
        "tutor": {"rule": "by_tutor", "tutor_id": tutor.pk},
        "teacher": {"rule": "by_teacher", "teacher_id": teacher.pk},
        "custom": {"rule": "custom", "user_ids": few},
        "segment": {"rule": "segment", "criteria": criteria},
        "deep segment": {"rule": "segment", "criteria": {"all": [criteria, {"any": [criteria]}]}},
        "some": {"from": on_list, "except": {"rule": "all_tutors"}},
        "both": {"all": [everyone, on_list]},
        "any": {"any": [on_list, in_group]},
    }


NAMES = (
    "list", "group", "tutor", "teacher", "custom", "segment", "deep segment", "some", "both", "any",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_small_audience_takes_few_statements(crowd, name):
    found = Audience.of(small_audiences(crowd)[name], now=clock.now())
    with CaptureQueriesContext(connection) as seen:
        pages = list(found.stream(page=10))
    assert pages == [crowd]
    assert len(seen) <= 10, "and not one for each ten of four hundred users"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("page", [1, 2, 3, 5])
def test_pages_of_any_size_hold_everyone_once(crowd, name, page):
    found = Audience.of(small_audiences(crowd)[name], now=clock.now())
    pages = list(found.stream(page=page))
    assert [each for part in pages for each in part] == crowd
    assert max(map(len, pages)) <= page
    assert [each for part in found.stream(after=crowd[1], page=page) for each in part] == crowd[2:]


def test_any_of_a_small_and_a_large_audience_is_everyone(crowd):
    rule = {"any": [small_audiences(crowd)["list"], {"rule": "all_students"}]}
    found = Audience.of(rule, now=clock.now())
    assert sum(map(len, found.stream(page=50))) == found.count() == MANY


def test_an_empty_list(crowd):
    found = Audience.of({"rule": "list", "list_id": make_list().pk}, now=clock.now())
    assert list(found.stream()) == []


def test_a_campaign_to_a_small_list_places_it_in_few_statements(crowd, frozen):
    audience = small_audiences(crowd)["list"]
    made = make_campaign(audience=audience)
    with CaptureQueriesContext(connection) as seen:
        made = act("launch", made)
    assert recipients(made) == set(crowd)
    windows = [each for each in seen.captured_queries if "ORDER BY m.user_id LIMIT" in each["sql"]]
    assert len(windows) <= 2
    assert not [each for each in seen.captured_queries if "directory_user AS m" in each["sql"]]
