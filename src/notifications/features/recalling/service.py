"""Retracts and amends notifications that are in an inbox."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction

from directory.texts import find_unstorable
from notifications.domain.callers import Caller
from notifications.domain.channels import ROW_CHANNELS, Channel
from notifications.domain.errors import Conflict, FieldError, InvalidRequest, NotFound
from notifications.domain.identifiers import parse_identifier
from notifications.domain.lifecycle import REACHED, MessageStatus
from notifications.features.access.service import check_test_key, missing_scope
from notifications.features.inbox import actions
from notifications.features.recalling.pushes import take_back
from notifications.features.sending.cancel import withdraw
from notifications.infra import clock
from notifications.infra.field_types import ChannelName
from notifications.intake.fields import Fields
from notifications.models import ChangeKind, InboxArrival, Notification
from notifications.models.audit.actions import record_change

SEND = "notifications:send"
_OUT = REACHED | {MessageStatus.UNCERTAIN, MessageStatus.DIGESTED}
MOST_TITLE, MOST_BODY, MOST_DATA = 500, 20_000, 32_000


class RetractResponse(msgspec.Struct, kw_only=True):
    """What was taken back, and what cannot be."""

    recalled: list[ChannelName]
    """The channels where it is shown no more, or was not sent yet. A push is closed in browsers
    as soon as they are online. Example: `["in_app"]`"""

    not_recallable: list[ChannelName]
    """The channels that have handed it out, or are doing so just now. Example: `["email"]`"""


class AmendBody(msgspec.Struct, kw_only=True):
    """The new text of a notification in an inbox; what is left out stays."""

    title: str | msgspec.UnsetType = msgspec.UNSET
    """Plain text, up to 500 characters. Example: `Payment received`"""

    body: str | msgspec.UnsetType = msgspec.UNSET
    """Plain text, up to 20,000 characters. Example: `We have received 39.99 EUR.`"""

    data: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    """What is attached, up to 32,000 characters of JSON. Example: `{"url": "/orders/7"}`"""


class NotificationChangeBody(AmendBody, kw_only=True):
    """A new time for a scheduled notification, or a new text for one that is in an inbox."""

    scheduled_at: datetime | msgspec.UnsetType = msgspec.UNSET
    """When to send it instead (RFC 3339), alone: a notification that waits has no text yet."""


def amends(body: Mapping[str, Any]) -> bool:
    """Whether a body changes the text of a notification, and not its time."""
    return "scheduled_at" not in body and not body.keys().isdisjoint(AmendBody.__struct_fields__)


class RecallService:
    """Takes back or changes what was sent. Every call is audited."""

    def retract(self, *, identifier: object, caller: Caller) -> RetractResponse:
        """Takes a notification out of its inbox, and cancels what was not sent yet.

        Raises:
            Refused: missing_scope, test_key. NotFound: unknown_notification.
        """
        found = _find(identifier, caller)
        now = clock.now()
        with transaction.atomic():
            _, in_flight = withdraw(found.messages.all(), by=caller.name, now=now)
            flying = set(found.messages.filter(pk__in=in_flight).values_list("channel", flat=True))
            recalled, left = _take_back(found, flying, now=now)
            arrived = InboxArrival.objects.filter(pk=found.pk, retracted_at__isnull=True)
            if found.user_id is not None and arrived.exists():
                actions.act(found.user_id, [found.pk], ChangeKind.RETRACTED)
            record_change(
                actor=caller.name,
                action="notification.retracted",
                target=f"notification:{found.uuid}",
                at=now,
                after={"recalled": recalled, "not_recallable": left},
            )
        return RetractResponse(recalled=recalled, not_recallable=left)

    def amend(self, *, identifier: object, body: Mapping[str, Any], caller: Caller) -> None:
        """Changes title, body or data of a notification in an inbox. Other copies stay.

        Raises:
            Refused: missing_scope, test_key. NotFound: unknown_notification.
            InvalidRequest: with the error of every field.
            Conflict: not_in_inbox, where no inbox shows it.
        """
        found = _find(identifier, caller)
        changes = _changes(body)
        with transaction.atomic():
            shown = found.user_id is not None and actions.amend(found.user_id, found.pk, changes)
            if not shown:
                detail = "no inbox shows this notification: it has not arrived, or is retracted"
                raise Conflict(detail, code="not_in_inbox")
            record_change(
                actor=caller.name,
                action="notification.amended",
                target=f"notification:{found.uuid}",
                at=clock.now(),
                after={"fields": sorted(changes)},
            )


def _take_back(
    found: Notification, flying: set[str], *, now: datetime
) -> tuple[list[str], list[str]]:
    """Takes back what can be; returns the channels that are, and those that are not.

    flying: the channels that are being handed out just now.
    """
    messages = {row.channel: row for row in found.messages.select_for_update().order_by("pk")}
    out = {name for name, row in messages.items() if row.status in _OUT} | flying
    gone = {name for name, row in messages.items() if row.status == MessageStatus.CANCELLED}
    back = (gone | out.intersection(ROW_CHANNELS)) - flying
    push = messages.get(Channel.PUSH)
    is_back = take_back(found, push, now=now) if push and push.channel not in flying else None
    if is_back is not None:
        out.add(Channel.PUSH.value)
        back = back | {Channel.PUSH.value} if is_back else back - {Channel.PUSH.value}
    return sorted(back), sorted(out - back)


def _find(identifier: object, caller: Caller) -> Notification:
    """Returns a notification that the caller may take back: its own, or any for staff.

    A key that could amend what others sent could put its own words into their notices.
    """
    if not caller.may(SEND):
        raise missing_scope(SEND)
    key = parse_identifier(identifier)
    rows = Notification.objects.all()
    found = key and rows.filter(**{"uuid" if isinstance(key, UUID) else "pk": key}).first()
    if not found or (caller.is_service and found.source != caller.source):
        raise NotFound(f"there is no notification {identifier}", code="unknown_notification")
    check_test_key(caller, is_test=found.is_test)
    return found


def _changes(body: Mapping[str, Any]) -> dict[str, Any]:
    fields = Fields(body)
    fields.refuse_unknown(AmendBody.__struct_fields__)
    changes: dict[str, Any] = {}
    for name, most in (("title", MOST_TITLE), ("body", MOST_BODY)):
        if name in body:
            changes[name] = body[name]
            if not isinstance(body[name], str):
                fields.add_error(name, "invalid", "must be a text")
            elif len(body[name]) > most:
                fields.add_error(name, "too_long", f"has at most {most:,} characters")
    if "data" in body:
        changes["data"] = fields.mapping("data")
        if len(msgspec.json.encode(changes["data"])) > MOST_DATA:
            fields.add_error("data", "too_large", f"has at most {MOST_DATA:,} bytes of JSON")
    if not changes and not fields.errors:
        fields.add_error("title", "required", "give a new title, body or data")
    fields.raise_errors()
    wrong = find_unstorable(changes)
    if wrong is not None:
        raise InvalidRequest([FieldError("data", "invalid_text", wrong.detail)])
    return changes
