"""Celery's tasks without a broker: `.delay()` writes a row, and a worker process runs it.

The row is written in the caller's transaction. A task runs at least once: again when its process
died, and again after 10 and 60 seconds when it raised. After three failed attempts it has failed.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import structlog
from celery import Celery, Task, current_app, states
from celery.exceptions import NotRegistered, TimeoutError
from django.db.models import Expression, QuerySet
from kombu.exceptions import EncodeError
from kombu.utils.json import dumps, loads

from notifications.infra import clock, ports
from notifications.infra.database.time import database_time
from notifications.infra.process import identity as processes
from notifications.infra.process import wakeups
from notifications.models import QueuedTask
from notifications.models.operations.queued_task import ERROR_LENGTH

log = structlog.get_logger("carillon.tasks")
MAX_ATTEMPTS = 3
RETRY_AFTER_S = (10, 60)
LONGEST_S = 600.0
CLAIM_S = 15.0
_MOST_CHARACTERS = 1_000_000
_POLL_S = 0.05
_LONGEST_ID, _LONGEST_NAME = 155, 200
_LINKED = ("link", "link_error", "chain", "chord", "group_id")
_State = QueuedTask.State
_STATES = {
    _State.WAITING: states.PENDING,
    _State.DONE: states.SUCCESS,
    _State.FAILED: states.FAILURE,
    _State.EXPIRED: states.REVOKED,
}


class TaskFailed(Exception):
    """A queued task has failed; the text is the kind of its last error."""


class QueuedResult:
    """What `.delay()` returns without a broker: the part of Celery's AsyncResult that a row has."""

    def __init__(self, task_id: str) -> None:
        self.id = self.task_id = task_id

    def __str__(self) -> str:
        return self.id

    @property
    def state(self) -> str:
        """PENDING, STARTED, SUCCESS, FAILURE, or REVOKED where it expired before it ran."""
        row = self._row()
        if row is None:
            return states.PENDING
        running = row.state == _State.WAITING and row.claim_until and row.attempts
        return states.STARTED if running else str(_STATES[_State(row.state)])

    status = state

    def ready(self) -> bool:
        """Returns whether the task has ended, successfully or not."""
        return self.state in states.READY_STATES

    def successful(self) -> bool:
        """Returns whether the task has ended successfully."""
        return self.state == states.SUCCESS

    def failed(self) -> bool:
        """Returns whether the task has failed at its last attempt."""
        return self.state == states.FAILURE

    @property
    def result(self) -> Any:
        """The task's return value; TaskFailed if it failed; None before its end."""
        row = self._row()
        if row is None or row.state == _State.WAITING:
            return None
        return loads(row.result) if row.state == _State.DONE else TaskFailed(row.last_error)

    def get(self, timeout: float | None = None, propagate: bool = True, **_celerys: Any) -> Any:
        """Waits for the end; runs the task here if no process has begun it.

        Raises:
            Exception: what the task raised; TaskFailed if another process ran it.
            celery.exceptions.TimeoutError: it has not ended after `timeout` seconds.
        """
        began = clock.monotonic()
        row = QueuedTask.objects.claim(
            owner=processes.own_name("caller"), claim_s=LONGEST_S, task_id=self.id
        )
        if row is not None:
            run(row, last=True, throw=propagate)
        while not self.ready():
            if timeout is not None and clock.monotonic() - began >= timeout:
                raise TimeoutError(f"the task {self.id} has not ended yet")
            ports.sleep(_POLL_S)
        result = self.result
        if propagate and isinstance(result, TaskFailed):
            raise result
        return result

    def forget(self) -> None:
        """Deletes the row of a task that has ended."""
        QueuedTask.objects.filter(task_id=self.id).exclude(state=_State.WAITING).delete()

    def _row(self) -> QueuedTask | None:
        return QueuedTask.objects.filter(task_id=self.id).first()


