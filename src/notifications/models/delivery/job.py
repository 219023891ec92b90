"""A job: one bulk request and the result for its recipients."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection, models, transaction
from django.db.models import Q

from notifications.models.delivery.hot import hot
from notifications.models.fields import EMPTIED, SealedJSONField
from notifications.models.keys import reserve_keys
from vault.cells import Key, KeyErased
from vault.models import DataKey
from vault.store import create_keys, draw_keys, erase_keys, load_data_keys


class JobManager(models.Manager["Job"]):
    """Stores jobs, and the data keys of their shared contexts."""

    def insert(self, jobs: Sequence[Job]) -> None:
        """Inserts new jobs that have their primary keys, by one statement.

        It reads no response, so that it can travel with the statements that follow it.
        """
        keys = [job._key_row for job in jobs if job._key_row is not None]
        for rows in (keys, jobs):
            if rows:
                _insert(rows)

    def give_keys(self, jobs: Iterable[Job]) -> None:
        """Creates the data keys of new jobs with a context.

        Called before the transaction that writes the jobs: a key store of its own commits the keys
        at once. Keys in the main database are written together with the jobs.
        """
        lacking = [job for job in jobs if job._state.adding and job.context and job.key_id is None]
        if not lacking:
            return
        if settings.KEYS_ALIAS == DEFAULT_DB_ALIAS:
            keys, rows = draw_keys(len(lacking), DataKey.Kind.JOB)
            for job, row in zip(lacking, rows, strict=True):
                job._key_row = row
        else:
            keys = create_keys(len(lacking), DataKey.Kind.JOB)
        for job, key in zip(lacking, keys, strict=True):
            job.key_id, job._data_key = key.id, key

    def erase_keys(self, ids: Iterable[int]) -> None:
        """Erases the data keys of jobs, so that backups lose the contexts, too."""
        keys = self.filter(pk__in=list(ids)).values_list("key_id", flat=True)
        if found := [key for key in keys if key is not None]:
            erase_keys(found)


def _insert(rows: Sequence[models.Model]) -> None:
    """Inserts rows of one model by one statement."""
    columns = rows[0]._meta.concrete_fields
    values = [
        [each.get_db_prep_save(each.pre_save(row, True), connection) for each in columns]
        for row in rows
    ]
    hot().insert_rows(rows[0]._meta.db_table, [each.column or "" for each in columns], values)
    for row in rows:
        row._state.adding = False


class Job(models.Model):
    """One accepted bulk request. Its messages lie between two keys, so counting needs no index."""

    #: From the same counter as those of messages: it is known before the row is written.
    id = models.BigAutoField(primary_key=True)
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    kind = models.CharField(max_length=20, default="bulk")
    source = models.CharField(max_length=60)
    actor = models.CharField(max_length=60, db_default="", default="")
    """Who made the request: all users are one source, so `source` does not say it."""
    context = SealedJSONField(null=True)  # shared by all recipients
    #: The data key that seals `context`; none without a context. Until 1.0 the service's own did.
    key_id = models.BigIntegerField(null=True, editable=False)
    total = models.IntegerField()
    accepted = models.IntegerField()
    rejected = models.JSONField(default=list)
    first_key = models.BigIntegerField(null=True)
    last_key = models.BigIntegerField(null=True)
    created_at = models.DateTimeField()

    objects: ClassVar[JobManager] = JobManager()
    #: The key that was just created. `cell_key` takes it, so that it does not outlive the request.
    _data_key: Key | None = None
    #: The row of that key, where it is written together with the job.
    _key_row: DataKey | None = None

    class Meta:
        indexes = [
            models.Index(fields=["key_id"], condition=Q(key_id__isnull=False), name="job_key")
        ]

    def __str__(self) -> str:
        return f"job {self.uuid}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Saves the job; a new one with a context gets a data key, where it has none."""
        Job.objects.give_keys([self])
        if self.pk is None:
            (self.pk,) = reserve_keys(1)
            kwargs["force_insert"] = True
        with transaction.atomic():
            if self._key_row is not None and self._key_row._state.adding:
                self._key_row.save(force_insert=True)
            super().save(*args, **kwargs)

    def cell_key(self) -> Key | None:
        """Returns the key that seals the context; None for a job from before keys of jobs.

        Raises:
            KeyErased: the key was erased.
        """
        held, self._data_key = self._data_key, None
        if held is not None or self.key_id is None:
            return held
        key = load_data_keys([self.key_id]).get(self.key_id)
        if key is None:
            raise KeyErased(f"the key of {self} was erased")
        return key

    def is_emptied(self) -> bool:
        """Whether the context was removed, or its key erased: a restored row has one still."""
        if self.key_id is None:
            return Job.objects.filter(pk=self.pk, context=EMPTIED).exists()
        return not load_data_keys([self.key_id])
