"""Attachments of mails: one row for each file of a request, however many recipients it has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import ClassVar

from django.db import models
from django.db.models import Exists, OuterRef, Q

from notifications.domain.lifecycle import UNSETTLED
from notifications.domain.messages import Attachment
from notifications.infra.byte_cache import ByteCache
from notifications.infra.conf import environment
from notifications.infra.crypto import seal, seal_json, unseal, unseal_json
from notifications.models.delivery.message import NotificationMessage
from notifications.models.operations.operators import DeadLetter

RECHECK_AFTER = timedelta(days=1)


class AttachmentManager(models.Manager["StoredAttachment"]):
    """Stores the files of a request once, and deletes them when no message can need them."""

    def store(
        self, files: Iterable[Attachment], *, keys: Sequence[int], due_at: datetime
    ) -> list[int]:
        """Stores files for the notifications with these keys; returns the files' ids, in order."""
        rows = [
            StoredAttachment(
                about=seal_json({"filename": file.filename, "content_type": file.content_type}),
                content=seal(file.content),
                first_key=min(keys),
                last_key=max(keys),
                keep_until=due_at + timedelta(days=environment().attachment_retention_days),
            )
            for file in files
        ]
        for row in rows:
            row.save(force_insert=True)
        return [row.pk for row in rows]

    def delete_expired(self, *, now: datetime, limit: int) -> tuple[int, int]:
        """Deletes expired files, unless a message may still be sent with them.

        Such a message waits, is uncertain, or is an open dead letter. Its files are checked again a
        day later. Returns how many files were checked, and how many were deleted.
        """
        of_file = Q(
            notification_id__gte=OuterRef("first_key"), notification_id__lte=OuterRef("last_key")
        )
        waiting = NotificationMessage.objects.filter(of_file, status__in=list(UNSETTLED))
        dead_letters = DeadLetter.objects.filter(of_file, resolved_at=None)
        over = self.filter(keep_until__lt=now).order_by("keep_until")
        rows = over.annotate(needed=Exists(waiting) | Exists(dead_letters))
        found = rows.select_for_update(skip_locked=True).values_list("pk", "needed")[:limit]
        needed: dict[int, bool] = dict(found)
        self.filter(pk__in=[key for key in needed if needed[key]]).update(
            keep_until=now + RECHECK_AFTER
        )
        unneeded = [key for key in needed if not needed[key]]
        self.filter(pk__in=unneeded).delete()
        return len(needed), len(unneeded)


class StoredAttachment(models.Model):
    """One file. Its notifications have keys from first_key to last_key."""

    #: Name and type, sealed.
    about = models.BinaryField()
    #: Sealed.
    content = models.BinaryField()
    first_key = models.BigIntegerField()
    last_key = models.BigIntegerField()
    keep_until = models.DateTimeField(db_index=True)

    objects: ClassVar[AttachmentManager] = AttachmentManager()

    def __str__(self) -> str:
        return f"attachment {self.pk}"


_CACHE_BYTES = 32_000_000
file_cache: ByteCache[int, Attachment | None] = ByteCache(
    _CACHE_BYTES, lambda file: 100 + (len(file.content) if file else 0)
)
"""Files that were read recently: a bulk of thousands reads its file once. Files never change."""


def _read(key: int) -> Attachment | None:
    row = StoredAttachment.objects.filter(pk=key).first()
    if row is None:
        return None
    about = unseal_json(row.about)
    return Attachment(str(about["filename"]), str(about["content_type"]), unseal(row.content))


def attachments_of(keys: Iterable[int]) -> tuple[Attachment, ...] | None:
    """Returns files by their ids, in order; None when one of them was deleted."""
    found = [file_cache.get(key, partial(_read, key)) for key in keys]
    files = tuple(file for file in found if file is not None)
    return files if len(files) == len(found) else None
