"""Schedules, categories, segments, and storage by age: pages and forms."""

from __future__ import annotations

import html
import json
import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import translation
from django.utils.translation import gettext as _

from console.plans.segments import COUNTS_A_MINUTE
from directory.models import Segment, User
from notifications.features.access.principals import caller_of_user
from notifications.features.privacy.service import PrivacyService
from notifications.features.retention.indexed_rules import INDEXED
from notifications.features.retention.walked_rules import WALKED
from notifications.features.scheduling.series import SeriesService
from notifications.infra import clock
from notifications.models import (
    AuditQueued,
    Category,
    Erasure,
    LegalHold,
    PeriodicLoop,
    RetentionProgress,
    ScheduleClock,
    ScheduleMember,
    ScheduleSeries,
)
from tests.integration.console.conftest import As
from tests.integration.console.test_records import once, post, text_of
from tests.integration.factories import make_user
from tests.integration.statements import Statements

pytestmark = pytest.mark.django_db


def make_series(**values: object) -> ScheduleSeries:
    given = {"text": {"title": "Weekly report"}, "rule": "FREQ=WEEKLY;BYDAY=MO", **values}
    return ScheduleSeries.objects.create(
        source="key:1",
        created_by="key:1",
        type="reminder",
        category_id=Category.objects.get(key="course").pk,
        priority=3,
        channels=["email"],
        created_at=clock.now(),
        zone="Europe/Berlin",
        misfire="skip",
        grace_s=0,
        **given,
    )


def test_a_series_is_shown_and_cancelled_once(operator: Client) -> None:
    row = make_series()
    path = f"/console/schedules/{row.pk}"
    assert f'href="{path}"' in text_of(operator, "/console/schedules")
    assert "FREQ=WEEKLY;BYDAY=MO" in text_of(operator, path)
    assert "The series was cancelled." in post(operator, path)
    row.refresh_from_db()
    assert row.status == "cancelled"
    assert AuditQueued.objects.get(action="schedule.cancelled").actor.startswith("user:")
    assert "already cancelled" in post(operator, path)
    assert "Cancel the series" not in text_of(operator, path)
    assert operator.get("/console/schedules/99999").status_code == 404


def test_a_series_counts_people_and_zones_apart(operator: Client) -> None:
    row, now = make_series(status="active"), clock.now()
    clocks = [
        ScheduleClock.objects.create(series=row, zone=zone, next_at=now + timedelta(days=days))
        for zone, days in (("Europe/Berlin", 2), ("Asia/Tokyo", 1))
    ]
    for _member in range(3):
        ScheduleMember.objects.create(series=row, clock=clocks[0], user=make_user())
    with Statements() as sent:
        text = text_of(operator, "/console/schedules")
    assert '"Recipients">3<' in text
    found = SeriesService().get(
        identifier=row.pk, caller=caller_of_user(User.objects.get(staff_role="operator"))
    )
    assert (found.recipients, found.next_at) == (3, clocks[1].next_at)
    assert not [each for each in sent.texts if "JOIN" in each and "schedulemember" in each]


def test_a_category_is_shown_to_readers_and_deleted_by_admins(as_role: As) -> None:
    row = Category.objects.create(key="club", name="Club", retention_days=90)
    path = f"/console/categories/{row.pk}"
    for role, may_delete in (("operator", False), ("admin", True)):
        text = text_of(as_role(role), path)
        assert "90" in text
        assert ("Delete the category" in text) is may_delete
    assert as_role("operator").post(f"{path}/delete").status_code == 403
    assert "was deleted" in post(as_role("admin"), f"{path}/delete")
    row.refresh_from_db()
    assert row.retired_at is not None
    assert AuditQueued.objects.filter(action="category.retired").exists()


def test_a_built_in_category_stays(admin: Client) -> None:
    row = Category.objects.get(key="payment")
    path = f"/console/categories/{row.pk}"
    assert "Delete the category" not in text_of(admin, path)
    assert "is built in and cannot be deleted" in post(admin, f"{path}/delete")
    assert "payment" in text_of(admin, "/console/categories")


def test_a_segment_shows_its_people_on_request_and_is_deleted(operator: Client) -> None:
    criteria = {"field": "role", "op": "eq", "value": "teacher"}
    row = Segment.objects.create(name="Teachers", criteria=criteria)
    make_user(first_name="Grace", role="teacher")
    make_user(first_name="Alan", role="student")
    path = f"/console/segments/{row.pk}"
    assert "Teachers" in text_of(operator, "/console/segments")
    assert "Grace" not in text_of(operator, path)
    assert "People: " not in text_of(operator, f"{path}?show=people")
    people = text_of(operator, f"{path}?show=count")
    assert "People: 1" in people
    assert "Grace" in people
    assert "Alan" not in people
    assert "was deleted" in post(operator, f"{path}/delete")
    assert not Segment.objects.exists()
    assert AuditQueued.objects.filter(action="segment.deleted").exists()


