"""Tasks that wait in the database, because there is no broker to take them."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from django.db import models, transaction
from django.db.models import Q, QuerySet

from notifications.infra.database.time import database_time
from notifications.models.fields import SealedJSONField, one_more

ERROR_LENGTH = 200


class QueuedTaskManager(models.Manager["QueuedTask"]):
    """Claims tasks: each is run by one process at a time, and again when that one dies."""

    def claim(self, *, owner: str, hold_s: float, task_id: str | None = None) -> QueuedTask | None:
        """Takes the task that is due longest, or the given one due or not; None when none is free.

        The claim counts as a try from the start, so that a task that kills its process is not tried
        for ever.
        """
        free = Q(claim_until=None) | Q(claim_until__lte=database_time())
        rows = self.filter(free, state=QueuedTask.State.WAITING)
        if task_id is None:
            rows = rows.filter(due_at__lte=database_time())
        else:
            rows = rows.filter(task_id=task_id)
        if not rows.exists():  # asked often, and mostly in vain: no transaction for that
            return None
        with transaction.atomic():
            locked = rows.select_for_update(skip_locked=True)
            key = locked.order_by("due_at", "id").values_list("pk", flat=True).first()
            if key is None:
                return None
            self.filter(pk=key).update(
                claimed_by=owner,
                claim_until=database_time(later_s=hold_s),
                attempts=one_more("attempts"),
            )
            return self.get(pk=key)

    def oldest_waiting_s(self) -> float:
        """Seconds since the task was due that is due longest and that nobody runs; 0 for none."""
        free = Q(claim_until=None) | Q(claim_until__lte=database_time())
        rows = self.filter(free, state=QueuedTask.State.WAITING, due_at__lte=database_time())
        columns = rows.annotate(now=database_time()).order_by("due_at", "id")
        found = columns.values_list("now", "due_at").first()
        return (found[0] - found[1]).total_seconds() if found else 0.0

    def failed_within(self, seconds: float) -> QuerySet[QueuedTask]:
        """Tasks that were set aside lately, the latest first."""
        ended = self.filter(ended_at__gt=database_time(later_s=-seconds))
        return ended.filter(state=QueuedTask.State.FAILED).order_by("-ended_at")

    def renew(self, keys: Collection[int], *, owner: str, hold_s: float) -> None:
        """Holds tasks for longer."""
        mine = self.filter(pk__in=keys, claimed_by=owner, state=QueuedTask.State.WAITING)
        mine.update(claim_until=database_time(later_s=hold_s))

    def release_all(self, owner: str) -> None:
        """Lets the tasks of a process go that is known to have ended."""
        mine = self.filter(claimed_by=owner, state=QueuedTask.State.WAITING)
        mine.update(claim_until=None)


class QueuedTask(models.Model):
    """One call of a task. call: [positional arguments, named arguments] as Celery's JSON; sealed,
    as its result is. claim_until: until when its process surely runs it."""

    class State(models.TextChoices):
        """waiting: to be run, or run right now. failed: tried in vain, and set aside."""

        WAITING = "waiting"
        DONE = "done"
        FAILED = "failed"
        EXPIRED = "expired"

    task_id = models.CharField(max_length=155, unique=True)
    name = models.CharField(max_length=200)
    call = SealedJSONField()
    due_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    attempts = models.SmallIntegerField(default=0)
    claimed_by = models.CharField(max_length=80, blank=True, default="")
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
