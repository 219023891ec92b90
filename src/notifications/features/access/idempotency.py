"""The promise behind `Idempotency-Key`: the same request has its effect once and one answer.

The key's row is the first thing that the transaction of the work writes. What was answered is
stored in it, sealed, and committed with the work; an answer that is not to be kept is an exception,
which takes the row away with everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import OperationalError, connection, transaction

from notifications.domain.errors import Conflict
from notifications.infra.conf import environment
from notifications.infra.database.errors import sqlstate
from notifications.models import IdempotencyKey

TWIN_WAIT_MS = 5_000
RETRY_AFTER_S = 1
_LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL: lock_timeout ran out


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one key stands for: a principal's call of a method and route, with one body."""

    principal: str
    method: str
    route: str
    key: str
    body_hash: str


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """An HTTP answer, and the body that a repetition is answered with where it is another."""

    status: int
    content_type: str
    body: bytes
    kept: bytes | None = None


def answer_once(
    claim: Claim, *, now: datetime, work: Callable[[], StoredResponse]
) -> tuple[StoredResponse, bool]:
    """The answer of `work`, or the stored one; and whether it was replayed.

    `work` runs inside the transaction. What it raises is not kept, and undoes what it wrote.

    Raises:
        Conflict: idempotency_in_progress when a twin is still at work after 5 s;
            idempotency_mismatch when the key was used with another body.
    """
    claimed = False
    try:
        with transaction.atomic():
            row = _claim(claim, now)
            claimed = True
            if isinstance(row, IdempotencyKey):
                return _replay(row, claim), True
            answer = work()
            body = answer.body if answer.kept is None else answer.kept
            kept = {"type": answer.content_type, "body": body.decode()}
            IdempotencyKey.objects.keep(row, status=answer.status, answer=kept)
            return answer, False
    except OperationalError as error:
        if claimed or not _is_lock_timeout(error):
            raise
        raise Conflict(
            "a request with this Idempotency-Key is still being worked on: repeat it in a second",
            code="idempotency_in_progress",
            retry_after=RETRY_AFTER_S,
        ) from error


def _oldest(now: datetime) -> datetime:
    return now - timedelta(hours=environment().idempotency_hours)


def _claim(claim: Claim, now: datetime) -> int | IdempotencyKey:
    """The id of a new row for the key, or the row of an answer that can be replayed.

    A twin's uncommitted row holds the insert up; committed rows always have an answer.
    """
    scope = {
        "principal": claim.principal,
        "method": claim.method,
        "route": claim.route,
        "key": claim.key,
    }
    _limit_lock_wait(TWIN_WAIT_MS)
    found: int | IdempotencyKey | None = None
    while found is None:
        rows = IdempotencyKey.objects
        found = rows.claim(scope=list(scope.values()), body_hash=claim.body_hash, at=now)
        found = found or rows.filter(**scope).first()
        if isinstance(found, IdempotencyKey) and found.created_at <= _oldest(now):
            rows.filter(pk=found.pk, created_at=found.created_at).delete()
            found = None
    _limit_lock_wait(None)
    return found


def _limit_lock_wait(milliseconds: int | None) -> None:
    """PostgreSQL: how long the next statements of this transaction wait for a lock; None: as usual.

    On SQLite writers queue before their transaction begins, and each takes milliseconds.
    """
    if connection.vendor == "postgresql":
        # Not DEFAULT: behind a pooler the session's own is in the transaction only.
        usual = environment().database_lock_seconds * 1000
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = {int(milliseconds or usual)}")


def _is_lock_timeout(error: OperationalError) -> bool:
    return sqlstate(error) == _LOCK_NOT_AVAILABLE


def _replay(row: IdempotencyKey, claim: Claim) -> StoredResponse:
    if row.body_hash != claim.body_hash:
        raise Conflict(
            "this Idempotency-Key was used with another body: take a new key for a new request",
            code="idempotency_mismatch",
        )
    return StoredResponse(row.status_code or 0, row.answer["type"], row.answer["body"].encode())
