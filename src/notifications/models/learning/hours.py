"""What is learned: counts by hour of the week, one row a person and channel, and one a channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec
from django.conf import settings
from django.db import models

from notifications.domain.learning.counts import Cell, Cells, HourCounts
from notifications.infra import clock

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[int]).decode
_WIDTH = 5


def packed_cells(cells: Mapping[Cell, HourCounts]) -> bytes:
    """Returns counts as a row stores them: a list of numbers, five for each cell."""
    return _encode(
        [number for cell, counts in sorted(cells.items()) for number in (*cell, *counts)]
    )


def unpacked_cells(data: bytes | memoryview) -> Cells:
    """Returns what `packed_cells` packed."""
    numbers = _decode(bytes(data)) if data else []
    return {
        (numbers[at], numbers[at + 1]): HourCounts(*numbers[at + 2 : at + _WIDTH])
        for at in range(0, len(numbers), _WIDTH)
    }


class EngagementHours(models.Model):
    """When one person engaged with the messages of one channel, by the hour of their hand-over.

    Its size is bounded: it has a cell of about ten bytes for each period of 28 days and hour of the
    week in which the person got something.
    """

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, db_index=False, related_name="+"
    )
    channel = models.CharField(max_length=10)
    #: `packed_cells`: (period, hour of the week, handed, clicked, engaged).
    cells = models.BinaryField(default=b"")
    updated_at = models.DateTimeField(default=clock.now, db_index=True)

    objects: ClassVar[models.Manager[EngagementHours]] = models.Manager()

    class Meta:
        verbose_name_plural = "engagement hours"
        constraints = [
            models.UniqueConstraint(fields=["user", "channel"], name="engagement_hours_once")
        ]

    def __str__(self) -> str:
        return f"hours of user {self.user_id} on {self.channel}"


class EngagementPrior(models.Model):
    """The same counts of all people together on one channel. They name no one."""

    channel = models.CharField(max_length=10, primary_key=True)
    cells = models.BinaryField(default=b"")

    objects: ClassVar[models.Manager[EngagementPrior]] = models.Manager()

    def __str__(self) -> str:
        return f"hours of all people on {self.channel}"
