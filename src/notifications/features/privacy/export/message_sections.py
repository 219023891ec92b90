"""The sections of an export about messages: notifications, digests, texts, broadcasts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from notifications.domain.learning.hours import day_of_period, name_of_hour
from notifications.domain.redaction import without_links
from notifications.features.privacy.export.paging import (
    ExportedPerson,
    ExportPage,
    by_key,
    by_time,
    columns,
)
from notifications.models import (
    Broadcast,
    BroadcastRecipient,
    Campaign,
    CampaignHoldout,
    Conversion,
    DeadLetter,
    DeliveryAttempt,
    DigestBucket,
    DigestItem,
    EngagementHours,
    FrequencyCount,
    InboundSms,
    InboxArrival,
    InboxChange,
    LastSeen,
    LateOutcome,
    MailSeries,
    MessageEvent,
    Notification,
    NotificationAnalytics,
    NotificationMessage,
    PersonEvent,
    RefusedSend,
    SandboxMessage,
    ScheduleMember,
    ScheduleSeries,
    SeriesEnrollment,
    TrackingEvent,
)
from notifications.models.learning.hours import unpacked_cells

NOT_SHOWN = "(not shown)"
SECRET_CATEGORIES = frozenset({"security"})
"""Their texts carry codes, with which a reader could sign in as the person."""
_NOTIFICATION = (
    "uuid type priority source locale text context options scheduled_at scheduled_status"
    " cancelled_at expires_at collapse_key ordering_key idempotency_key correlation_id variant"
    " is_test read_at archived_at snoozed_until created_at"
)
_MESSAGE = (
    "channel status priority scheduled_at attempts last_error provider provider_message_id content"
    " trail sent_at delivered_at"
)
_OF_MESSAGES = (
    (
        "delivery_attempts",
        DeliveryAttempt,
        "number provider verdict error_code error provider_message_id response duration_ms at",
    ),
    ("events", MessageEvent, "kind reason at"),
    ("late_results", LateOutcome, "provider verdict provider_message_id error at"),
    (
        "dead_letters",
        DeadLetter,
        "provider code last_error last_result attempts failed_at resolution resolution_reason"
        " resolved_at",
    ),
    ("sandbox", SandboxMessage, "channel content at"),
    ("opens_and_clicks", TrackingEvent, "kind link at repeats method facts verdict reason"),
)
_ENGAGEMENT = (
    "queued_at sent_at delivered_at opened_at clicked_at converted_at opened_from_device"
    " opened_from_location user_agent source variant ab_test_group flags created_at"
)


def notifications(person: ExportedPerson, after: str) -> ExportPage:
    rows = Notification.objects.filter(user_id=person.user.pk)
    rows = rows.select_related("category", "template_version__template")

    def items(found: Sequence[Notification]) -> list[dict[str, Any]]:
        messages = _messages_of([row.pk for row in found])
        return [_notification(row, messages[row.pk], own=person.own) for row in found]

    return by_time(rows, after, items)


def _notification(
    row: Notification, messages: list[dict[str, Any]], *, own: bool
) -> dict[str, Any]:
    version = row.template_version
    item = {
        "category": row.category.key,
        "template": None if version is None else version.template.path,
        **columns(row, _NOTIFICATION),
        "messages": messages,
    }
    if row.category.key in SECRET_CATEGORIES and not own:
        _hide(item, "text", "context")
        for message in messages:
            _hide(message, "content", "trail")
            _hide_texts(message)
    shown: dict[str, Any] = _without_links(item)
    return shown


def _hide(item: dict[str, Any], *names: str) -> None:
    item.update({name: NOT_SHOWN for name in names if item[name] is not None})


def _hide_texts(message: dict[str, Any]) -> None:
    for part in message["sandbox"]:
        _hide(part, "content")
    for part in message["delivery_attempts"]:
        _hide(part, "response")
    for part in message["dead_letters"]:
        _hide(part, "last_result")


def _without_links(value: Any) -> Any:
    """Returns a value without signed links: who has one may act for the person."""
    if isinstance(value, str):
        return without_links(value, NOT_SHOWN)
    if isinstance(value, dict):
        return {_without_links(name): _without_links(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_links(each) for each in value]
    return value


def _messages_of(keys: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    """Returns the messages of notifications, with all rows that name them, in a few statements."""
    rows = list(NotificationMessage.objects.filter(notification_id__in=keys).order_by("pk"))
    ids = [row.pk for row in rows]
    about = {name: _rows_about(model, names, ids) for name, model, names in _OF_MESSAGES}
    engaged = NotificationAnalytics.objects.in_bulk(ids)
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        parts: dict[str, Any] = {name: by_message[row.pk] for name, by_message in about.items()}
        own = engaged.get(row.pk)
        parts["engagement"] = columns(own, _ENGAGEMENT) if own else None
        found[row.notification_id].append({**columns(row, _MESSAGE), **parts})
    return found


def _rows_about(model: Any, names: str, ids: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in model.objects.filter(message_id__in=ids).order_by("pk"):
        found[row.message_id].append(columns(row, names))
    return found


def inbox(person: ExportedPerson, after: str) -> ExportPage:
    rows = InboxArrival.objects.filter(user_id=person.user.pk)
    states = "seen_at read_at archived_at snoozed_until retracted_at"
    names = f"uuid seq priority arrived_at {states} content"
    return by_key(rows, after, lambda row: columns(row, names))


def inbox_changes(person: ExportedPerson, after: str) -> ExportPage:
    rows = InboxChange.objects.filter(user_id=person.user.pk)
    return by_key(rows, after, lambda row: columns(row, "seq kind terms at"))


def last_seen(person: ExportedPerson, after: str) -> ExportPage:
    rows = LastSeen.objects.filter(user_id=person.user.pk)
    return by_key(rows, after, lambda row: columns(row, "at"))


def events(person: ExportedPerson, after: str) -> ExportPage:
    rows = PersonEvent.objects.filter(user_id=person.user.pk)
    names = "name properties occurred_at source received_at"
    return by_key(rows, after, lambda row: columns(row, names))


def conversions(person: ExportedPerson, after: str) -> ExportPage:
    rows = Conversion.objects.filter(user_id=person.user.pk).select_related("goal")

    def item(row: Conversion) -> dict[str, Any]:
        return {"goal": row.goal.name, **columns(row, "occurred_at message_id touched_at")}

    return by_key(rows, after, item)


def digests(person: ExportedPerson, after: str) -> ExportPage:
    rows = DigestBucket.objects.filter(user=person.user)

    def item(row: DigestBucket) -> dict[str, Any]:
        held = DigestItem.objects.filter(bucket=row).order_by("pk")
        listed: list[dict[str, Any]] = _without_links(
            [columns(each, "summary at") for each in held]
        )
        names = "channel frequency period closes_at closed_at created_at"
        return {**columns(row, names), "items": listed}

    return by_key(rows, after, item)


def refused_sends(person: ExportedPerson, after: str) -> ExportPage:
    rows = RefusedSend.objects.filter(user_id=person.user.pk)
    return by_key(rows, after, lambda row: columns(row, "uuid category template_path reasons at"))


def frequency_counts(person: ExportedPerson, after: str) -> ExportPage:
    rows = FrequencyCount.objects.filter(user_id=person.user.pk)
    return by_key(rows, after, lambda row: columns(row, "scope channel window_s entries until"))


def engagement_hours(person: ExportedPerson, after: str) -> ExportPage:
    """At which hours of the week the person was sent messages, and engaged with them."""
    rows = EngagementHours.objects.filter(user=person.user)

    def item(row: EngagementHours) -> dict[str, Any]:
        hours = [
            {"since": str(day_of_period(period)), "hour": name_of_hour(hour), **counts._asdict()}
            for (period, hour), counts in sorted(unpacked_cells(row.cells).items())
        ]
        return {**columns(row, "channel updated_at"), "hours": hours}

    return by_key(rows, after, item)


def received_texts(person: ExportedPerson, after: str) -> ExportPage:
    rows = InboundSms.objects.filter(senders__user_id=person.user.pk)
    names = "provider provider_message_id keyword content received_at"
    return by_key(rows, after, lambda row: columns(row, names))


def broadcasts_received(person: ExportedPerson, after: str) -> ExportPage:
    rows = BroadcastRecipient.objects.filter(recipient_id=person.user.pk)
    rows = rows.select_related("broadcast").defer("broadcast__error_log")

    def item(row: BroadcastRecipient) -> dict[str, Any]:
        names = (
            "state channel_states telegram_sent telegram_message_id telegram_error error retries"
            " sent_at choice"
        )
        return {**columns(row.broadcast, "uuid title message"), **columns(row, names)}

    return by_key(rows, after, item, key="broadcast_id")


def broadcasts_written(person: ExportedPerson, after: str) -> ExportPage:
    rows = Broadcast.objects.filter(created_by=person.user).defer("error_log", "error_reasons")
    names = (
        "uuid title message target_group target_filter channels category status created_at sent_at"
        " review_note"
    )
    return by_key(rows, after, lambda row: columns(row, names))


def campaigns_written(person: ExportedPerson, after: str) -> ExportPage:
    rows = Campaign.objects.filter(created_by=person.user)
    names = (
        "uuid name description audience exclude segment_criteria template_path context channels"
        " category status created_at started_at completed_at review_note"
    )
    return by_key(rows, after, lambda row: columns(row, names))


def holdouts(person: ExportedPerson, after: str) -> ExportPage:
    """Campaigns that the person was not sent, so that their effect can be measured."""
    rows = CampaignHoldout.objects.filter(user=person.user).select_related("campaign")
    return by_key(rows, after, lambda row: columns(row.campaign, "uuid name started_at"))


def mail_series(person: ExportedPerson, after: str) -> ExportPage:
    """The series of mails in which the person is or was."""
    rows = SeriesEnrollment.objects.filter(user=person.user).select_related("series")
    rows = rows.prefetch_related("handovers")
    names = "entry state position due_at day entered_at ended_at reason choice"
    return by_key(
        rows,
        after,
        lambda row: {
            **columns(row.series, "uuid name"),
            **columns(row, names),
            "mails": [columns(mail, "position at choice") for mail in row.handovers.all()],
        },
    )


def mail_series_written(person: ExportedPerson, after: str) -> ExportPage:
    rows = MailSeries.objects.filter(created_by=person.user)
    names = (
        "uuid name description trigger event attribute context category status created_at"
        " launched_at ended_at review_note"
    )
    return by_key(rows, after, lambda row: columns(row, names))


def series(person: ExportedPerson, after: str) -> ExportPage:
    """The series of which the person is a member, or which the person created."""
    mine = ScheduleMember.objects.filter(user=person.user).values("series_id")
    rows = ScheduleSeries.objects.filter(pk__in=mine)
    rows |= ScheduleSeries.objects.filter(owner_id=person.user.pk)
    names = "uuid type channels text rule wall instant zone status created_at ended_at"
    return by_key(rows, after, lambda row: columns(row, names))
