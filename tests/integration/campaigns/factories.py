"""Campaigns, their people and their segments, made in one line each."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from directory.models import Segment, User
from notifications.api.bodies import check_body
from notifications.domain.callers import Caller
from notifications.features.broadcasts.delivery.upkeep import begin_due, maintain_broadcasts
from notifications.features.campaigns.progress import campaign_progress
from notifications.features.campaigns.schemas import (
    CampaignBody,
    CampaignChangeBody,
    CampaignScheduleBody,
)
from notifications.features.campaigns.service import CampaignService
from notifications.features.campaigns.upkeep import maintain_campaigns
from notifications.infra import clock
from notifications.models import (
    Broadcast,
    BroadcastRecipient,
    Campaign,
    CampaignHoldout,
    Category,
    NotificationMessage,
    NotificationTemplate,
)
from tests.integration.factories import make_template, make_user
from tests.integration.preferences.conftest import work

PATH = "news.may"
SERVICE = CampaignService()
KEY = Caller(name="key:1", is_service=True, scopes=frozenset({"broadcasts"}))
HTML = (
    '<html><body><p>Hello {{ user.first_name }}</p><a href="https://shop.example/{{ month }}">Shop'
    '</a> <a href="https://news.example/?utm_source=own">News</a>'
    ' <a href="{{ unsubscribe_url }}">Leave</a></body></html>'
)


def staff(user: User) -> Caller:
    """A member of staff who signed in."""
    return Caller(
        name=f"user:{user.pk}",
        user_id=user.pk,
        is_service=False,
        scopes=frozenset({"broadcasts"}),
    )


def make_news(path: str = PATH, **values: Any) -> NotificationTemplate:
    values.setdefault("category", Category.objects.get(key="announcement"))
    values.setdefault("required_variables", ["month"])
    values.setdefault("supported_channels", ["in_app", "email"])
    values.setdefault("in_app_template", "News\n\nWhat is new in {{ month }}")
    values.setdefault("email_subject_template", "News of {{ month }}")
    values.setdefault("email_body_template", "See https://shop.example/{{ month }}")
    values.setdefault("email_html_template", HTML)
    return make_template(path, **values)


def make_segment(name: str, **test: Any) -> Segment:
    return Segment.objects.create(name=name, criteria=test)


def body(**values: Any) -> CampaignBody:
    given: dict[str, Any] = {
        "name": "May",
        "audience": {"rule": "all_students"},
        "template_path": PATH,
        "channels": ["in_app"],
        "context": {"month": "May"},
        **values,
    }
    return check_body(given, CampaignBody)


def make_campaign(*, caller: Caller = KEY, **values: Any) -> Campaign:
    if not NotificationTemplate.objects.filter(path=PATH).exists():
        make_news()
    made = SERVICE.create(body=body(**values), caller=caller, now=clock.now())
    return Campaign.objects.get(pk=made.key)


def change(campaign: Campaign, *, caller: Caller = KEY, **values: Any) -> Campaign:
    given = check_body(values, CampaignChangeBody)
    SERVICE.change(identifier=campaign.pk, body=given, caller=caller, now=clock.now())
    return fresh(campaign)


def act(action: str, campaign: Campaign, *, caller: Caller = KEY, **values: Any) -> Campaign:
    do = getattr(SERVICE, action)
    do(identifier=campaign.pk, caller=caller, now=clock.now(), **values)
    return fresh(campaign)


def schedule(campaign: Campaign, *, caller: Caller = KEY) -> Campaign:
    return act("schedule", campaign, caller=caller, body=CampaignScheduleBody())


def fresh(campaign: Campaign) -> Campaign:
    return Campaign.objects.get(pk=campaign.pk)


def go_on(now: datetime | None = None) -> None:
    """Runs the periodic work once, and delivers what is due."""
    now = now or clock.now()
    maintain_campaigns(now=now)
    begin_due(now=now)
    maintain_broadcasts(now=now)
    while work():
        pass
    maintain_broadcasts(now=now)
    maintain_campaigns(now=now)


def finish(campaign: Campaign) -> Campaign:
    for _ in range(3):
        go_on()
    return fresh(campaign)


def recipients(campaign: Campaign) -> set[int]:
    rows = BroadcastRecipient.objects.filter(broadcast__campaign=campaign)
    found = list(rows.values_list("recipient_id", flat=True))
    assert len(set(found)) == len(found), "a person has two broadcasts"
    return set(found)


def held_out(campaign: Campaign) -> set[int]:
    return set(CampaignHoldout.objects.filter(campaign=campaign).values_list("user_id", flat=True))


def messaged(campaign: Campaign) -> set[int]:
    sources = [each.source for each in Broadcast.objects.filter(campaign=campaign)]
    rows = NotificationMessage.objects.filter(notification__source__in=sources)
    return {person for person in rows.values_list("user_id", flat=True) if person}


def counts(campaign: Campaign) -> dict[str, int]:
    """Returns the counts of a campaign, without those that are 0; checks that they add up."""
    found = campaign_progress(fresh(campaign), now=clock.now())
    names = ("sent", "failed", "pending", "suppressed", "uncertain", "cancelled")
    shown = {name: getattr(found, name) for name in names}
    assert found.recipients == sum(shown.values())
    return {name: number for name, number in shown.items() if number}


def make_students(*zones: str, count: int = 1) -> list[int]:
    return [
        make_user(role="student", timezone=zone).pk
        for zone in (zones or ("UTC",))
        for _ in range(count)
    ]
