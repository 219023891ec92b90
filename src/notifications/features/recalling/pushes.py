"""Takes back pushes: browsers get a request to close what they show.

A retraction is a message like any other: leased, limited by its provider, retried and recorded.
Only browsers can do it; what an app shows stays.
"""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlsplit

from directory.models import Device
from notifications.domain.channels import Channel, Priority
from notifications.domain.lifecycle import REACHED, MessageStatus
from notifications.domain.messages import Verdict, reference_to, tag_of
from notifications.infra.conf import environment
from notifications.intake.accept import Intent, SendTarget, accept
from notifications.intake.request import Terms
from notifications.models import (
    DeliveryAttempt,
    MessageEvent,
    Notification,
    NotificationMessage,
)
from notifications.models.delivery.notification import system_category
from notifications.policy.facts import RETRACTION_SOURCE
from notifications.policy.options import RETRACTS

SENT_EVENT = "retraction"
"""The event of a message that was taken back; its reason is the UUID of the retraction."""
_MAY_SHOW = (Verdict.SENT, Verdict.DELIVERED, Verdict.UNCERTAIN)
_SHOWS_EACH_PUSH = ("push.apple.com",)
"""Hosts of browsers that withdraw the permission after a push that shows nothing."""


def take_back(found: Notification, push: NotificationMessage, *, now: datetime) -> bool | None:
    """Tells browsers to close a push, in the caller's transaction, once. The caller has locked it.

    Returns whether every device that may show it is such a browser, or shows a newer one instead;
    None where no device is known to show it.
    """
    accepted = _devices_of(push)
    if not accepted:
        return None
    if not environment().push_retractions or not _is_active(found):
        return False
    if _is_replaced(found):
        return True
    browsers = _silent_browsers(accepted)
    if browsers and not _was_sent(push):
        uuid = _send(found, browsers, now=now)
        MessageEvent.objects.create(message_id=push.pk, kind=SENT_EVENT, reason=uuid, at=now)
    return browsers == accepted and push.status != MessageStatus.UNCERTAIN


def _devices_of(push: NotificationMessage) -> set[int]:
    """Returns the devices that may show a push."""
    rows = DeliveryAttempt.objects.filter(
        message_id=push.pk, verdict__in=_MAY_SHOW, device_id__isnull=False
    )
    return {device_id for device_id in rows.values_list("device_id", flat=True) if device_id}


def _is_active(found: Notification) -> bool:
    return found.user is not None and found.user.is_active


def _is_replaced(found: Notification) -> bool:
    """Returns whether a newer push of the same collapse key stands in its place."""
    if not found.collapse_key or found.user_id is None:
        return False
    newer = NotificationMessage.objects.filter(
        notification__user_id=found.user_id,
        notification__collapse_key=found.collapse_key,
        notification_id__gt=found.pk,
        channel=Channel.PUSH,
        status__in=REACHED,
    )
    return newer.exists()


def _silent_browsers(devices: set[int]) -> set[int]:
    """Returns the browsers among these devices that accept a push that shows nothing."""
    rows = Device.objects.live().filter(pk__in=devices, kind=Device.Kind.WEBPUSH)
    return {row.pk for row in rows if not _shows_each(row.token)}


def _shows_each(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    return any(host == each or host.endswith(f".{each}") for each in _SHOWS_EACH_PUSH)


def _was_sent(push: NotificationMessage) -> bool:
    return MessageEvent.objects.filter(message_id=push.pk, kind=SENT_EVENT).exists()


def _send(found: Notification, browsers: set[int], *, now: datetime) -> str:
    """Accepts the retraction. Returns its UUID."""
    reference = reference_to(found.uuid, Channel.PUSH)
    options = {
        "bypass_preferences": True,
        RETRACTS: {
            "tag": tag_of(reference, found.collapse_key),
            "reference": reference,
            "devices": sorted(browsers),
        },
    }
    terms = Terms(
        template_path="",
        channels=(),
        priority=found.priority,
        category=None,
        context={},
        scheduled_at=None,
        expires_at=None,
        collapse_key=None,
        ordering_key=None,
        options=options,
    )
    intent = Intent(
        terms=terms,
        priority=Priority(found.priority),
        category_id=system_category(),
        category_key="system",
        template_version_id=None,
        source=RETRACTION_SOURCE,
        text={"title": "", "message": ""},
        is_test=found.is_test,
    )
    targets = [SendTarget(user_id=found.user_id, channels=(Channel.PUSH.value,))]
    return str(accept(intent, targets, now=now).uuids[0])
