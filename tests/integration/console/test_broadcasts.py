"""Broadcasts in the console: written, counted, approved by a second person, begun and watched."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from directory.models import Group, GroupMembership
from notifications.features.broadcasts.delivery.upkeep import maintain_broadcasts
from notifications.infra import clock
from notifications.models import Broadcast
from tests.integration.broadcasts.factories import deliver, make_people
from tests.integration.console.conftest import As
from tests.integration.console.test_actions import actions, post

pytestmark = pytest.mark.django_db
NEW = "/console/broadcasts/new"


def make_class(count: int = 3, name: str = "Class 7") -> Group:
    group = Group.objects.create(name=name)
    people = make_people(count)
    GroupMembership.objects.bulk_create([GroupMembership(group=group, user_id=p) for p in people])
    return group


def form(group: Group, **values: Any) -> dict[str, Any]:
    """What the browser sends for a broadcast to the members of a group."""
    return {
        "once": "first",
        "to_kind": [f"group:{group.pk}", ""],
        "to_value": ["", ""],
        "title": "School is closed",
        "message": "Snow everywhere",
        "channels": ["in_app"],
        "category": "announcement",
        "delivery": "all",
        "priority": "3",
        "do": "save",
        **values,
    }


def text_of(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status, answer.status_code
    return answer.content.decode()


class TestAdminPanel:
    def test_create_a_broadcast_by_the_admin_panel(self, operator: Client) -> None:
        """The requirement: an administrator creates a broadcast by the admin panel."""
        group = make_class()
        assert "Write a broadcast" in text_of(operator, "/console/broadcasts")
        text = post(operator, NEW, **form(group))
        assert "The broadcast was written." in text
        row = Broadcast.objects.get()
        assert (row.status, row.target_group, row.recipient_count) == ("draft", "group", 3)
        assert (row.title, row.message, row.channels) == (
            "School is closed", "Snow everywhere", ["in_app"],
        )  # fmt: skip
        assert actions()[-1] == "broadcast.create"

    def test_it_is_counted_approved_by_another_person_and_sent(
        self, as_role: As, override_environment: Any
    ) -> None:
        override_environment(broadcast_approval_threshold=2)
        group = make_class()
        author, other = as_role("operator"), as_role("operator")
        counted = author.post(NEW, form(group, do="count")).content.decode()
        assert "3 people in the audience." in counted
        assert "A second person must approve it." in counted
        assert not Broadcast.objects.exists()
        post(author, NEW, **form(group))
        row = Broadcast.objects.get()
        one = f"/console/broadcasts/{row.pk}"
        assert "3 people in the audience." in text_of(author, f"{one}/dry-run")
        assert "awaits approval" in post(author, f"{one}/send")
        assert "Another person must approve it" in text_of(author, one)
        assert "cannot approve it" in post(author, f"{one}/approve")
        assert f'action="{one}/approve' in text_of(other, one)
        post(other, f"{one}/approve")
        deliver()
        maintain_broadcasts(now=clock.now())
        row.refresh_from_db()
        assert (row.status, row.sent_count) == ("completed", 3)
        assert "completed" in text_of(author, one)
