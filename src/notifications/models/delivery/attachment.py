"""Attachments of mails: one row for each file of a request, however many recipients it has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
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
from vault.cells import Key, KeyErased
from vault.models import DataKey
from vault.store import erase_keys

RECHECK_AFTER = timedelta(days=1)


class AttachmentManager(models.Manager["StoredAttachment"]):
    """Stores the files of a request once, and deletes them when no message can need them."""

    def store(
        self,
        files: Iterable[Attachment],
        *,
        keys: Sequence[int],
        due_at: datetime,
        data_key: Key,
    ) -> list[int]:
        """Stores files for the notifications with these keys; returns the files' ids, in order.

        data_key: seals the files: that of their only person or address, else a key of their own.
        """
        rows = [
            StoredAttachment(
                about=seal_json(
                    {"filename": file.filename, "content_type": file.content_type}, data_key
                ),
                content=seal(file.content, data_key),
                key_id=data_key.id,
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
        self._erase_own_keys(unneeded)
        self.filter(pk__in=unneeded).delete()
        return len(needed), len(unneeded)

    def _erase_own_keys(self, ids: Sequence[int]) -> None:
        """Erases the keys of files that are about to be deleted, so that backups lose them too."""
        keys = self.filter(pk__in=ids, key_id__isnull=False).values_list("key_id", flat=True)
        own = DataKey.objects.filter(pk__in=list(keys.distinct()), kind=DataKey.Kind.FILE)
        if found := list(own.values_list("pk", flat=True)):
            erase_keys(found)


class StoredAttachment(models.Model):
    """One file. Its notifications have keys from first_key to last_key."""

    #: Name and type, sealed.
    about = models.BinaryField()
    #: Sealed.
    content = models.BinaryField()
    first_key = models.BigIntegerField()
    last_key = models.BigIntegerField()
    keep_until = models.DateTimeField(db_index=True)
    #: The data key that seals the file: of its only person or address, else a key of its own.
    key_id = models.BigIntegerField(null=True)

    objects: ClassVar[AttachmentManager] = AttachmentManager()

    class Meta:
        indexes = [
            models.Index(
                fields=["key_id", "id"], condition=Q(key_id__isnull=False), name="attachment_key"
            )
        ]

    def __str__(self) -> str:
        return f"attachment {self.pk}"

    @property
    def is_shared(self) -> bool:
        """Whether several notifications have the file."""
        return self.first_key < self.last_key


_CACHE_BYTES = 32_000_000
file_cache: ByteCache[int, Attachment] = ByteCache(
    _CACHE_BYTES, lambda file: 100 + len(file.content)
)
"""Files of bulk calls that were read recently: thousands of mails read a file once. Files never
change. A file of one person is not in it, so that an erasure has no process to inform."""


def _read(key: int) -> Attachment | None:
    """Returns a file; None where it was deleted, or its key erased."""
    row = StoredAttachment.objects.filter(pk=key).first()
    if row is None:
        return None
    try:
        about, content = unseal_json(row.about), unseal(row.content)
    except KeyErased:
        return None
    name, content_type = str(about["filename"]), str(about["content_type"])
    return Attachment(name, content_type, content, row.is_shared)


def _file(key: int) -> Attachment | None:
    file = file_cache.find(key)
    if file is None:
        file = _read(key)
        if file is not None and file.shared:
            file_cache.put(key, file)
    return file


def attachments_of(keys: Iterable[int]) -> tuple[Attachment, ...] | None:
    """Returns files by their ids, in order; None when one of them was deleted."""
    found = [_file(key) for key in keys]
    files = tuple(file for file in found if file is not None)
    return files if len(files) == len(found) else None
