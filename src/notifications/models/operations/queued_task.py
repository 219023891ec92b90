"""Tasks that wait in the database, for installations without a broker."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import ClassVar

from django.db import models, transaction
from django.db.models import Expression, Q, QuerySet

from notifications.infra.database.time import database_time
from notifications.models.fields import SealedJSONField, one_more

ERROR_LENGTH = 200


class QueuedTaskManager(models.Manager["QueuedTask"]):
    """Claims tasks: one process at a time runs a task; another runs it again if that one dies."""

    def claim(self, *, owner: str, claim_s: float, task_id: str | None = None) -> QueuedTask | None:
        """Claims the task that has been due longest, or the task with `task_id`, due or not.

        Returns None where no such task is free. The claim itself counts as an attempt, so that a
        task that kills its process is not attempted forever.
        """
        now = database_time()
        rows = self.waiting(now) if task_id is None else self._free(now).filter(task_id=task_id)
        if not rows.exists():  # mostly there is none: spare the transaction
            return None
        with transaction.atomic():
            locked = rows.select_for_update(skip_locked=True)
            key = locked.order_by("due_at", "id").values_list("pk", flat=True).first()
            if key is None:
                return None
            self.filter(pk=key).update(
                claimed_by=owner,
                claim_until=database_time(later_s=claim_s),
                attempts=one_more("attempts"),
            )
            return self.get(pk=key)

    def waiting(self, now: datetime | Expression) -> QuerySet[QueuedTask]:
        """Returns the tasks that are due and free."""
        return self._free(now).filter(due_at__lte=now)

    def _free(self, now: datetime | Expression) -> QuerySet[QueuedTask]:
        free = Q(claim_until=None) | Q(claim_until__lte=now)
        return self.filter(free, state=QueuedTask.State.WAITING)

    def oldest_waiting_s(self) -> float:
        """Returns for how many seconds the oldest due task has waited; 0.0 where none waits."""
        columns = (
            self.waiting(database_time()).annotate(now=database_time()).order_by("due_at", "id")
        )
        found = columns.values_list("now", "due_at").first()
        return (found[0] - found[1]).total_seconds() if found else 0.0

    def failed_within(self, seconds: float) -> QuerySet[QueuedTask]:
        """Returns tasks that failed for good within `seconds`, the latest first."""
        ended = self.filter(ended_at__gt=database_time(later_s=-seconds))
        return ended.filter(state=QueuedTask.State.FAILED).order_by("-ended_at")

    def renew(self, keys: Collection[int], *, owner: str, claim_s: float) -> None:
        """Renews the claims of these tasks."""
        mine = self.filter(pk__in=keys, claimed_by=owner, state=QueuedTask.State.WAITING)
        mine.update(claim_until=database_time(later_s=claim_s))

    def release_all(self, owner: str) -> None:
        """Releases the tasks of a process that is known to have ended."""
        mine = self.filter(claimed_by=owner, state=QueuedTask.State.WAITING)
        mine.update(claim_until=None)


class QueuedTask(models.Model):
    """One call of a task."""

    class State(models.TextChoices):
        """How far a task has come."""

        #: It is to be run, or runs now.
        WAITING = "waiting"
        DONE = "done"
        #: Its last attempt failed.
        FAILED = "failed"
        EXPIRED = "expired"

    task_id = models.CharField(max_length=155, unique=True)
    name = models.CharField(max_length=200)
    #: [positional arguments, named arguments] as Celery's JSON.
    call = SealedJSONField()
    due_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    attempts = models.SmallIntegerField(default=0)
    claimed_by = models.CharField(max_length=80, blank=True, default="")
    #: Until then its process is sure to run it alone.
    claim_until = models.DateTimeField(null=True)
    result = SealedJSONField(null=True)
    last_error = models.CharField(max_length=ERROR_LENGTH, blank=True, default="")
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    objects: ClassVar[QueuedTaskManager] = QueuedTaskManager()

    class Meta:
        indexes = [
            models.Index(
                fields=["due_at", "id"], condition=Q(state="waiting"), name="queued_task_next"
            ),
            models.Index(
                fields=["ended_at"], condition=Q(ended_at__isnull=False), name="queued_task_ended"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.task_id}"
