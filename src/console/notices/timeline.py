"""What happened to a notification, message by message, in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from console import words
from notifications.domain.wall_clock import first_zone
from notifications.features.sending.schemas import (
    AttemptResponse,
    DecisionResponse,
    ExplainResponse,
    MessageExplanation,
)
from notifications.infra.conf import environment
from notifications.models import DeliveryAttempt, UserNotificationPreference

MOST_MOMENTS = 200
MOST_ANSWERS = 200
_LONGEST_ANSWER = 2_000
_TEXT_FIELDS = frozenset({"body", "caption", "chat", "text", "to"})
"""The fields in which providers repeat what was written, and to whom."""
_BLANK = "…"
_BAD = frozenset({"failed", "uncertain", "complained"})
_GOOD = frozenset({"sent", "delivered"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineMoment:
    """One thing that happened."""

    at: datetime
    title: str
    detail: str = ""
    tone: str = "quiet"
    #: What the provider answered; empty where it is not shown.
    answer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageTimeline:
    """One message from its acceptance to its receipt."""

    channel: str
    status: str
    #: What became of it, or what it waits for, as a sentence.
    summary: str
    moments: Sequence[TimelineMoment]
    #: The checks of the last decision, and how each ended.
    steps: Sequence[tuple[str, str]] = field(default=())


def zone_of_person(user_id: int | None, user_zone: str) -> tzinfo:
    """Returns the zone of a person's quiet hours. Makes one query."""
    own = ""
    if user_id is not None:
        rows = UserNotificationPreference.objects.filter(user_id=user_id)
        own = rows.values_list("timezone", flat=True).first() or ""
    return first_zone(own, user_zone, environment().timezone)[0]


def answers_of(message_ids: Sequence[int]) -> Mapping[tuple[int, int, int | None], str]:
    """Returns the newest answers of providers by message, number of the attempt and device."""
    rows = DeliveryAttempt.objects.filter(message_id__in=message_ids).order_by("-id")
    return {
        (row.message_id, row.number, row.device_id): _answer(row) for row in rows[:MOST_ANSWERS]
    }


def timelines_of(
    explained: ExplainResponse,
    message_ids: Sequence[int],
    answers: Mapping[tuple[int, int, int | None], str],
    *,
    now: datetime,
    zone: tzinfo,
) -> list[MessageTimeline]:
    """Returns the timelines of all messages. message_ids: in the order of the explanation."""
    found = []
    for number, message in enumerate(explained.messages):
        key = message_ids[number] if number < len(message_ids) else 0
        moments = [_decision(each) for each in message.decisions]
        moments += [
            _attempt(each, answers.get((key, each.number, each.device_id), ""))
            for each in message.attempts
        ]
        found.append(
            MessageTimeline(
                channel=message.channel,
                status=message.status,
                summary=_summary(message, now=now, zone=zone),
                moments=sorted(moments, key=lambda moment: moment.at)[-MOST_MOMENTS:],
                steps=[(each.step, each.outcome) for each in message.steps],
            )
        )
    return found


def _summary(message: MessageExplanation, *, now: datetime, zone: tzinfo) -> str:
    if message.held_by:
        first = message.held_by[0]
        return words.waits_for(first.kind, first.name, until=first.until, now=now, zone=zone)
    last = message.decisions[-1] if message.decisions else None
    because = words.reason(last.reason) if last and last.reason else ""
    if message.status in ("suppressed", "refused", "expired", "cancelled", "digested", "failed"):
        title = words.event(message.status)
        return f"{title}: {because}" if because else title
    if message.status in _GOOD and last is not None:
        return _("%(event)s at %(time)s") % {
            "event": words.event(message.status),
            "time": date_format(last.at.astimezone(zone), "H:i, j E Y"),
        }
    return because


def _decision(each: DecisionResponse) -> TimelineMoment:
    tone = "bad" if each.event in _BAD else "good" if each.event in _GOOD else "quiet"
    detail = words.reason(each.reason) if each.reason else ""
    return TimelineMoment(at=each.at, title=words.event(each.event), detail=detail, tone=tone)


def _attempt(each: AttemptResponse, answer: str) -> TimelineMoment:
    title = _("Attempt %(number)d by %(provider)s: %(verdict)s") % {
        "number": each.number,
        "provider": each.provider,
        "verdict": words.verdict(each.verdict),
    }
    tone = "good" if each.verdict in _GOOD else "bad"
    detail = words.reason(each.error_code) if each.error_code else ""
    return TimelineMoment(at=each.at, title=title, detail=detail, tone=tone, answer=answer)


def _answer(row: DeliveryAttempt) -> str:
    parts = [row.error] if row.error else []
    if row.provider_message_id:
        parts.append(_("id at the provider: %(id)s") % {"id": row.provider_message_id})
    if row.response:
        parts.append(_json(row.response))
    parts.append(_("%(milliseconds)d ms") % {"milliseconds": row.duration_ms})
    return "\n".join(parts)


def _json(response: object) -> str:
    return json.dumps(_without_texts(response), ensure_ascii=False, indent=2)[:_LONGEST_ANSWER]


def _without_texts(answer: Any) -> Any:
    """Returns a JSON answer in which the fields with texts of people are blank."""
    if isinstance(answer, dict):
        return {
            name: _BLANK if str(name).lower() in _TEXT_FIELDS else _without_texts(value)
            for name, value in answer.items()
        }
    return [_without_texts(each) for each in answer] if isinstance(answer, list) else answer
