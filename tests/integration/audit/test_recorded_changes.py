"""Every route that changes something writes an entry, with the values before and after."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from rest_framework.test import APIClient

from directory.models import ContactPoint, User
from notifications.api.reach import PERSON_ROUTES
from notifications.api.routes import ROUTES
from notifications.models import AuditQueued, OperatorAction
from notifications.models.audit.entries import open_entry
from notifications.privacy import SecureAuditLogger
from tests.integration.api.conftest import *  # noqa: F403 -- its clients are fixtures here
from tests.integration.factories import make_messages, make_user

pytestmark = pytest.mark.django_db
API = "/api/v1"

RECORDED = {
    "log_out": "sign-in.ended",
    "end_sign_in": "sign-in.ended",
    "revoke_tokens": "tokens.revoked",
    "invite_staff": "staff.invited",
    "revoke_invitation": "staff.invitation_revoked",
    "issue_api_key": "api-key.issued",
    "rotate_api_key": "api-key.rotated",
    "revoke_api_key": "api-key.revoked",
    "set_api_key_addresses": "api-key.addresses",
    "end_api_key": "api-key.revoked",
    "set_staff_role": "staff.role",
    "create_staff_group": "staff-group.created",
    "change_staff_group": "staff-group.changed",
    "delete_staff_group": "staff-group.deleted",
    "set_staff_group_members": "staff-group.members",
    "move_notification": "notification.moved",
    "cancel_notification": "notification.cancelled",
    "retract_notification": "notification.retracted",
    "cancel_job": "job.cancelled",
    "cancel_scheduled": "notification.cancelled",
    "cancel_scheduled_alias": "notification.cancelled",
    "cancel_schedule": "schedule.cancelled",
    "change_preferences": "preferences.changed",
    "unsubscribe": "preferences.unsubscribed",
    "record_consent": "consent.given",
    "put_users": "users.written",
    "put_user": "user.created",
    "delete_user": "user.erased",
    "register_device": "device.registered",
    "forget_device": "device.deleted",
    "confirm_verification": "address.verified",
    "telegram_update": "telegram.ended",
    "create_group": "group.created",
    "change_group": "group.changed",
    "delete_group": "group.deleted",
    "change_members": "group.members",
    "set_members": "group.members",
    "create_subject": "subject.created",
    "change_subject": "subject.changed",
    "delete_subject": "subject.deleted",
    "add_enrollments": "relations.added",
    "delete_enrollments": "relation.deleted",
    "add_tutor_assignments": "relations.added",
    "delete_tutor_assignments": "relation.deleted",
    "add_parent_links": "relations.added",
    "delete_parent_links": "relation.deleted",
    "add_suppressions": "suppressions.added",
    "delete_suppression": "suppression.deleted",
    "create_segment": "segment.created",
    "create_list": "list.created",
    "change_list": "list.changed",
    "delete_list": "list.deleted",
    "import_into_list": "list.imported",
    "subscribe_to_list": "consent.given",
    "unsubscribe_from_list": "consent.withdrawn",
    "create_goal": "goal.created",
    "replace_segment": "segment.changed",
    "delete_segment": "segment.deleted",
    "make_category": "category.made",
    "change_category": "category.changed",
    "delete_category": "category.retired",
    "create_template": "template.create",
    "change_template": "template.update",
    "delete_template": "template.delete",
    "publish_template": "template.publish",
    "roll_back_template": "template.rollback",
    "put_provider": "provider.set",
    "delete_provider": "provider.delete",
    "send_test": "provider.test",
    "close_breaker": "breaker.close",
    "create_broadcast": "broadcast.create",
    "change_broadcast": "broadcast.change",
    "delete_broadcast": "broadcast.delete",
    "send_broadcast": "broadcast.send",
    "test_broadcast": "broadcast.test",
    "duplicate_broadcast": "broadcast.duplicate",
    "cancel_broadcast": "broadcast.cancel",
    "retry_broadcast": "broadcast.retry",
    "pause_broadcast": "broadcast.pause",
    "resume_broadcast": "broadcast.resume",
    "approve_broadcast": "broadcast.approve",
    "reject_broadcast": "broadcast.reject",
    "retry_recipients": "broadcast.retry",
    "create_ab_test": "ab-test.created",
    "change_ab_test": "ab-test.changed",
    "delete_ab_test": "ab-test.deleted",
    "start_ab_test": "ab-test.started",
    "pause_ab_test": "ab-test.paused",
    "stop_ab_test": "ab-test.stopped",
    "declare_ab_test": "ab-test.declared",
    "create_campaign": "campaign.create",
    "change_campaign": "campaign.change",
    "delete_campaign": "campaign.delete",
    "test_campaign": "campaign.test",
    "schedule_campaign": "campaign.schedule",
    "launch_campaign": "campaign.launch",
    "pause_campaign": "campaign.pause",
    "resume_campaign": "campaign.resume",
    "cancel_campaign": "campaign.cancel",
    "approve_campaign": "campaign.approve",
    "reject_campaign": "campaign.reject",
    "duplicate_campaign": "campaign.duplicate",
    "create_series": "series.create",
    "change_series": "series.change",
    "delete_series": "series.delete",
    "launch_series": "series.launch",
    "pause_series": "series.pause",
    "resume_series": "series.resume",
    "end_series": "series.end",
    "approve_series": "series.approve",
    "reject_series": "series.reject",
    "create_webhook": "webhook.create",
    "replace_webhook": "webhook.replace",
    "delete_webhook": "webhook.delete",
    "rotate_webhook": "webhook.rotate",
    "replay_webhook": "webhook.replay",
    "erase_user": "user.erased",
    "erase_address": "user.erased",
    "request_export": "export.requested",
    "place_hold": "hold.placed",
    "end_hold": "hold.ended",
    "stop": "kill-switch.stop",
    "lift_stop": "kill-switch.lift",
    "replay_dead_letters": "dead-letters.replay",
    "discard_dead_letters": "dead-letters.discard",
    "replay_matching_dead_letters": "dead-letters.replay",
    "discard_matching_dead_letters": "dead-letters.discard",
    "settle_dead_letters": "dead-letters.sent",
    "resume_set_aside": "set-aside.resume",
}
NOT_RECORDED = {
    "log_in": "a sign-in of staff is `sign-in.began`; refusals are in the security log",
    "refresh_token": "a reuse is `sign-in.reused`",
    "send_notification": "each decision is in a slice",
    "send_bulk": "each decision is in a slice",
    "schedule_notification": "each decision is in a slice; a series is `schedule.created`",
    "simulate_notification": "no change",
    "ask_for_consent": "the consent counts once confirmed, and is recorded then",
    "begin_verification": "the address counts once confirmed, and is recorded then",
    "take_callback": "a vendor's receipt",
    "report_events": "what users did elsewhere, which is stored as events",
    "report_conversion": "what a user did elsewhere, which is stored as an event",
    "count_audience": "no change",
    "preview_audience": "no change",
    "validate_new_template": "no change",
    "preview_template": "no change",
    "validate_template": "no change",
    "count_campaign": "no change",
    "preview_ab_test_plan": "no change",
    "simulate_broadcast": "no change",
    "simulate_broadcast_body": "no change",
    "test_webhook": "no change",
    "notify_room": "nothing is stored: those who are connected get it",
    "issue_ticket": "it opens the stream of its own person for ten minutes",
    **dict.fromkeys(
        sorted(
            PERSON_ROUTES - {"get_inbox", "count_unread", "issue_ticket"},
        ),
        "what a person does in their own inbox is an event of the inbox",
    ),
}


def test_every_route_that_changes_something_is_listed() -> None:
    changing = {route.name for route in ROUTES if route.method != "GET"}
    assert changing == {*RECORDED, *NOT_RECORDED}
    assert not RECORDED.keys() & NOT_RECORDED.keys()


def entries(action: str = "") -> list[dict[str, Any]]:
    """Returns the queued entries of an action, the oldest first, with their details."""
    rows = AuditQueued.objects.order_by("id")
    found = []
    for row in rows.filter(action=action) if action else rows:
        details = json.loads(open_entry(bytes(row.data))[1])
        found.append({**details, "row": row})
    return found


def last(action: str) -> dict[str, Any]:
    return entries(action)[-1]


def test_people(as_staff: APIClient, staff: User) -> None:
    url = f"{API}/users/ext:p-7"
    as_staff.put(url, {"email": "ada@example.com", "first_name": "Ada"}, format="json")
    found = last("user.created")
    user = User.objects.get(external_id="p-7")
    assert found["before"] is None
    assert found["after"]["first_name"] == "Ada"
    row = found["row"]
    assert (row.actor, row.target) == (f"user:{staff.pk}", f"user:{user.pk}")
    assert row.subject_id == user.pk
    assert b"ada@example.com" not in bytes(row.data)

    as_staff.put(url, {"first_name": "Grace"}, format="json")
    found = last("user.changed")
    assert (found["before"], found["after"]) == ({"first_name": "Ada"}, {"first_name": "Grace"})
    as_staff.put(url, {"first_name": "Grace"}, format="json")
    assert len(entries("user.changed")) == 1, "nothing changed"

    body = {"users": [{"external_id": f"q-{n}"} for n in range(3)]}
    done = as_staff.post(f"{API}/users/bulk", body, format="json")
    assert done.json()["created"] == 3, done.content
    assert last("users.written")["after"]["created"] == 3
    as_staff.delete(f"{API}/users/{user.pk}?reason=asked")
    found = last("audit.erasure")
    assert (found["reason"], found["row"].target) == ("asked", f"user:{user.pk}")


def test_groups_and_relations(as_staff: APIClient) -> None:
    make_user(username="m0")
    group = as_staff.post(f"{API}/groups", {"name": "Team"}, format="json").json()["id"]
    as_staff.put(f"{API}/groups/{group}", {"name": "Band"}, format="json")
    found = last("group.changed")
    assert (found["before"], found["after"]) == ({"name": "Team"}, {"name": "Band"})
    as_staff.post(f"{API}/groups/{group}/members", {"add": ["m0"]}, format="json")
    assert len(last("group.members")["after"]["added_ids"]) == 1
    as_staff.delete(f"{API}/groups/{group}")
    subject = as_staff.post(f"{API}/subjects", {"name": "Physics"}, format="json").json()["id"]
    as_staff.put(f"{API}/subjects/{subject}", {"name": "Optics"}, format="json")
    assert last("subject.changed")["after"] == {"name": "Optics"}
    as_staff.delete(f"{API}/subjects/{subject}")
    rows = [{"kind": "email", "address": "x@example.com", "reason": "asked"}]
    as_staff.post(f"{API}/suppressions", {"suppressions": rows}, format="json")
    key = as_staff.get(f"{API}/suppressions").json()["results"][0]["id"]
    as_staff.delete(f"{API}/suppressions/{key}")
    assert "address" not in last("suppression.deleted")["before"]
    make_user(username="s1")
    rows = [{"parent": "m0", "student": "s1"}]
    as_staff.post(f"{API}/parent-links", {"rows": rows}, format="json")
    key = as_staff.get(f"{API}/parent-links").json()["results"][0]["id"]
    as_staff.delete(f"{API}/parent-links/{key}")
    assert {entry["row"].action for entry in entries()} >= {
        "group.created", "group.deleted", "subject.created", "subject.deleted",
        "suppressions.added", "relations.added", "relation.deleted",
    }  # fmt: skip


def test_who_is_asked_to_join_a_list(as_staff: APIClient, staff: User) -> None:
    body = {"name": "News", "slug": "news", "category": "announcement"}
    one = as_staff.post(f"{API}/lists", body, format="json").json()["id"]
    users = [make_user(email=f"l{n}@example.com") for n in range(2)]
    body = {"user_id": users[0].pk, "source": "form"}
    done = as_staff.post(f"{API}/lists/{one}/subscribe", body, format="json")
    assert done.json()["status"] == "pending", done.content
    found = last("list.asked")
    assert found["after"] == {"source": "form"}
    row = found["row"]
    assert (row.actor, row.target) == (f"user:{staff.pk}", f"list:{one}")
    assert row.subject_id == users[0].pk

    body = {"rows": [{"user_id": users[1].pk}]}
    as_staff.post(f"{API}/lists/{one}/import", body, format="json")
    assert last("list.asked")["row"].subject_id == users[1].pk
    assert last("list.imported")["after"] == {"subscribed": 0, "pending": 1}


def test_preferences_and_consents(as_user: APIClient, user: User) -> None:
    body = {"global": {"email_enabled": False, "marketing_enabled": True}}
    as_user.put(f"{API}/preferences", body, format="json")
    found = last("preferences.changed")
    assert found["before"]["global.email_enabled"] is True
    assert found["after"]["global.email_enabled"] is False
    assert found["ip"] == "127.0.0.1"
    assert last("consent.given")["after"]["purpose"] == "marketing"
    as_user.put(f"{API}/preferences", body, format="json")
    assert len(entries("preferences.changed")) == 1
    assert {row.subject_id for row in AuditQueued.objects.all()} == {user.pk}


def test_devices_and_addresses(as_user: APIClient, user: User, api: APIClient, settings: Any):
    made = as_user.post(f"{API}/devices", {"kind": "fcm", "token": "t" * 40}, format="json")
    assert made.status_code == 201, made.content
    assert last("device.registered")["after"] == {"kind": "fcm"}
    as_user.delete(f"{API}/devices/{made.json()['id']}")
    assert last("device.deleted")["before"] == {"kind": "fcm"}
    ContactPoint.objects.update_or_create(user=user, kind="telegram", defaults={"address": "99"})
    message = {"chat": {"id": 99, "type": "private"}, "text": "/stop"}
    secret = settings.TELEGRAM_WEBHOOK_SECRET
    api.post(
        f"{API}/telegram/webhook",
        {"message": message},
        format="json",
        HTTP_X_TELEGRAM_BOT_API_SECRET_TOKEN=secret,
    )
    assert last("telegram.ended")["after"] == {"state": "unsubscribed"}


def test_secrets_are_never_recorded(as_staff: APIClient) -> None:
    body = {"name": "billing", "scopes": ["notifications:send"]}
    key = as_staff.post(f"{API}/api-keys", body, format="json").json()
    hook = {"name": "h", "url": "https://example.com/hook", "events": []}
    made = as_staff.post(f"{API}/webhooks", hook, format="json").json()
    texts = json.dumps([{k: v for k, v in entry.items() if k != "row"} for entry in entries()])
    assert last("api-key.issued")["after"]["scopes"] == ["notifications:send"]
    assert key["key"].split("_", 3)[3] not in texts
    assert made["secret"] not in texts
    assert "(not shown)" in texts


def test_operations(as_staff: APIClient) -> None:
    body = {"scope": "channel", "value": "sms", "reason": "cost"}
    as_staff.post(f"{API}/kill-switch", body, format="json")
    as_staff.delete(f"{API}/kill-switch?scope=channel&value=sms")
    assert [entry["row"].action for entry in entries()] == ["kill-switch.stop", "kill-switch.lift"]
    assert OperatorAction.objects.count() == 2, "the operators' page shows them too"
    category = as_staff.post(f"{API}/categories", {"key": "homework"}, format="json")
    assert category.status_code == 201, category.content
    as_staff.put(f"{API}/categories/homework", {"name": "Home work"}, format="json")
    found = last("category.changed")
    assert (found["before"], found["after"]) == ({"name": "Homework"}, {"name": "Home work"})


def test_staff_changes_in_the_admin(admin_client: Any, admin_user: User) -> None:
    user = make_user(first_name="Ada")
    url = f"/admin/directory/user/{user.pk}"
    page = admin_client.get(f"{url}/change/")
    form = page.context["adminform"].form
    data = {name: value for name, value in form.initial.items() if value is not None}
    data = {name: value for name, value in data.items() if not isinstance(value, bool) or value}
    for name in ("date_joined", "last_login"):
        moment = data.pop(name, None)
        if moment is not None:
            data |= {f"{name}_0": f"{moment:%Y-%m-%d}", f"{name}_1": f"{moment:%H:%M:%S}"}
    data |= {"first_name": "Grace", "is_staff": "on", "staff_role": "admin"}
    done = admin_client.post(f"{url}/change/", data)
    assert done.status_code == 302, done.context["adminform"].form.errors
    found = last("user.changed")
    assert found["row"].actor == f"user:{admin_user.pk}"
    assert found["before"]["first_name"] == "Ada"
    assert found["after"]["first_name"] == "Grace"
    user.refresh_from_db()
    assert (user.staff_role, user.is_staff) == (None, False), "no form gives a role"

    words = {"password1": "a long new phrase", "password2": "a long new phrase"}
    done = admin_client.post(f"{url}/password/", words)
    assert done.status_code == 302, done.context["form"].errors
    assert last("user.password")["row"].target == f"user:{user.pk}"
    done = admin_client.post(f"/admin/directory/user/{user.pk}/delete/", {"post": "yes"})
    assert done.status_code == 302, done.content
    assert last("audit.erasure")["row"].target == f"user:{user.pk}"
    assert not User.objects.get(pk=user.pk).is_active
    names = LogEntry.objects.values_list("object_repr", flat=True)
    assert set(names) == {f"user {user.pk}"}


def test_the_documented_logger_writes_entries(user: User) -> None:
    (message,) = make_messages(1)
    user.last_ip, user.last_user_agent = "192.0.2.7", "tester/1"  # type: ignore[attr-defined]
    logger = SecureAuditLogger()
    logger.log_notification_sent(message, {"success": True}, user)
    logger.log_preference_change(user, {"email_enabled": False}, "192.0.2.8")
    sent, changed = entries()
    assert sent["after"]["success"] is True
    assert (sent["ip"], sent["user_agent"]) == ("192.0.2.7", "tester/1")
    assert sent["row"].actor == f"user:{user.pk}"
    assert sent["row"].target == f"message:{message.pk}"
    assert (changed["after"], changed["ip"]) == ({"email_enabled": False}, "192.0.2.8")
    assert changed["row"].subject_id == user.pk
