"""Dry runs in the console are short, counted, and one at a time."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from console.casting import surveys
from notifications.features.broadcasts import dry_run
from tests.integration.broadcasts.factories import make_broadcast
from tests.integration.campaigns.factories import make_campaign
from tests.integration.console.test_broadcasts import NEW, form, make_class, text_of

pytestmark = pytest.mark.django_db


def test_a_dry_run_is_short_and_says_that_it_is_of_a_part(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = make_class()
    row = make_broadcast(target_group="group", target_filter={"group_id": group.pk})
    campaign = make_campaign(audience={"rule": "group", "group_id": group.pk})
    limits: list[float] = []

    real = dry_run.dry_run

    def watched(*args: Any, seconds: float, **named: Any) -> Any:
        limits.append(seconds)
        return real(*args, seconds=seconds, **named)

    for place in ("broadcasts.service", "campaigns.trial"):
        monkeypatch.setattr(f"notifications.features.{place}.dry_run", watched)
    text_of(operator, f"/console/broadcasts/{row.pk}/dry-run")
    text_of(operator, f"/console/campaigns/{campaign.pk}/estimate")
    assert operator.post(NEW, form(group, do="count")).status_code == 200
    assert limits == [surveys.SECONDS] * 3
    assert surveys.SECONDS <= 2


def test_dry_runs_are_counted_and_one_runs_at_a_time(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surveys, "A_MINUTE", 4)
    group = make_class()
    row = make_broadcast(target_group="group", target_filter={"group_id": group.pk})
    campaign = make_campaign(audience={"rule": "group", "group_id": group.pk})
    runs = f"/console/broadcasts/{row.pk}/dry-run"
    text_of(operator, runs)
    surveys._running.add(int(operator.session["_auth_user_id"]))
    assert "your last count has not ended" in text_of(operator, runs, 429)
    surveys._running.clear()
    assert operator.post(NEW, form(group, do="count")).status_code == 200
    text_of(operator, f"/console/campaigns/{campaign.pk}/estimate")
    assert "4 calls within a minute" in text_of(operator, runs, 429)
    assert operator.post(NEW, form(group, do="count")).status_code == 429
    text_of(operator, f"/console/campaigns/{campaign.pk}/estimate", 429)
    assert surveys._running == set()


@pytest.mark.parametrize("path", [NEW, "/console/campaigns/new"])
def test_enter_in_a_field_examines_no_one(operator: Client, path: str) -> None:
    page = text_of(operator, path).partition('class="composer"')[2]
    first = re.search(r'<button type="submit"[^>]*>', page)
    assert first is not None
    assert 'value="rows"' in first[0]
