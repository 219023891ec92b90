"""Broadcasts in the console: written, counted, approved by a second person, begun and watched."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client

from console.casting.seen import seen_of_broadcast
from directory.models import Group, GroupMembership
from notifications.domain.lifecycle import MessageStatus
from notifications.features.broadcasts.delivery.upkeep import maintain_broadcasts
from notifications.infra import clock
from notifications.models import Broadcast, BroadcastRecipient, UserNotificationPreference
from tests.integration.broadcasts.factories import (
    deliver,
    launch,
    maintain,
    make_broadcast,
    make_people,
    settle_messages,
)
from tests.integration.console.conftest import As
from tests.integration.console.pressing import composer_fields, hidden_fields, press
from tests.integration.console.test_actions import actions, post
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
NEW = "/console/broadcasts/new"
BERLIN = ZoneInfo("Europe/Berlin")


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
        assert "awaits approval" in press(author, f"{one}/send")
        assert "Another person must approve it" in text_of(author, one)
        assert "cannot approve it" in post(
            author, f"{one}/approve", seen=seen_of_broadcast(Broadcast.objects.get())
        )
        assert "1 broadcast waits for approval" in text_of(other, "/console")
        assert "waits for approval" not in text_of(as_role("author"), "/console")
        assert f'action="{one}/approve' in text_of(other, one)
        press(other, f"{one}/approve")
        deliver()
        maintain_broadcasts(now=clock.now())
        row.refresh_from_db()
        assert (row.status, row.sent_count) == ("completed", 3)
        assert "completed" in text_of(author, one)

    def test_a_line_end_is_one_character(self, operator: Client) -> None:
        lines = "\r\n".join(["x" * 99] * 10)
        assert "was written" in post(operator, NEW, **form(make_class(), message=lines + "\r"))
        assert Broadcast.objects.get().message == lines.replace("\r\n", "\n")

    def test_a_form_that_is_sent_twice_writes_one(self, operator: Client) -> None:
        group = make_class()
        for _ in range(2):
            post(operator, NEW, **form(group))
        assert Broadcast.objects.count() == 1

    def test_every_error_is_said_and_what_was_written_stays(self, operator: Client) -> None:
        group = make_class()
        wrong = form(group, message="", channels=[], priority="x", scheduled_at="soon")
        answer = operator.post(NEW, wrong)
        text = answer.content.decode()
        assert answer.status_code == 400
        assert "<code>scheduled_at</code>" in text
        assert 'value="School is closed"' in text
        text = operator.post(NEW, {**wrong, "scheduled_at": ""}).content.decode()
        for field in ("message", "channels", "priority"):
            assert f"<code>{field}</code>" in text
        text = operator.post(NEW, form(group, to_kind=[""])).content.decode()
        assert "choose who gets it" in text
        assert not Broadcast.objects.exists()

    def test_more_rows_are_asked_for_and_nothing_is_written(self, operator: Client) -> None:
        group = make_class()
        text = operator.post(NEW, form(group, do="rows")).content.decode()
        assert text.count('name="to_kind"') == 2
        assert text.count("selected") > 1
        assert not Broadcast.objects.exists()

    def test_a_draft_is_changed_and_scheduled_in_the_zone_of_the_visitor(
        self, operator: Client
    ) -> None:
        group = make_class()
        post(operator, NEW, **form(group))
        row = Broadcast.objects.get()
        edit = f"/console/broadcasts/{row.pk}/edit"
        assert f'value="group:{group.pk}" selected' in text_of(operator, edit)
        at = (clock.now() + timedelta(days=30)).strftime("%Y-%m-%dT09:00")
        seen = composer_fields(operator, edit)
        text = post(operator, edit, **form(group, message="Snow is gone", scheduled_at=at) | seen)
        assert "The broadcast was changed." in text
        row.refresh_from_db()
        assert (row.status, row.message) == ("scheduled", "Snow is gone")
        assert row.scheduled_at is not None
        assert row.scheduled_at.astimezone(BERLIN).strftime("%Y-%m-%dT%H:%M") == at
        assert f'value="{at}"' in text_of(operator, edit)

    def test_what_is_sending_is_not_changed(self, operator: Client) -> None:
        make_class()
        row = launch(make_broadcast())
        answer = operator.get(f"/console/broadcasts/{row.pk}/edit")
        assert answer["Location"] == f"/console/broadcasts/{row.pk}"
        assert "Change" not in text_of(operator, f"/console/broadcasts/{row.pk}")

    def test_a_preview_is_in_a_frame_without_scripts(self, operator: Client) -> None:
        text = {"title": "<b>Snow</b>", "message": "<script>alert(1)</script>"}
        answer = operator.post("/console/broadcasts/preview", text)
        assert answer["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
        assert "<script>" not in answer.content.decode()
        assert "&lt;b&gt;Snow" in answer.content.decode()


class TestActions:
    def test_pause_resume_retry_copy_and_cancel(self, operator: Client) -> None:
        row = launch(make_broadcast(target_group="custom", target_filter=_people(3)))
        one = f"/console/broadcasts/{row.pk}"
        for action, expected in (("pause", "paused"), ("resume", "sending")):
            post(operator, f"{one}/{action}")
            row.refresh_from_db()
            assert row.status == expected
        settle_messages(row, MessageStatus.FAILED, _ids(row)[:1], error="timeout")
        settle_messages(row, MessageStatus.SENT, _ids(row)[1:])
        maintain(row)
        assert "Try again with the failed" in text_of(operator, one)
        post(operator, f"{one}/retry")
        assert BroadcastRecipient.objects.filter(broadcast=row, state="pending").count() == 1
        fields = hidden_fields(operator, f"{one}/duplicate")
        answer = operator.post(f"{one}/duplicate", fields)
        copy = Broadcast.objects.latest("pk")
        assert answer["Location"] == f"/console/broadcasts/{copy.pk}"
        post(operator, f"{one}/cancel")
        row.refresh_from_db()
        assert row.status == "cancelled"
        assert "Deleted." in post(operator, f"/console/broadcasts/{copy.pk}/delete")
        assert not Broadcast.objects.filter(pk=copy.pk).exists()

    def test_what_the_state_forbids_is_said(self, operator: Client) -> None:
        make_class()
        row = make_broadcast()
        one = f"/console/broadcasts/{row.pk}"
        assert "Not done: Cannot pause" in post(operator, f"{one}/pause")
        assert "say what to change" in post(operator, f"{one}/reject")
        assert operator.post(f"{one}/nonsense").status_code == 404
        assert operator.get(f"{one}/dry-run").status_code in (200, 400)

    def test_a_test_goes_to_the_visitor_alone(self, operator: Client) -> None:
        make_class()
        row = make_broadcast()
        assert "on its way to you" in press(operator, f"/console/broadcasts/{row.pk}/test")


class TestWatching:
    def test_figures_are_one_event_that_ends(self, operator: Client) -> None:
        row = launch(make_broadcast(target_group="custom", target_filter=_people(2)))
        url = f"/console/broadcasts/{row.pk}/figures"
        figures = _event(operator.get(url))
        assert figures["totals"] == {
            "all": 2, "pending": 2, "sent": 0, "failed": 0, "suppressed": 0, "uncertain": 0,
            "cancelled": 0,
        }  # fmt: skip
        assert (figures["state"], figures["ended"]) == ("sending", False)
        settle_messages(row, MessageStatus.SENT, _ids(row))
        maintain(row)
        figures = _event(operator.get(url))
        assert (figures["totals"]["sent"], figures["bars"]["done"]) == (2, 100)
        assert figures["ended"] is True

    def test_why_one_student_did_not_get_it_in_at_most_three_pages(self, operator: Client) -> None:
        """The page of the broadcast, the search on it, and the notification's timeline."""
        silent, other = make_user(first_name="Silent"), make_user(first_name="Stranger")
        UserNotificationPreference.objects.create(user=silent, notifications_enabled=False)
        row = launch(make_broadcast(target_group="custom", target_filter={"user_ids": [silent.pk]}))
        deliver()
        maintain(row)
        first = text_of(operator, f"/console/broadcasts/{row.pk}")
        assert "the person switched notifications off: 1" in first
        find = f"/console/broadcasts/{row.pk}/recipients?find="
        second = text_of(operator, find + silent.username)
        assert "the person switched notifications off" in second
        link = re.search(r'href="(/console/notifications/[^"]+)"', second)
        assert link is not None
        assert "the person switched notifications off" in text_of(operator, link[1])
        assert "was not in the audience" in text_of(operator, find + other.username)
        assert "No one matches." in text_of(operator, find + "nobodyatall", 400)

    def test_recipients_are_paged_and_filtered_by_state(self, operator: Client) -> None:
        row = launch(make_broadcast(target_group="custom", target_filter=_people(51)))
        path = f"/console/broadcasts/{row.pk}/recipients"
        page = text_of(operator, path)
        following = re.search(r'rel="next" href="([^"]+)"', page) or re.search(
            r'href="([^"]+after=[^"]+)"', page
        )
        assert following is not None
        rest = text_of(operator, following[1].replace("&amp;", "&"))
        assert rest.count("<tr>") == 2
        assert "no such recipient" in text_of(operator, f"{path}?status=failed")

    def test_the_list_filters_by_state_and_leaves_out_those_of_campaigns(
        self, operator: Client
    ) -> None:
        make_broadcast(title="Mine")
        assert "Mine" in text_of(operator, "/console/broadcasts?status=draft")
        assert "Mine" not in text_of(operator, "/console/broadcasts?status=sending")
        assert "Mine" in text_of(operator, "/console/broadcasts?status=nonsense")

    def test_an_audience_that_is_gone_is_said(self, operator: Client) -> None:
        row = make_broadcast(target_group="group", target_filter={"group_id": 999})
        answer = operator.get(f"/console/broadcasts/{row.pk}/dry-run")
        assert answer.status_code == 400