def enqueue(
    app: Celery,
    name: str,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    task_id: str | None = None,
    countdown: float | None = None,
    eta: datetime | str | None = None,
    expires: float | datetime | str | None = None,
    **options: Any,
) -> QueuedResult:
    """Writes a call of a task to the database, in the caller's transaction.

    Options for routing and serialization concern a broker only, and are ignored.

    Raises:
        celery.exceptions.NotRegistered: no task has this name.
        ValueError: the task has followers, or its arguments are too long.
        kombu.exceptions.EncodeError: the arguments cannot be JSON.
    """
    app.loader.import_default_modules()
    if name not in app.tasks:
        raise NotRegistered(name)
    followers = [word for word in _LINKED if options.get(word)]
    if followers:
        raise ValueError(
            f"without a broker a task cannot have {', '.join(followers)}: set CARILLON_REDIS_URL"
        )
    call = _encode([list(args or ()), dict(kwargs or {})])
    if len(call) > _MOST_CHARACTERS:
        raise ValueError(f"the arguments have more than {_MOST_CHARACTERS:,} characters")
    row = QueuedTask.objects.create(
        task_id=task_id or str(uuid4()),
        name=name,
        call=call,
        due_at=_moment(countdown or 0 if eta is None else eta),
        expires_at=None if expires is None else _moment(expires),
        created_at=database_time(),
    )
    if eta is None and not countdown:
        wakeups.wake([wakeups.TASKS])
    return QueuedResult(row.task_id)


def _moment(given: float | datetime | str) -> datetime | Expression:
    """Converts a time as Celery accepts it: a datetime, its ISO text, or seconds from now."""
    if isinstance(given, str):
        given = datetime.fromisoformat(given)
    if isinstance(given, datetime):
        return given if given.tzinfo else given.replace(tzinfo=UTC)
    return database_time(later_s=given)


def run(row: QueuedTask, *, last: bool = False, throw: bool = False) -> None:
    """Runs a task that this process has claimed, and stores its result.

    last: do not retry. throw: raise what the task raised, after it was stored.
    """
    if (
        row.expires_at is not None
        and _own_row(row).filter(expires_at__lte=database_time()).exists()
    ):
        _finish(row, _State.EXPIRED)
        return
    if row.attempts > MAX_ATTEMPTS:
        log.error("task.failed", task=row.name, task_id=row.task_id, error="process died")
        _finish(row, _State.FAILED, error="its process died each time")
        return
    task = _find_task(row.name)
    if task is None:
        _finish(row, _State.FAILED, error="no task of this version has this name")
        return
    try:
        args, kwargs = loads(row.call)
        result = task.apply(args, kwargs, task_id=row.task_id, retries=row.attempts - 1, throw=True)
    except Exception as error:
        _record_failure(row, error, last=last)
        if throw:
            raise
        return
    _finish(row, _State.DONE, result=_as_json(result.result))


def note_failure(name: str, error: BaseException) -> None:
    """Stores the failure of a task that a broker delivered, for the health check.

    There is one row for each task name, with the latest failure, so that frequent failures do not
    fill the table.
    """
    QueuedTask.objects.update_or_create(
        task_id=f"failed:{name}"[:_LONGEST_ID],
        defaults={
            "name": name[:_LONGEST_NAME],
            "call": _encode([[], {}]),
            "due_at": database_time(),
            "created_at": database_time(),
            "ended_at": database_time(),
            "state": _State.FAILED,
            "last_error": type(error).__name__[:ERROR_LENGTH],
        },
    )


def _find_task(name: str) -> Task[..., Any] | None:
    current_app.loader.import_default_modules()
    found: Task[..., Any] | None = current_app.tasks.get(name)
    return found


def _as_json(value: Any) -> str:
    """Returns a task's return value as JSON; null where it cannot be JSON or is too long."""
    try:
        text = _encode(value)
    except EncodeError:
        return "null"
    return text if len(text) <= _MOST_CHARACTERS else "null"


def _encode(value: Any) -> str:
    try:
        return str(dumps(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise EncodeError(f"not JSON: {error}") from error


def _record_failure(row: QueuedTask, error: Exception, *, last: bool) -> None:
    trace_id = secrets.token_hex(8)
    log.error(
        "task.failed",
        task=row.name,
        task_id=row.task_id,
        tries=row.attempts,
        trace_id=trace_id,
        exc_info=error,
    )
    text = f"{type(error).__name__} (trace {trace_id})"
    if last or row.attempts >= MAX_ATTEMPTS:
        _finish(row, _State.FAILED, error=text)
        return
    pause_s = RETRY_AFTER_S[row.attempts - 1]
    _own_row(row).update(due_at=database_time(later_s=pause_s), claim_until=None, last_error=text)


def _finish(row: QueuedTask, state: str, *, result: str | None = None, error: str = "") -> None:
    fields = {"state": state, "claim_until": None, "last_error": error, "result": result}
    if not _own_row(row).update(ended_at=database_time(), **fields):
        log.warning("task.lost", task=row.name, task_id=row.task_id)  # another process runs it


def _own_row(row: QueuedTask) -> QuerySet[QueuedTask]:
    return QueuedTask.objects.filter(
        pk=row.pk, claimed_by=row.claimed_by, attempts=row.attempts, state=_State.WAITING
    )
