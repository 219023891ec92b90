"""A batch: up to 500 messages of one lane, channel and source, due in the same second."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import models

from notifications.domain.channels import Channel, Lane
from notifications.models.delivery.message import choices_of

BATCH_SIZE = 500


class DeliveryBatch(models.Model):
    """The unit that workers lease. Its members never change; it is deleted when all are recorded.

    No index covers lease, fence or journal, so leasing and journalling update the row in place.
    """

    id = models.BigAutoField(primary_key=True)
    lane = models.CharField(max_length=8, choices=choices_of(Lane))
    channel = models.CharField(max_length=10, choices=choices_of(Channel))
    source = models.CharField(max_length=60)
    due_at = models.DateTimeField()
    members = models.TextField()  # runs of message keys: "12-19,40"
    #: The number of members that wait. It may be too high: other writers reduce it later.
    size = models.IntegerField()
    owner = models.CharField(max_length=80, null=True)
    fence = models.IntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    journal = models.TextField(
        default="", blank=True
    )  # keys that a provider may have received: "12,15"
    takeovers = models.SmallIntegerField(default=0)
    isolated = models.BooleanField(default=False)  # one message, leased alone: a worker died on it
    #: The earliest `expires_at` of the members; null where none has one.
    expires_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "delivery batches"
        indexes = [
            models.Index(fields=["lane", "source", "due_at", "id"], name="batch_next"),
            models.Index(
                fields=["expires_at"],
                condition=models.Q(expires_at__isnull=False),
                name="batch_expires",
            ),
        ]

    def __str__(self) -> str:
        return f"batch {self.pk} ({self.lane}, {self.channel}, {self.size})"


class WorkerProcess(models.Model):
    """A living worker. It renews its row with its leases, so no scan is needed for dead ones."""

    owner = models.CharField(max_length=80, primary_key=True)
    lanes = models.JSONField(default=list)
    started_at = models.DateTimeField()
    #: Until when the last heartbeat says that the worker lives, by the database's clock.
    lease_until = models.DateTimeField()
    #: When the worker ended itself because it was stuck. The row then stays for an hour.
    ended_at = models.DateTimeField(null=True, blank=True)
    #: What the worker was stuck on, as text.
    ended_reason = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        verbose_name_plural = "worker processes"

    def __str__(self) -> str:
        return self.owner


def pack_keys(keys: Iterable[int]) -> str:
    """Packs keys into runs, e.g. `12-19,40`: 500 consecutive keys take a dozen characters."""
    runs: list[list[int]] = []
    for key in sorted(keys):
        if runs and key == runs[-1][1] + 1:
            runs[-1][1] = key
        else:
            runs.append([key, key])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def unpack_keys(packed: str) -> list[int]:
    """Returns the keys that `pack_keys` packed."""
    keys: list[int] = []
    for run in packed.split(",") if packed else ():
        first, _, last = run.partition("-")
        keys.extend(range(int(first), int(last or first) + 1))
    return keys
