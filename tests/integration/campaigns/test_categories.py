"""Staff groups limit campaigns by both categories: that of the campaign and of its template."""

from __future__ import annotations

from dataclasses import replace

import pytest

from notifications.domain.callers import Caller
from notifications.domain.errors import Refused
from notifications.features.campaigns.trial import send_test_to_caller
from notifications.features.experiments.schemas import ABTestDeclareBody
from notifications.features.experiments.service import ABTestService
from notifications.models import Campaign, Category, NotificationTemplate
from tests.integration.campaigns.factories import (
    PATH,
    SERVICE,
    act,
    body,
    change,
    make_campaign,
    make_news,
    make_students,
    staff,
)
from tests.integration.campaigns.variant_factories import ab_test_row, make_tested
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def limited(frozen) -> Caller:
    """A member of staff whose groups allow the category `course` alone."""
    make_students()
    make_news()  # its category is `announcement`
    course = Category.objects.get(key="course")
    person = make_user(is_staff=True, role="teacher")
    return replace(staff(person), categories=frozenset({course.pk}))


@pytest.fixture
def other(limited) -> Campaign:
    """A campaign in the category of the groups; its template has another."""
    return make_campaign(category="course")


def test_a_template_of_another_category_is_refused(frozen, limited, other):
    calls = (
        lambda: SERVICE.create(body=body(category="course"), caller=limited, now=frozen.now),
        lambda: SERVICE.duplicate(identifier=other.pk, caller=limited, now=frozen.now),
        lambda: change(other, caller=limited, name="June"),
        lambda: act("launch", other, caller=limited),
        lambda: send_test_to_caller(other, caller=limited, now=frozen.now),
    )
    for call in calls:
        with pytest.raises(Refused) as caught:
            call()
        assert caught.value.code == "category_not_allowed"


def test_a_template_without_a_category_or_of_theirs_is_allowed(frozen, limited, other):
    rows = NotificationTemplate.objects.filter(path=PATH)
    for category in (None, Category.objects.get(key="course")):
        rows.update(category=category)
        assert send_test_to_caller(other, caller=limited, now=frozen.now).notification_id
    assert act("launch", other, caller=limited).status == "running"


def test_a_running_campaign_without_its_template_can_be_cancelled(frozen, limited, other):
    made = act("launch", other)
    NotificationTemplate.objects.filter(path=PATH).update(path="news.moved")
    assert act("cancel", made, caller=limited).status == "cancelled"


WRITERS = frozenset({"templates:read", "templates:write"})


@pytest.mark.parametrize("end", ["stop", "declare"])
def test_who_ends_the_test_of_a_campaign_may_send_it(frozen, end):
    make_students(count=20)
    made = act("launch", make_tested())
    key, service = ab_test_row(made).pk, ABTestService()
    named = {"body": ABTestDeclareBody(winner="B")} if end == "declare" else {}
    author = replace(staff(make_user(is_staff=True)), scopes=WRITERS)
    sender = replace(author, scopes=WRITERS | {"broadcasts"})
    course = Category.objects.get(key="course")
    elsewhere = replace(sender, categories=frozenset({course.pk}))
    NotificationTemplate.objects.update(category=course)
    for caller, code in ((author, "missing_scope"), (elsewhere, "category_not_allowed")):
        with pytest.raises(Refused) as caught:
            getattr(service, end)(identifier=key, caller=caller, **named)
        assert caught.value.code == code
    assert ab_test_row(made).status == "running"
    getattr(service, end)(identifier=key, caller=sender, **named)
    assert ab_test_row(made).status == "completed"


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_after_the_campaign_its_test_is_one_of_its_template(frozen, status):
    make_students(count=20)
    made = act("launch", make_tested())
    Campaign.objects.filter(pk=made.pk).update(status=status)
    author = replace(staff(make_user(is_staff=True)), scopes=WRITERS)
    ABTestService().stop(identifier=ab_test_row(made).pk, caller=author)
    assert ab_test_row(made).status == "completed"


def test_a_test_of_a_critical_campaign_needs_the_right(frozen):
    make_students()
    made = make_campaign()
    Campaign.objects.filter(pk=made.pk).update(priority=1)
    made.refresh_from_db()
    with pytest.raises(Refused) as caught:
        send_test_to_caller(made, caller=staff(make_user(is_staff=True)), now=frozen.now)
    assert caught.value.code == "missing_scope"
