"""The registry of the tables about messages, broadcasts and vendors."""

from __future__ import annotations

from notifications.features.privacy.registry.fields import (
    Column,
    OnErasure,
    PersonalField,
    Protection,
    table,
)

_READ, _DELETED = Protection.READABLE, OnErasure.DELETED
_SEALED, _SERVICE = Protection.PERSON_KEY, Protection.SERVICE_KEY
_NUMBER = "the number of the person"
_OPTIONS = (
    "attachments bypass_preferences channel_choice fallback fallback_after_s frequency_cap locale"
    " provider dedupe_s learned reply_to sender throttle track_clicks track_opens utm"
)
_SHARED = "it is about many people, so it is exported to none of them"
_VENDORS = "the vendor's text, which may quote an address"

MESSAGES: tuple[PersonalField, ...] = (
    *table(
        "notifications.Notification",
        protection=_READ,
        erasure=_DELETED,
        section="notifications",
        columns={
            "user_id": _NUMBER,
            "uuid": "the public id of the notification",
            "address": Column(
                "the address, where there is no user",
                Protection.ADDRESS_KEY,
                left_out="it belongs to no user",
                keys="email phone telegram_id",
            ),
            "text": Column("the text of the caller", _SEALED, keys="title message data"),
            "context": Column("the values of the template", _SEALED, keys="*"),
            "options": Column("how to send", keys=_OPTIONS),
            "locale": "the language of the text",
            "collapse_key": "the caller's key of a replaced notification",
            "ordering_key": "the caller's key of an order",
            "idempotency_key": "the caller's key of the request",
            "correlation_id": "the caller's id",
            "variant": "the place in an A/B test",
            "source": "who sent it",
        },
    ),
    *table(
        "notifications.NotificationMessage",
        protection=_READ,
        erasure=_DELETED,
        section="notifications",
        columns={
            "user_id": Column(_NUMBER),
            "content": Column("what was shown", _SEALED, keys="*"),
            "trail": "decisions and results",
            "last_error": _VENDORS,
            "provider_message_id": "the vendor's id",
        },
    ),
    *table(
        "notifications.DeliveryAttempt",
        protection=_READ,
        erasure=_DELETED,
        section="notifications",
        columns={
            "response": Column("the vendor's response", _SEALED, keys="*"),
            "error": _VENDORS,
            "error_code": "the vendor's code",
            "provider_message_id": "the vendor's id",
        },
    ),
    *table(
        "notifications.MessageEvent",
        protection=_READ,
        erasure=_DELETED,
        section="notifications",
        columns={"reason": "what happened to a message"},
    ),
    *table(
        "notifications.LateOutcome",
        protection=_READ,
        erasure=_DELETED,
        section="notifications",
        columns={"error": _VENDORS, "provider_message_id": "the vendor's id"},
    ),
    *table(
        "notifications.DeadLetter",
        protection=_READ,
        erasure=_DELETED,
        section="notifications",
        columns={
            "last_error": _VENDORS,
            "last_result": Column("the vendor's response", _SEALED, keys="*"),
            "resolution_reason": "why it was resolved",
            "resolved_by": Column("who resolved it", left_out="it names a member of staff"),
        },
    ),
    *table(
        "notifications.SandboxMessage",
        protection=_SEALED,
        erasure=_DELETED,
        section="notifications",
        columns={"content": Column("what would have been sent", keys="*")},
    ),
    *table(
        "notifications.TrackingEvent",
        protection=_READ,
        erasure=_DELETED,
        section="notifications",
        columns={
            "user_id": _NUMBER,
            "facts": Column(
                "the browser and the network of an open or a click",
                _SEALED,
                keys="agent network headers",
            ),
        },
    ),
    *table(
        "notifications.NotificationAnalytics",
        protection=_READ,
        erasure=_DELETED,
        section="notifications",
        columns={
            "user_agent": "the kind of program that opened a mail",
            "opened_from_device": "phone, tablet or computer",
            "opened_from_location": Column("the country, where a proxy names it", keys="country"),
            "source": "who sent it",
            "variant": "the place in an A/B test",
        },
    ),
    *table(
        "notifications.RefusedSend",
        protection=_READ,
        erasure=_DELETED,
        section="refused_sends",
        columns={
            "user_id": _NUMBER,
            "uuid": "the public id of the refused send",
            "reasons": Column("why nothing was sent, by channel", keys="*"),
            "actor": Column("who requested it", left_out="it names another caller"),
        },
    ),
    *table(
        "notifications.InboxArrival",
        protection=_READ,
        erasure=_DELETED,
        section="inbox",
        columns={
            "user_id": _NUMBER,
            "notification_id": "the notification that arrived",
            "uuid": "its public id",
            "content": Column("what the inbox shows", _SEALED, keys="title body data"),
        },
    ),
    *table(
        "notifications.InboxChange",
        protection=_READ,
        erasure=_DELETED,
        section="inbox_changes",
        columns={
            "user_id": _NUMBER,
            "terms": Column("what changed", keys="ids up_to category at until"),
        },
    ),
    *table(
        "notifications.PersonEvent",
        protection=_READ,
        erasure=_DELETED,
        section="events",
        columns={
            "user_id": _NUMBER,
            "name": "what they did, by the caller's name of it",
            "properties": Column("what the caller stores with it", _SEALED, keys="*"),
            "idempotency_key": Column(
                "the caller's key of it", left_out="it names nothing of theirs"
            ),
        },
    ),
    *table(
        "notifications.Conversion",
        protection=_READ,
        erasure=_DELETED,
        section="conversions",
        columns={
            "user_id": _NUMBER,
            "goal_id": "the goal that they reached",
            "message_id": "the message to which it is attributed",
        },
    ),
    *table(
        "notifications.InboxCounter",
        protection=_READ,
        erasure=_DELETED,
        section="",
        reason="it counts what the export lists",
        columns={"user_id": _NUMBER},
    ),
    *table(
        "notifications.Presence",
        protection=_READ,
        erasure=_DELETED,
        section="",
        reason="it says who is connected now, and ends with the connection",
        columns={"user_id": _NUMBER},
    ),
    *table(
        "notifications.LastSeen",
        protection=_READ,
        erasure=_DELETED,
        section="last_seen",
        columns={"user_id": _NUMBER, "at": "when the person was connected last, to the minute"},
    ),
    *table(
        "notifications.DigestBucket",
        protection=_READ,
        erasure=_DELETED,
        section="digests",
        columns={"user_id": _NUMBER, "period": "the period of the digest"},
    ),
    *table(
        "notifications.DigestItem",
        protection=_SEALED,
        erasure=_DELETED,
        section="digests",
        columns={"summary": Column("title and text of an item", keys="title body")},
    ),
    *table(
        "notifications.EngagementHours",
        protection=_READ,
        erasure=_DELETED,
        section="engagement_hours",
        columns={"user_id": _NUMBER, "cells": "counts of messages by hour of the week"},
    ),
    *table(
        "notifications.LearningDelta",
        protection=_READ,
        erasure=OnErasure.EMPTIED,
        section="",
        reason="it is work of seconds; the messages that it names are exported",
        columns={"changes": "numbers of people, and when each was handed over a message"},
    ),
    *table(
        "notifications.FrequencyCount",
        protection=_READ,
        erasure=_DELETED,
        section="frequency_counts",
        columns={"user_id": _NUMBER, "scope": "what is counted", "entries": "times of sends"},
    ),
    *table(
        "notifications.InboundSms",
        protection=_SEALED,
        erasure=_DELETED,
        section="received_texts",
        columns={
            "content": Column("a text from the person", keys="from to text"),
            "provider_message_id": Column("the vendor's id", _READ),
            "users": Column(
                "the numbers of who had the phone number",
                _READ,
                left_out="it may name others",
                keys="[]",
            ),
        },
    ),
    *table(
        "notifications.InboundSender",
        protection=_READ,
        erasure=_DELETED,
        section="",
        reason="the received texts show the same",
        columns={"user_id": _NUMBER},
    ),
    *table(
        "notifications.ScheduleMember",
        protection=_READ,
        erasure=_DELETED,
        section="series",
        columns={"user_id": _NUMBER},
    ),
    *table(
        "notifications.ScheduleSeries",
        protection=_READ,
        erasure=_DELETED,
        section="series",
        columns={
            "owner_id": Column(_NUMBER, stays="a series for other people goes on"),
            "text": Column("the text of the series", _SERVICE, keys="title message data"),
        },
    ),
    *table(
        "notifications.ScheduleOccurrence",
        protection=_READ,
        erasure=OnErasure.EXPIRES,
        section="",
        reason=_SHARED,
        columns={"zone": "the time zone of its members"},
    ),
    *table(
        "notifications.Job",
        protection=Protection.JOB_KEY,
        erasure=OnErasure.EXPIRES,
        section="",
        reason=_SHARED,
        columns={
            "context": Column("the shared values of a bulk call", keys="*"),
            "rejected": Column("refused entries", _READ, keys="index code detail"),
            "actor": Column("who made the call", _READ),
        },
    ),
    *table(
        "notifications.StoredAttachment",
        protection=_SEALED,
        erasure=_DELETED,
        section="",
        reason="the person received the file; one for several people has a key of its own",
        columns={"about": "the name of a file", "content": "a file"},
    ),
    *table(
        "notifications.ProviderCallback",
        protection=_SERVICE,
        erasure=OnErasure.EXPIRES,
        section="",
        reason="once its message is known it is under their key, and goes with it",
        columns={"call": Column("a raw receipt", keys="*")},
    ),
    *table(
        "notifications.QueuedTask",
        protection=_SERVICE,
        erasure=OnErasure.EXPIRES,
        section="",
        reason="it repeats a call of the service's own code",
        columns={
            "call": Column("the arguments of a task", keys="*"),
            "result": Column("what a task returned", keys="*"),
        },
    ),
    *table(
        "notifications.ThrottleCount",
        protection=Protection.KEYED_HASH,
        erasure=OnErasure.EXPIRES,
        section="",
        reason="it ends within a day",
        columns={"key": "whose calls are counted"},
    ),
    *table(
        "notifications.ChatFlow",
        protection=Protection.KEYED_HASH,
        erasure=OnErasure.EXPIRES,
        section="",
        reason="it ends when the next call is due",
        columns={"chat": "a chat, or the domain of an address"},
    ),
)
