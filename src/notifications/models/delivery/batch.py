"""A batch: up to 500 messages of one lane, channel and source, due in the same second."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import models

from notifications.domain.channels import Channel, Lane
from notifications.models.delivery.message import choices_of

BATCH_SIZE = 500


class DeliveryBatch(models.Model):
    """The unit that workers lease. Its members never change; it is deleted when all are recorded.

    Lease, fence and journal stay out of every index, so that leasing and journalling rewrite the
    row in place.
    """

    id = models.BigAutoField(primary_key=True)
    lane = models.CharField(max_length=8, choices=choices_of(Lane))
    channel = models.CharField(max_length=10, choices=choices_of(Channel))
    source = models.CharField(max_length=60)
    due_at = models.DateTimeField()
    members = models.TextField()  # runs of message keys: "12-19,40"
    #: Members that wait, as far as is known: what is settled one by one leaves it by and by.
    size = models.IntegerField()
    owner = models.CharField(max_length=80, null=True)
    fence = models.IntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    journal = models.TextField(default="", blank=True)  # keys in the hands of a provider: "12,15"
    takeovers = models.SmallIntegerField(default=0)
    isolated = models.BooleanField(default=False)  # one message, carried alone: a worker died on it
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
    """A living worker: renewed with its leases, so that the dead are found without a scan."""

    owner = models.CharField(max_length=80, primary_key=True)
    lanes = models.JSONField(default=list)
    started_at = models.DateTimeField()
    #: Until when the last heartbeat says that it lives, by the database's clock.
    lease_until = models.DateTimeField()
    #: When it ended itself because it was stuck; the row stays for an hour to say so.
    ended_at = models.DateTimeField(null=True, blank=True)
    #: What it was stuck on, in words.
    ended_reason = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        verbose_name_plural = "worker processes"

    def __str__(self) -> str:
        return self.owner


def pack_keys(keys: Iterable[int]) -> str:
    """Runs of sorted keys, e.g. `12-19,40`: 500 keys in a row take a dozen characters."""
    runs: list[list[int]] = []
    for key in sorted(keys):
        if runs and key == runs[-1][1] + 1:
            runs[-1][1] = key
        else:
            runs.append([key, key])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def unpack_keys(packed: str) -> list[int]:
    """The reverse of `pack_keys`."""
    keys: list[int] = []
    for run in packed.split(",") if packed else ():
        first, _, last = run.partition("-")
        keys.extend(range(int(first), int(last or first) + 1))
    return keys
