"""Explains why a notification is due at its hour, and why it goes to its first channel."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from notifications.domain.identifiers import parse_key
from notifications.domain.learning.choice import LearningPlace
from notifications.domain.learning.hours import name_of_hour
from notifications.domain.learning.labels import PREFIX
from notifications.features.learning.schemas import (
    LearnedChannel,
    LearnedChannelsResponse,
    LearnedEvidence,
    LearnedTimeResponse,
    LearningResponse,
)
from notifications.features.learning.sends import STORED
from notifications.features.learning.stored import (
    StoredChannels,
    StoredChoice,
    StoredHour,
    StoredPosterior,
    read_choice,
)
from notifications.models import (
    Broadcast,
    BroadcastRecipient,
    Notification,
    SeriesHandover,
)
from notifications.models.sources.broadcast_change import broadcast_of

_SERIES = "series:"
_CODES: dict[str, str] = {
    LearningPlace.LEARNED: "learned",
    LearningPlace.HOLDOUT: "holdout",
    LearningPlace.START: "first",
}


def explain_learning(found: Notification) -> LearningResponse | None:
    """Returns what was learned for a notification; None where nothing was, or it is deleted."""
    if not (found.variant or "").startswith(PREFIX):
        return None
    own = (found.options or {}).get(STORED)
    if own:
        return learning_response(read_choice(own), due_at=None)
    if found.source.startswith(_SERIES):
        return _of_series(found)
    broadcast_id = broadcast_of(found.source)
    rows = BroadcastRecipient.objects.filter(
        broadcast_id=broadcast_id or 0, recipient_id=found.user_id or 0
    )
    text = rows.values_list("choice", flat=True).first()
    if not text:
        return None
    due = Broadcast.objects.filter(pk=broadcast_id or 0).values_list("scheduled_at", flat=True)
    return learning_response(read_choice(text), due_at=due.first())


def _of_series(found: Notification) -> LearningResponse | None:
    rows = SeriesHandover.objects.filter(
        notification_id=found.pk,
        enrollment__series_id=parse_key(found.source.removeprefix(_SERIES)) or 0,
        enrollment__user_id=found.user_id or 0,
    )
    mail = rows.first()
    if mail is None or not mail.choice:
        return None
    return learning_response(read_choice(mail.choice), due_at=mail.at)


def learning_response(choice: StoredChoice, *, due_at: datetime | None) -> LearningResponse:
    """Returns a choice as responses show it."""
    time, channels = choice.time, choice.channels
    words = [_time_in_words(time) if time else "", _channels_in_words(channels) if channels else ""]
    return LearningResponse(
        send_time=LearnedTimeResponse(
            place=time.place,
            due_at=due_at,
            hour=name_of_hour(time.hour),
            evidence=LearnedEvidence(**_evidence(time.evidence)),
            first_hour=name_of_hour(time.first_hour),
            first_mean=time.first_mean,
            known=time.known,
        )
        if time
        else None,
        channels=LearnedChannelsResponse(
            place=channels.place,
            order=[
                LearnedChannel(channel=name, **_evidence(each))
                for name, each in zip(channels.channels, channels.evidence, strict=True)
            ],
        )
        if channels
        else None,
        explanation=" ".join(filter(None, words)),
    )


def _evidence(found: StoredPosterior) -> dict[str, Any]:
    return {
        "handed_over": found.handed,
        "engaged": found.succeeded,
        "prior": found.prior,
        "mean": found.mean,
    }


def learning_reasons(found: LearningResponse) -> list[str]:
    """Returns the codes of the reasons, with what was known, for the decisions of a message."""
    reasons = []
    if time := found.send_time:
        known = f"{time.hour}, {time.evidence.engaged}/{time.evidence.handed_over}"
        reasons.append(f"{_CODES[time.place]}_hour:{known}, {time.evidence.mean:.1%}")
    if channels := found.channels:
        first = channels.order[0]
        known = f"{first.channel}, {first.engaged}/{first.handed_over}"
        reasons.append(f"{_CODES[channels.place]}_channel:{known}, {first.mean:.1%}")
    return reasons


def _time_in_words(found: StoredHour) -> str:
    hour, evidence = name_of_hour(found.hour), found.evidence
    if found.place is LearningPlace.START:
        return (
            f"Due at the beginning of the window, {hour}: only {found.known} messages of the"
            " person are known."
        )
    if found.place is LearningPlace.HOLDOUT:
        return f"Due on {hour}: the person is in the holdout, whose hour is not learned."
    return (
        f"Due on {hour}: of {evidence.handed} messages in this hour the person engaged with"
        f" {evidence.succeeded}; the prior of {evidence.prior:.1%} becomes a mean of"
        f" {evidence.mean:.1%}, against {found.first_mean:.1%} for the first hour,"
        f" {name_of_hour(found.first_hour)}."
    )


def _channels_in_words(found: StoredChannels) -> str:
    first, order = found.channels[0], ", ".join(found.channels)
    if found.place is LearningPlace.START:
        return f"Channels in the given order, {order}: too few messages of the person are known."
    if found.place is LearningPlace.HOLDOUT:
        return f"Channels in the given order, {order}: the person is in the holdout."
    known = found.evidence[0]
    return (
        f"First to {first}: of {known.handed} messages there the person engaged with"
        f" {known.succeeded}, a mean of {known.mean:.1%}."
    )
