"""Exports of what is stored about a person: their state, and their sealed parts."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Q


class ExportState(models.TextChoices):
    """How far an export is."""

    REQUESTED = "requested", "Its parts are being written"
    READY = "ready", "It can be downloaded"


class DataExportManager(models.Manager["DataExport"]):
    """Finds exports that have work left."""

    def due(self, now: datetime) -> models.QuerySet[DataExport]:
        """Returns exports whose next part is due, the oldest first."""
        rows = self.filter(state=ExportState.REQUESTED, next_at__lte=now, expires_at__gt=now)
        return rows.order_by("pk")


class DataExport(models.Model):
    """One export of a person's data. A process writes its parts, and another may continue."""

    State = ExportState

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    user_id = models.BigIntegerField(db_index=True)
    #: Who requested it.
    actor = models.CharField(max_length=60)
    #: Whether the person requested it. Another's export leaves out codes and security messages.
    own = models.BooleanField()
    state = models.CharField(max_length=9, choices=ExportState.choices)
    requested_at = models.DateTimeField()
    ready_at = models.DateTimeField(null=True)
    #: When it is deleted.
    expires_at = models.DateTimeField(db_index=True)
    #: When the next part is due. A step that fails is tried again later.
    next_at = models.DateTimeField()
    #: The section of the next part, by its place, and the last row that was read of it.
    section = models.SmallIntegerField(default=0)
    position = models.CharField(max_length=100, blank=True)
    #: How many parts are written.
    parts = models.IntegerField(default=0)

    objects: ClassVar[DataExportManager] = DataExportManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user_id", "own"],
                condition=Q(state="requested"),
                name="data_export_one_open",
            )
        ]
        indexes = [
            models.Index(
                fields=["next_at"], condition=Q(state="requested"), name="data_export_due"
            ),
        ]

    def __str__(self) -> str:
        return f"export {self.uuid}"


class DataExportPart(models.Model):
    """Some rows of one section of an export."""

    export = models.ForeignKey(DataExport, on_delete=models.CASCADE, related_name="+")
    #: From 0, in the order of the export.
    number = models.IntegerField()
    section = models.CharField(max_length=30)
    #: A JSON list, compressed, sealed under the data key of the person.
    content = models.BinaryField()
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["export", "number"], name="data_export_part_once")
        ]

    def __str__(self) -> str:
        return f"part {self.number} of export {self.export_id}"