def _people(count: int) -> dict[str, Any]:
    return {"user_ids": make_people(count)}


def _ids(row: Broadcast) -> list[int]:
    rows = BroadcastRecipient.objects.filter(broadcast=row).order_by("recipient_id")
    return list(rows.values_list("recipient_id", flat=True))


def _event(answer: Any) -> dict[str, Any]:
    assert answer["Content-Type"].startswith("text/event-stream")
    lines = dict(line.split(": ", 1) for line in answer.content.decode().strip().splitlines())
    found: dict[str, Any] = json.loads(lines["data"])
    return found


def test_the_pages_are_in_russian(operator: Client) -> None:
    group = make_class()
    post(operator, NEW, **form(group, where_field=["last_login"], where_key=[""],
         where_operator=["missing"], where_value=[""], without_kind=["all_teachers"],
         without_value=[""]))  # fmt: skip
    row = launch(make_broadcast(target_group="custom", target_filter=_people(5)))
    drafted = Broadcast.objects.earliest("pk").pk
    for path, words in {
        "/console/broadcasts": "Написать рассылку",
        f"/console/broadcasts/{drafted}": "группа «Class 7» где последний вход не известно без",
        f"/console/broadcasts/{drafted}/dry-run": "3 человека в аудитории",
        f"/console/broadcasts/{row.pk}": "5 человек",
        f"/console/broadcasts/{row.pk}/recipients": "Получатели",
    }.items():
        answer = operator.get(path, headers={"Accept-Language": "ru"})
        assert words in answer.content.decode(), path
