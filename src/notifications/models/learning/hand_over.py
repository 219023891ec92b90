"""Hand-overs that are not in the learned counts yet. Rows are appended, never updated.

The record of a slice and each later change of a status append to it in their transaction, so a
repeated record counts nothing twice. Nothing is read or written while nothing is learned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, NamedTuple

import msgspec
from django.db import connection, models
from django.db.models import QuerySet

from notifications.domain.channels import Channel
from notifications.domain.lifecycle import REACHED, MessageStatus
from notifications.infra.conf import environment

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[tuple[int, str, int, int, int]]).decode
_OF_ROW = 100
_FORGET_AT_ONCE = 500
_MARKS = ("track_clicks", "track_opens")
_COLUMNS = (
    "pk",
    "user_id",
    "channel",
    "sent_at",
    "notification__category_id",
    "status",
    "priority",
    "notification__is_test",
    "notification__template_version_id",
    "notification__options",
)


class HandOver(NamedTuple):
    """A message that a person was handed over, as the counts see it."""

    user_id: int
    channel: str
    #: Seconds since 1970.
    at: int
    category_id: int

    @property
    def moment(self) -> datetime:
        """When it was handed over."""
        return datetime.fromtimestamp(self.at, UTC)


def is_learning() -> bool:
    """Returns whether the service learns at all."""
    return environment().learning == "on"


def may_engage(
    channel: str,
    *,
    priority: int,
    is_test: bool,
    template_version_id: int | None,
    options: Mapping[str, Any] | None,
) -> bool:
    """Returns whether engagement with a message would be seen: other messages teach nothing.

    A mail must be tracked by the choices of the service and its sender. Critical messages are sent
    whenever they must be.
    """
    if is_test or priority <= 1:
        return False
    if channel != Channel.EMAIL:
        return True
    if template_version_id is None:
        return False
    chosen, settings = options or {}, environment()
    return any(
        _is_wanted(chosen.get(name), setting)
        for name, setting in zip(_MARKS, (settings.track_clicks, settings.track_opens), strict=True)
    )


def _is_wanted(given: Any, setting: str) -> bool:
    if setting == "off":
        return False
    return bool(given) if setting == "asked" else given is not False


class Teaching(NamedTuple):
    """A message that may teach something, as it is now."""

    key: int
    user_id: int
    channel: str
    sent_at: datetime | None
    category_id: int
    status: str

    def handed_over(self, at: datetime) -> HandOver:
        """Returns its hand-over at a time."""
        return HandOver(self.user_id, self.channel, int(at.timestamp()), self.category_id)


def teaching(rows: QuerySet[Any]) -> Iterator[Teaching]:
    """Yields the messages whose engagement would be seen. rows: of messages."""
    for *fields, priority, is_test, version, options in rows.values_list(*_COLUMNS):
        found = Teaching(*fields)
        if found.user_id is not None and may_engage(
            found.channel,
            priority=priority,
            is_test=is_test,
            template_version_id=version,
            options=options,
        ):
            yield found


def stored_hand_overs(rows: QuerySet[Any]) -> dict[int, HandOver]:
    """Returns the messages that count as handed over now, by their key. rows: of messages."""
    return {
        each.key: each.handed_over(each.sent_at)
        for each in teaching(rows)
        if each.sent_at is not None
        and (each.status in REACHED or each.status == MessageStatus.FAILED)
    }


class LearningDeltaManager(models.Manager["LearningDelta"]):
    """Appends rows."""

    def append(self, changes: Iterable[tuple[HandOver, int]]) -> None:
        """Writes changes: (hand-over, 1 or -1), in the caller's transaction.

        A row has a hundred of them at most, so that no one who adds it holds a lock for long.
        """
        rows = [(*hand_over, step) for hand_over, step in changes]
        parts = [rows[at : at + _OF_ROW] for at in range(0, len(rows), _OF_ROW)]
        if parts:
            marks = ", ".join(["(%s)"] * len(parts))
            with connection.cursor() as cursor:
                cursor.execute(
                    f"INSERT INTO notifications_learningdelta (changes) VALUES {marks}",  # noqa: S608 -- marks alone
                    [_encode(part).decode() for part in parts],
                )

    def forget(self, user_id: int) -> int:
        """Takes a person out of all rows, in the caller's transaction; returns from how many."""
        named = self.select_for_update().filter(changes__contains=f"[{user_id},").order_by("pk")
        rows = list(named[:_FORGET_AT_ONCE])
        for row in rows:
            left = [(*each, step) for each, step in unpacked_changes(row.changes)]
            row.changes = _encode([each for each in left if each[0] != user_id]).decode()
            row.save(update_fields=["changes"])
        return len(rows)

    def append_difference(
        self, before: Mapping[int, HandOver], after: Mapping[int, HandOver]
    ) -> None:
        """Writes by what messages differ that changed from one state to another."""
        changes = []
        for key in {**before, **after}:
            old, new = before.get(key), after.get(key)
            if old != new:
                changes += [(each, step) for each, step in ((old, -1), (new, 1)) if each]
        self.append(changes)


class LearningDelta(models.Model):
    """Hand-overs of one slice. It stays for seconds: the next round of the rollups takes it."""

    id = models.BigAutoField(primary_key=True)
    #: JSON: `[[user id, channel, seconds since 1970, category id, 1 or -1]]`.
    changes = models.TextField()

    objects: ClassVar[LearningDeltaManager] = LearningDeltaManager()

    def __str__(self) -> str:
        return f"hand-overs {self.pk}"


def unpacked_changes(text: str) -> list[tuple[HandOver, int]]:
    """Returns the changes that a row stores."""
    return [(HandOver(*fields), step) for *fields, step in _decode(text)]  # type: ignore[arg-type]
