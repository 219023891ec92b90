"""Staff groups limit a series by its category and by those of all templates that it shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from notifications.domain.callers import Caller
from notifications.domain.errors import Refused
from notifications.models import Category, NotificationTemplate
from tests.integration.campaigns.factories import staff
from tests.integration.factories import make_user
from tests.integration.series.factories import (
    PATHS,
    SERVICE,
    act,
    change,
    happens,
    make_mail,
    make_series,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def limited(frozen: Any) -> Caller:
    """A member of staff whose groups allow the category `course` alone."""
    course = Category.objects.get(key="course")
    make_mail("course.mail", category=course)
    person = make_user(is_staff=True, role="teacher")
    return replace(staff(person), categories=frozenset({course.pk}))


def switch_off(path: str) -> None:
    NotificationTemplate.objects.filter(path=path).update(is_active=False)


def refused(call: Any) -> bool:
    with pytest.raises(Refused) as caught:
        call()
    return caught.value.code == "category_not_allowed"


def test_a_broken_template_opens_a_series_to_no_other_group(frozen: Any, limited: Caller) -> None:
    live, draft = make_series(), make_series(live=False)
    switch_off(PATHS[0])
    for action in ("end", "pause"):
        assert refused(lambda action=action: act(action, live, caller=limited))
    assert refused(lambda: SERVICE.delete(identifier=draft.pk, caller=limited, now=frozen.now))
    steps = [{"template_path": "course.mail"}]
    assert refused(lambda: change(live, caller=limited, steps=steps))
    NotificationTemplate.objects.filter(path__in=PATHS).update(is_active=False)
    assert refused(lambda: act("end", live, caller=limited))


def test_those_who_wait_with_earlier_steps_count(frozen: Any, limited: Caller) -> None:
    made = make_series()
    happens(make_user())
    made = change(made, steps=[{"template_path": "course.mail"}])
    assert refused(lambda: act("end", made, caller=limited))


def test_a_series_of_their_own_ends_also_where_a_template_is_gone(
    frozen: Any, limited: Caller
) -> None:
    steps = [{"template_path": "course.mail"}, {"template_path": "course.more"}]
    make_mail("course.more", category=Category.objects.get(key="course"))
    made = make_series(steps=steps)
    NotificationTemplate.objects.filter(path="course.more").update(path="course.gone")
    assert act("end", made, caller=limited).status == "ended"
