"""The form of a broadcast: what it says, as the body that the API takes, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from console.casting.fields.audience import AudienceForm, form_of_audience, read_audience_form
from console.casting.fields.targets import audience_of, target_of
from console.guard import Visit
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.models import Broadcast

LONGEST = 1_000_000
"""A text that is longer than allowed is refused, and not cut off."""
OF_AUDIENCE = ("target_group", "target_filter")
CHOICES = {"": None, "yes": True, "no": False}
_TEXTS = ("title", "message", "category", "delivery", "priority", "scheduled_at", "per_minute")


@dataclass(frozen=True, slots=True, kw_only=True)
class BroadcastForm:
    """The fields of the form, as texts."""

    audience: AudienceForm
    texts: Mapping[str, str]
    channels: tuple[str, ...]
    track_opens: str = ""
    track_clicks: str = ""

    def changes(self, visit: Visit, row: Broadcast, *, schedule: bool) -> dict[str, Any]:
        """Returns the body of a change: without the audience and the time that stay as stored.

        A body with a time schedules a draft, or requests its approval. schedule: whether the
        visitor wants that with the stored time, too.

        Raises:
            InvalidRequest: no one is named.
        """
        stays: set[str] = set()
        if self.audience.audience() == audience_of(row):
            stays.update(OF_AUDIENCE)
        if not schedule and self.texts["scheduled_at"] == local_text(visit, row.scheduled_at):
            stays.add("scheduled_at")
        return {name: value for name, value in self.body(visit).items() if name not in stays}

    def body(self, visit: Visit) -> dict[str, Any]:
        """Returns the body that the service takes.

        Raises:
            InvalidRequest: no one is named.
        """
        texts = self.texts
        return {
            **target_of(self.audience.audience()),
            "title": texts["title"],
            "message": texts["message"],
            "category": texts["category"],
            "delivery": texts["delivery"],
            "priority": number_or_text(texts["priority"]),
            "channels": list(self.channels),
            "scheduled_at": moment_of(visit, texts["scheduled_at"]),
            "per_minute": number_or_text(texts["per_minute"]) if texts["per_minute"] else None,
            "track_opens": CHOICES.get(self.track_opens),
            "track_clicks": CHOICES.get(self.track_clicks),
        }


def read_broadcast_form(visit: Visit) -> BroadcastForm:
    """Returns what the visitor wrote."""
    form = visit.request.POST
    return BroadcastForm(
        audience=read_audience_form(form),
        texts={name: visit.given(name, longest=LONGEST) for name in _TEXTS},
        channels=tuple(form.getlist("channels")[:20]),
        track_opens=visit.given("track_opens"),
        track_clicks=visit.given("track_clicks"),
    )


def new_broadcast_form() -> BroadcastForm:
    """Returns the form of a broadcast that is not written yet."""
    values = {"category": "announcement", "delivery": "all", "priority": "3"}
    return BroadcastForm(
        audience=AudienceForm(),
        texts={**dict.fromkeys(_TEXTS, ""), **values},
        channels=("email", "in_app"),
    )


def form_of_broadcast(visit: Visit, row: Broadcast) -> BroadcastForm:
    """Returns the form that says what a broadcast is."""
    texts = {
        "title": row.title,
        "message": row.message,
        "category": row.category,
        "delivery": row.delivery,
        "priority": str(row.priority),
        "scheduled_at": local_text(visit, row.scheduled_at),
        "per_minute": str(row.per_minute or ""),
    }
    return BroadcastForm(
        audience=form_of_audience(audience_of(row)),
        texts=texts,
        channels=tuple(row.channels),
        track_opens=choice_text(row.options.get("track_opens")),
        track_clicks=choice_text(row.options.get("track_clicks")),
    )


def choice_text(value: bool | None) -> str:
    """Returns the field for yes, no, or the setting of the service."""
    return "" if value is None else ("yes" if value else "no")


def local_text(visit: Visit, moment: datetime | None) -> str:
    """Returns a moment as a field shows it: the clock of the visitor."""
    return f"{moment.astimezone(visit.zone):%Y-%m-%dT%H:%M}" if moment else ""


def moment_of(visit: Visit, text: str) -> str | None:
    """Returns the time that a field means, with the offset of the visitor's zone.

    Raises:
        InvalidRequest: it is no time.
    """
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=visit.zone)).isoformat()
    except (ValueError, OverflowError) as error:
        fault = FieldError("scheduled_at", "invalid", "must be a time such as 2030-01-31T09:00")
        raise InvalidRequest([fault]) from error


def number_or_text(text: str) -> int | str:
    """Returns the number that a text is, else the text, which the service refuses."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text
