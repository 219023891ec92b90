"""Codes that were renamed: rows are rewritten once, trails are translated on reading."""

from __future__ import annotations

import json
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection

from notifications.domain.renamed_codes import RENAMED, current_code
from notifications.infra import clock
from notifications.models import (
    Broadcast,
    DeliveryAttempt,
    MessageEvent,
    NotificationMessage,
)
from tests.integration import factories

migration = import_module("notifications.migrations.0043_renamed_codes")

pytestmark = pytest.mark.django_db


def push_to(user):
    return NotificationMessage.objects.create(user=user, channel="push", scheduled_at=clock.now())


def test_the_present_name_of_a_code_keeps_what_follows_it():
    assert current_code("garbage") == "invalid_response"
    assert current_code("kill_switch:channel:push") == "kill_switch:channel:push"
    assert current_code("garbage:at the end") == "invalid_response:at the end"
    assert current_code("") == ""


def test_no_new_name_is_an_old_one():
    assert not set(RENAMED) & set(RENAMED.values())


def test_a_trail_with_an_old_code_is_read_with_the_new_one():
    user = factories.make_user()
    message = NotificationMessage.objects.create(
        user=user, channel="push", scheduled_at=clock.now()
    )
    message.trail = json.dumps([5, "deferred", "waits_for_elder_of_ordering_key"])
    message.save(update_fields=["trail"])
    (entry,) = NotificationMessage.objects.get(pk=message.pk).history()
    assert entry == {"at": 5, "event": "deferred", "reason": "waiting_for_earlier_message"}


def test_rows_with_old_codes_are_rewritten_and_others_stay():
    user = factories.make_user()
    message = NotificationMessage.objects.create(
        user=user, channel="push", scheduled_at=clock.now()
    )
    now = clock.now()
    for reason in ("attempts_used_up", "http_500"):
        MessageEvent.objects.create(message_id=message.pk, kind="failed", reason=reason, at=now)
        DeliveryAttempt.objects.create(
            message_id=message.pk,
            number=1,
            provider="x",
            verdict="failed",
            error_code=reason,
            at=now,
        )
    NotificationMessage.objects.filter(pk=message.pk).update(last_error="garbage")
    broadcast = Broadcast.objects.create(
        title="t",
        message="m",
        created_by=user,
        error_reasons={"garbage": 2, "invalid_response": 1, "other": 4},
        error_log=[{"recipient_id": 1, "error": "provider_raised", "timestamp": ""}],
    )
    editor = SimpleNamespace(connection=connection)
    migration.rename_columns(apps, editor)
    migration.rename_in_broadcasts(apps, editor)
    events = MessageEvent.objects.filter(message_id=message.pk).order_by("id")
    assert [each.reason for each in events] == ["attempts_exhausted", "http_500"]
    attempts = DeliveryAttempt.objects.filter(message_id=message.pk).order_by("id")
    assert [each.error_code for each in attempts] == ["attempts_exhausted", "http_500"]
    assert NotificationMessage.objects.get(pk=message.pk).last_error == "invalid_response"
    broadcast.refresh_from_db()
    assert broadcast.error_reasons == {"invalid_response": 3, "other": 4}
    assert broadcast.error_log[0]["error"] == "provider_exception"
