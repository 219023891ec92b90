"""The number of statements of each page about broadcasts and the like: fixed for any rows."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from directory.models import Segment
from notifications.domain.callers import SYSTEM
from notifications.features.experiments.service import ABTestService
from notifications.infra import clock
from notifications.models import Broadcast, BroadcastRecipient, Campaign
from tests.integration.broadcasts.factories import launch, make_broadcast, make_people
from tests.integration.campaigns.factories import act, make_campaign
from tests.integration.console.conftest import As
from tests.integration.console.test_broadcasts import make_class
from tests.integration.console.test_statements import statements
from tests.integration.experiments.conftest import PATH, SHORT, draft, make_plain
from tests.integration.factories import make_user
from tests.integration.lists.factories import make_list, make_subscriber
from tests.integration.series.factories import make_series

pytestmark = pytest.mark.django_db
MOST = 60


def broadcasts(count: int) -> str:
    for number in range(count):
        make_broadcast(created_by=make_user(first_name=f"Author{number}"))
    return "/console/broadcasts"


def one_broadcast(count: int) -> str:
    row = Broadcast.objects.first()
    if row is None:
        people = {"user_ids": make_people(2)}
        row = launch(make_broadcast(target_group="custom", target_filter=people))
    new = [BroadcastRecipient(broadcast=row, recipient_id=key) for key in make_people(count)]
    BroadcastRecipient.objects.bulk_create(new)
    reasons = {f"reason {number}": 1 for number in range(count)}
    Broadcast.objects.filter(pk=row.pk).update(error_reasons=reasons, failed_count=count)
    return f"/console/broadcasts/{row.pk}"


def recipients(count: int) -> str:
    return f"{one_broadcast(count)}/recipients"


def figures(count: int) -> str:
    return f"{one_broadcast(count)}/figures"


def composer(count: int) -> str:
    for number in range(count):
        make_class(1, name=f"Class {count}.{number}")
        make_list()
        criteria = {"field": "role", "op": "eq", "value": "student"}
        Segment.objects.create(name=f"Segment {count}.{number}", criteria=criteria)
    return "/console/broadcasts/new"


def campaigns(count: int) -> str:
    make_people(1)
    for _ in range(count):
        make_campaign()
    return "/console/campaigns"


def one_campaign(count: int) -> str:
    make_people(count)
    row = Campaign.objects.first() or act("launch", make_campaign())
    new = [
        BroadcastRecipient(broadcast=row.broadcasts.get(), recipient_id=key, state="suppressed")
        for key in make_people(count)
    ]
    BroadcastRecipient.objects.bulk_create(new)
    return f"/console/campaigns/{row.pk}"


def campaign_figures(count: int) -> str:
    return f"{one_campaign(count)}/figures"


def series(count: int) -> str:
    for _ in range(count):
        make_series(live=False)
    return "/console/series"


def experiments(count: int) -> str:
    for _ in range(count):
        name = f"{clock.now().timestamp()}".replace(".", "")
        row = make_plain(f"a{name}.usual", "Usual")
        if count == 1:
            make_plain(SHORT, "Short")
        draft(row)
    return "/console/experiments"


def lists(count: int) -> str:
    for _ in range(count):
        make_list()
    return "/console/lists"


@pytest.mark.parametrize(
    "fill",
    [
        broadcasts,
        one_broadcast,
        recipients,
        figures,
        composer,
        campaigns,
        one_campaign,
        series,
        experiments,
        lists,
    ],
)
def test_a_page_makes_as_many_statements_for_one_row_as_for_many(
    as_role: As, fill: Callable[[int], str]
) -> None:
    client = as_role("admin")
    few = statements(client, fill(1))
    many = statements(client, fill(6))
    assert len(many) == len(few), sorted(set(many) ^ set(few))
    assert len(many) <= MOST


def test_a_list_makes_as_many_statements_for_one_person_as_for_many(as_role: As) -> None:
    client, found, counts = as_role("admin"), make_list(), []
    for rows in (1, 8):
        for _ in range(rows):
            make_subscriber(found)
        counts.append(len(statements(client, f"/console/lists/{found.pk}")))
    assert counts[0] == counts[1]
    assert counts[1] <= 30


def test_a_test_is_read_in_few_statements(as_role: As) -> None:
    make_plain(SHORT, "Short")
    key = draft(make_plain(PATH, "Usual"))
    ABTestService().start(identifier=key, caller=SYSTEM)
    assert len(statements(as_role("admin"), f"/console/experiments/{key}")) <= 30


@pytest.mark.parametrize(
    ("fill", "table", "columns"),
    [
        (broadcasts, "notifications_broadcast", ("target_filter", "error_log", "pace")),
        (figures, "notifications_broadcast", ("target_filter", "error_log")),
        (campaigns, "notifications_campaign", ("audience", "context")),
        (campaign_figures, "notifications_campaign", ("audience", "context")),
        (campaign_figures, "notifications_broadcast", ("target_filter", "error_log")),
    ],
)
def test_lists_and_figures_read_no_audience(
    as_role: As, fill: Callable[[int], str], table: str, columns: tuple[str, ...]
) -> None:
    made = statements(as_role("admin"), fill(2))
    read = [each for each in made if f'FROM "{table}"' in each]
    assert read
    assert [each for each in read for name in columns if f'"{table}"."{name}"' in each] == []