def test_people_of_a_segment_have_pages(operator: Client) -> None:
    for number in range(52):
        make_user(username=f"t{number:02}", role="teacher")
    row = Segment.objects.create(
        name="Teachers", criteria={"field": "role", "op": "eq", "value": "teacher"}
    )
    path = f"/console/segments/{row.pk}"
    first = text_of(operator, f"{path}?show=count")
    assert "t49" in first
    assert "t50" not in first
    link = re.search(r'rel="next" href="([^"]+)"', first)
    assert link is not None
    with Statements() as sent:
        second = text_of(operator, link[1])
    assert "t51" in second
    assert "People: 52" in second
    assert not [text for text in sent.texts if "count(*)" in text]
    for _time in range(COUNTS_A_MINUTE - 1):
        assert operator.get(f"{path}?show=count").status_code == 200
    refused = operator.get(f"{path}?show=count")
    assert (refused.status_code, "calls within a minute" in refused.content.decode()) == (400, True)


def test_the_rules_are_those_of_retention_with_their_settings(admin: Client) -> None:
    now = clock.now()
    RetentionProgress.objects.create(rule="facts", next_at=now, reached_at=now, days=396, done=1234)
    PeriodicLoop.objects.create(
        name="storage by age", period_s=60, registered_at=now, finished_at=now
    )
    text = text_of(admin, "/console/retention")
    assert text.count('data-label="Rule"') == len(WALKED) + len(INDEXED)
    assert "CARILLON_FACTS_RETENTION_DAYS" in text
    assert "1\u202f234" in text
    assert "storage by age: last run" in text
    assert "upkeep: it has not run yet" in text


def test_every_rule_is_in_russian() -> None:
    with translation.override("ru"):
        assert [rule.when for rule in (*WALKED, *INDEXED) if _(rule.when) == rule.when] == []


def test_a_rule_that_is_behind_says_by_how_much(admin: Client) -> None:
    late = clock.now() - timedelta(days=398)
    RetentionProgress.objects.create(rule="facts", next_at=late, reached_at=late, days=396)
    assert "172800 s" in text_of(admin, "/console/retention").replace("172799", "172800")


def test_a_legal_hold_is_placed_and_ended(admin: Client) -> None:
    person = make_user()
    path = "/console/retention/holds"
    assert "write the number or UUID" in post(admin, path, person="Ada", reason="x")
    assert "say why" in post(admin, path, person=str(person.pk))
    form = {"once": once(admin, path), "person": str(person.uuid), "reason": "case 17"}
    assert "is in force" in post(admin, path, **form)
    assert "is in force" in post(admin, path, **form)
    hold = LegalHold.objects.get()
    assert (hold.user_id, hold.reason) == (person.pk, "case 17")
    assert AuditQueued.objects.get(action="hold.placed").subject_id == person.pk
    assert "case 17" in text_of(admin, path)
    assert "has ended" in post(admin, path, action="end", hold=str(hold.uuid))
    assert not LegalHold.objects.exists()


def test_a_hold_for_which_an_erasure_waits_ends_by_a_typed_word(admin: Client) -> None:
    caller = caller_of_user(User.objects.get(staff_role="admin"))
    person, path = make_user(), "/console/retention/holds"
    hold = LegalHold.objects.create(
        user_id=person.pk, reason="case", actor="cli", created_at=clock.now()
    )
    PrivacyService().erase_user(identifier=person.pk, reason="asked", caller=caller)
    assert "It begins at once" in text_of(admin, path)
    form = {"action": "end", "hold": str(hold.uuid)}
    assert "type the word erase" in post(admin, path, **form)
    assert LegalHold.objects.exists()
    assert "has ended" in post(admin, path, **form, confirm="erase")
    assert Erasure.objects.exclude(state="waiting_for_hold").get().user_id == person.pk


def test_an_erasure_has_a_certificate_to_read_and_to_store(admin: Client) -> None:
    caller = caller_of_user(User.objects.get(staff_role="admin"))
    LegalHold.objects.create(
        user_id=(person := make_user()).pk, reason="case", actor="cli", created_at=clock.now()
    )
    PrivacyService().erase_user(identifier=person.pk, reason="request of 3 May", caller=caller)
    listed = text_of(admin, "/console/retention/erasures")
    assert "request of 3 May" in listed
    assert "waits for the end of a legal hold" in listed
    link = re.search(r'href="(/console/retention/erasures/[^"]+)"', listed)
    assert link is not None
    text = text_of(admin, link[1])
    assert "What remains" in text
    answer = admin.get(f"{link[1]}/file")
    assert answer["Content-Disposition"].startswith('attachment; filename="certificate-')
    found = json.loads(answer.content)
    assert found["user_id"] == person.pk
    assert found["certificate_id"] == link[1].rpartition("/")[2]
    assert admin.get("/console/retention/erasures/nonsense").status_code == 404
    assert html.escape("request of 3 May") in listed
