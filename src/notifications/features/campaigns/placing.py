"""Places the audience of a running campaign: each person in one broadcast, or in the holdout.

The audience is that of the moment at which the campaign began. A thousand people are placed in a
transaction, under the lock of the campaign, which stores how far it has come. So a process may die
at any instant and another continues, and no person is placed twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import F

from directory.audiences import Audience
from notifications.domain.broadcast_lifecycle import BroadcastStatus
from notifications.domain.campaigns.lifecycle import CampaignStatus
from notifications.domain.campaigns.timing import LateZones, due_in
from notifications.domain.campaigns.variants import CampaignPart, CampaignTestPlan
from notifications.domain.errors import Conflict, FieldError, InvalidRequest
from notifications.domain.experiments.assignment import Inclusion, assign_variant
from notifications.domain.wall_clock import first_zone
from notifications.features.broadcasts.delivery.launch import begin, continue_launch, parts_of
from notifications.features.campaigns.actions import locked_campaign
from notifications.features.campaigns.contents import broadcast_of, resolve_audience
from notifications.features.campaigns.learned.placing import learned_dues
from notifications.features.campaigns.variants.plan import ab_test_of
from notifications.features.scheduling.zones import people_by_zone
from notifications.infra import clock
from notifications.models import (
    Broadcast,
    Campaign,
    CampaignHoldout,
    change_broadcast_status,
    reserve_keys,
)
from notifications.models.sources.recipients import insert_recipients, write_choices

PLACE_BATCH = 1_000


def place_audience(campaign_id: int, *, until: float | None = None) -> bool:
    """Places the audience; returns True once all of it is placed.

    until: the monotonic time at which this stops; the next call does the rest.

    Raises:
        InvalidRequest: the audience names something that does not exist any more.
    """
    row = Campaign.objects.get(pk=campaign_id)
    if row.status != CampaignStatus.RUNNING or row.placed_done or row.started_at is None:
        return row.placed_done
    audience = resolve_audience(row, now=row.started_at)
    for people in parts_of(audience.stream(after=row.placed_after), PLACE_BATCH):
        if not _place_part(campaign_id, people, audience):
            return False
        if until is not None and clock.monotonic() >= until:
            return False
    return _release(campaign_id)


def _place_part(campaign_id: int, people: Sequence[int], audience: Audience) -> bool:
    """Places one part; returns False where the campaign is not running any more."""
    with transaction.atomic():
        row = locked_campaign(campaign_id)
        if row.status != CampaignStatus.RUNNING:
            return False
        new = [person for person in people if person > row.placed_after]
        held = [person for person in new if row.holds_out(person)]
        CampaignHoldout.objects.bulk_create(
            [CampaignHoldout(campaign=row, user_id=person) for person in held],
            ignore_conflicts=True,
        )
        away = set(held)
        choices: dict[int, str] = {}
        for group, some in _groups(row, [p for p in new if p not in away], choices).items():
            _add_people(_broadcast_of_group(row, group, audience), some, choices)
        if new:
            row.store(placed_after=new[-1], held_out_count=row.held_out_count + len(held))
    return True


_Group = tuple[datetime, CampaignPart]
"""When people are due, and their part in the A/B test of the campaign. Each is one broadcast."""


def _groups(
    row: Campaign, people: Sequence[int], choices: dict[int, str]
) -> dict[_Group, list[int]]:
    """Returns the people by group, each list by rising id.

    choices: gets why each is due then, where that is learned.
    """
    began = row.started_at
    assert began is not None
    if row.test_plan is not None:
        return _parts(row, row.test_plan, people, began=began)
    starts = _starts(row, people, began=began)
    if row.learns:
        learned = learned_dues(row, starts)
        starts = learned.due
        choices.update(learned.choices)
    found: dict[_Group, list[int]] = defaultdict(list)
    for person in people:
        found[starts[person], CampaignPart.WHOLE].append(person)
    return dict(found)


def _starts(row: Campaign, people: Sequence[int], *, began: datetime) -> dict[int, datetime]:
    """Returns when people are due by the campaign's schedule."""
    wall = row.wall
    if wall is None:
        return dict.fromkeys(people, began)
    found = {}
    for name, members in people_by_zone(people).items():
        zone, _ = first_zone(name)
        due = due_in(wall, zone, began=began, late=LateZones(row.late_zones))
        found.update(dict.fromkeys(members, due))
    return found


def _parts(
    row: Campaign, plan: CampaignTestPlan, people: Sequence[int], *, began: datetime
) -> dict[_Group, list[int]]:
    """Returns those in the test, who are due at once, and the rest, due at its deadline."""
    test = ab_test_of(row)
    if test is None:
        raise InvalidRequest([FieldError("ab_test", "unknown_ab_test", "it was deleted")])
    split = test.split()
    found: dict[_Group, list[int]] = defaultdict(list)
    for person in people:
        in_test = assign_variant(split, str(person)).standing is Inclusion.IN_TEST
        if in_test:
            found[began, CampaignPart.TEST].append(person)
        else:
            found[plan.deadline(began), CampaignPart.REST].append(person)
    return found


def _broadcast_of_group(row: Campaign, group: _Group, audience: Audience) -> Broadcast:
    """Returns the campaign's broadcast of a group; there is one for each. The campaign is locked.

    The broadcast of the rest says what the campaign says until the test is decided.
    """
    due, part = group
    found = Broadcast.objects.filter(campaign=row, scheduled_at=due, part=part).first()
    if found is None:
        found = broadcast_of(row, audience, scheduled_at=due, part=part.value)
        found.save()
    return found


def _add_people(broadcast: Broadcast, people: Sequence[int], choices: Mapping[int, str]) -> None:
    added = insert_recipients(broadcast.pk, people, reserve_keys(len(people)))
    if choices:
        write_choices(broadcast.pk, {person: choices[person] for person in people})
    rows = Broadcast.objects.filter(pk=broadcast.pk)
    rows.update(recipient_count=F("recipient_count") + added)


def _release(campaign_id: int) -> bool:
    """Schedules the broadcasts of a campaign whose audience is placed."""
    with transaction.atomic():
        row = locked_campaign(campaign_id)
        if row.status != CampaignStatus.RUNNING or row.placed_done:
            return row.placed_done
        broadcasts = Broadcast.objects.filter(campaign=row)
        broadcasts.update(snapshot_done=True)  # `_add_people` counted its recipients
        for key in broadcasts.exclude(part=CampaignPart.REST).values_list("pk", flat=True):
            change_broadcast_status(key, BroadcastStatus.SCHEDULED)
        row.store(placed_done=True)
    return True


def begin_due_now(campaign_id: int, *, now: datetime, until: float) -> None:
    """Begins the due broadcasts of a campaign at once, as the periodic loop does later."""
    rows = Broadcast.objects.filter(campaign=campaign_id, scheduled_at__lte=now)
    due = rows.filter(status=BroadcastStatus.SCHEDULED.value).order_by("scheduled_at")
    for key in list(due.values_list("pk", flat=True)):
        try:
            begin(key, now=now, only_from={BroadcastStatus.SCHEDULED}, is_due=True)
        except Conflict:
            continue  # another process has begun or changed it
        continue_launch(key, until=until)
