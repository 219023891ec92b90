"""Nothing is begun, approved or overwritten that the visitor did not see."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client

from notifications.infra import clock
from notifications.models import (
    Broadcast,
    Campaign,
    MailSeries,
    Notification,
    NotificationTemplate,
)
from tests.integration.broadcasts.factories import make_broadcast
from tests.integration.campaigns.factories import make_campaign, make_news
from tests.integration.console.conftest import As
from tests.integration.console.pressing import composer_fields, hidden_fields, press
from tests.integration.console.test_actions import post
from tests.integration.console.test_broadcasts import BERLIN, NEW, form, make_class, text_of
from tests.integration.console.test_casting import form as campaign_form
from tests.integration.series.factories import change, make_mail, make_series

pytestmark = pytest.mark.django_db
CHANGED = "it was changed since you opened the page"


def test_a_broadcast_is_approved_and_begun_only_as_it_was_read(as_role: As) -> None:
    author, other = as_role("operator"), as_role("operator")
    post(author, NEW, **form(make_class()))
    row = Broadcast.objects.get()
    one = f"/console/broadcasts/{row.pk}"
    for action, status in (("send", "draft"), ("approve", "awaiting_approval")):
        Broadcast.objects.update(status=status, involved_user_ids=[], created_by=None)
        seen = hidden_fields(other, f"{one}/{action}")
        Broadcast.objects.update(message=f"Changed before {action}")
        assert CHANGED in post(other, f"{one}/{action}", **seen)
        assert "open the page again" in post(other, f"{one}/{action}")
        row.refresh_from_db()
        assert row.status == status
        assert "Not done" not in press(other, f"{one}/{action}")


def test_a_campaign_is_begun_only_with_the_texts_that_were_read(as_role: As) -> None:
    make_class()
    other, row = as_role("operator"), make_campaign()
    one = f"/console/campaigns/{row.pk}"
    seen = hidden_fields(other, f"{one}/launch")
    Campaign.objects.update(context={"month": "June"})
    assert CHANGED in post(other, f"{one}/launch", **seen)
    seen = hidden_fields(other, f"{one}/launch")
    version = NotificationTemplate.objects.get(path=row.template_path).current_version_id
    NotificationTemplate.objects.filter(path=row.template_path).update(current_version_id=None)
    for action in ("launch", "schedule", "approve"):
        assert CHANGED in post(other, f"{one}/{action}", **seen)
    NotificationTemplate.objects.filter(path=row.template_path).update(current_version_id=version)
    row.refresh_from_db()
    assert row.status == "draft"
    assert "Not done" not in press(other, f"{one}/launch")


def test_a_series_is_launched_only_with_the_steps_and_texts_that_were_read(as_role: As) -> None:
    other, row = as_role("operator"), make_series(live=False)
    one = f"/console/series/{row.pk}"
    seen = hidden_fields(other, f"{one}/launch")
    first = NotificationTemplate.objects.filter(path="welcome.one")
    version = first.get().current_version_id
    first.update(current_version_id=make_mail("other").current_version_id)
    for action in ("launch", "resume", "approve"):
        assert CHANGED in post(other, f"{one}/{action}", **seen)
    first.update(current_version_id=version)
    change(row, steps=[{"template_path": "welcome.one", "wait_days": 2}])
    assert CHANGED in post(other, f"{one}/launch", **seen)
    assert "Not done" not in press(other, f"{one}/launch")
    assert MailSeries.objects.get().status == "live"


def test_a_broadcast_that_another_person_changed_is_not_overwritten(as_role: As) -> None:
    author, group = as_role("operator"), make_class()
    post(author, NEW, **form(group))
    row = Broadcast.objects.get()
    edit = f"/console/broadcasts/{row.pk}/edit"
    seen = composer_fields(author, edit)
    Broadcast.objects.update(message="Written by another", channels=["email"])
    answer = author.post(edit, form(group, title="Mine") | seen)
    page = answer.content.decode()
    assert answer.status_code == 409
    assert CHANGED in page
    assert "stored now: Written by another" in page
    assert "stored now: email" in page
    assert 'value="Mine"' in page
    row.refresh_from_db()
    assert row.message == "Written by another"
    new = re.search(r'name="seen" value="([^"]+)"', page)
    assert new is not None
    assert "was changed" in post(author, edit, **form(group, title="Mine", seen=new[1]))
    row.refresh_from_db()
    assert (row.title, row.message) == ("Mine", "Snow everywhere")


def test_a_campaign_that_another_person_changed_is_not_overwritten(as_role: As) -> None:
    make_news()
    author, group = as_role("operator"), make_class()
    post(author, "/console/campaigns/new", **campaign_form(group=group))
    edit = f"/console/campaigns/{Campaign.objects.get().pk}/edit"
    seen = composer_fields(author, edit)
    Campaign.objects.update(description="Written by another")
    answer = author.post(edit, campaign_form(group=group, name="Mine") | seen)
    assert answer.status_code == 409
    assert "stored now: Written by another" in answer.content.decode()
    assert Campaign.objects.get().name == "May"
    again = campaign_form(group=group, name="Mine") | composer_fields(author, edit)
    post(author, edit, **again)
    assert Campaign.objects.get().name == "Mine"


@pytest.mark.parametrize("kind", ["broadcasts", "campaigns"])
def test_a_test_and_a_copy_are_made_once_however_often_the_form_is_sent(
    operator: Client, kind: str
) -> None:
    make_class()
    row = make_broadcast() if kind == "broadcasts" else make_campaign()
    one = f"/console/{kind}/{row.pk}"
    for action, counted in (("test", Notification), ("duplicate", type(row))):
        before = counted.objects.count()
        fields = hidden_fields(operator, f"{one}/{action}")
        pages = [operator.post(f"{one}/{action}", fields)["Location"] for _ in range(2)]
        assert pages[0] == pages[1]
        assert counted.objects.count() == before + 1
        assert "open the page again" in post(operator, f"{one}/{action}")
        press(operator, f"{one}/{action}")
        assert counted.objects.count() == before + 2


def test_a_draft_that_was_sent_back_is_saved_without_being_submitted_again(as_role: As) -> None:
    author, group = as_role("operator"), make_class()
    post(author, NEW, **form(group))
    at = clock.now().replace(microsecond=0, second=17) + timedelta(days=30)
    Broadcast.objects.update(scheduled_at=at)
    row = Broadcast.objects.get()
    edit = f"/console/broadcasts/{row.pk}/edit"
    shown = f"{at.astimezone(BERLIN):%Y-%m-%dT%H:%M}"
    given = form(group, scheduled_at=shown, message="Named the day")
    post(author, edit, **given | composer_fields(author, edit))
    row.refresh_from_db()
    assert (row.status, row.message, row.scheduled_at) == ("draft", "Named the day", at)
    assert 'value="schedule"' in text_of(author, edit)
    post(author, edit, **given | composer_fields(author, edit) | {"do": "schedule"})
    row.refresh_from_db()
    assert row.status == "scheduled"


def test_a_campaign_keeps_the_seconds_of_its_time(as_role: As) -> None:
    make_news()
    author, group = as_role("operator"), make_class()
    post(author, "/console/campaigns/new", **campaign_form(group=group))
    at = clock.now().replace(microsecond=0, second=17) + timedelta(days=30)
    Campaign.objects.update(scheduled_at=at)
    edit = f"/console/campaigns/{Campaign.objects.get().pk}/edit"
    for shown, stored in (
        (at, at),
        (at + timedelta(hours=1), at.replace(second=0) + timedelta(hours=1)),
    ):
        text = f"{shown.astimezone(BERLIN):%Y-%m-%dT%H:%M}"
        given = campaign_form(group=group, scheduled_at=text) | composer_fields(author, edit)
        assert "was changed" in post(author, edit, **given)
        assert Campaign.objects.get().scheduled_at == stored


def test_what_services_refuse_is_said_in_russian(as_role: As) -> None:
    author, russian = as_role("operator"), {"Accept-Language": "ru"}
    make_news()
    row = make_campaign(needs_approval=True)
    one = f"/console/campaigns/{row.pk}"
    press(author, f"{one}/launch")
    for action, words in (
        ("pause", "нельзя приостановить кампанию в состоянии «черновик»"),
        ("approve", "после того, как вы открыли страницу"),
    ):
        given = {"seen": "old"}
        answer = author.post(f"{one}/{action}", given, headers=russian, follow=True)
        assert words in answer.content.decode(), action
    given = campaign_form(template_path="no.such", holdout_percent="95")
    text = author.post("/console/campaigns/new", given, headers=russian).content.decode()
    assert "нужно число не больше 90" in text
    english = author.post("/console/campaigns/new", given).content.decode()
    assert "Expected `float` &lt;= 90" in english
