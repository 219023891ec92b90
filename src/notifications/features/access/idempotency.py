"""Implements `Idempotency-Key`: a repeated request has one effect and gets the stored response.

The transaction of the work writes the key's row first. It stores the response in the row, sealed,
and commits both together. A response that must not be stored is an exception: it rolls back the row
with everything else.
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

DUPLICATE_WAIT_MS = 5_000
RETRY_AFTER_S = 1
_LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL: lock_timeout ran out


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotentRequest:
    """What one key identifies: a principal's call of a method and route, with one body."""

    principal: str
    method: str
    route: str
    key: str
    body_hash: str


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """An HTTP response."""

    status: int
    content_type: str
    body: bytes
    #: The body that a repetition gets, where it differs from `body`.
    replay_body: bytes | None = None


def respond_once(
    claim: IdempotentRequest, *, now: datetime, work: Callable[[], StoredResponse]
) -> tuple[StoredResponse, bool]:
    """Returns the response of `work` or the stored one, and whether it was replayed.

    `work` runs inside the transaction. An exception is not stored, and undoes what `work` wrote.

    Raises:
        Conflict: idempotency_in_progress when a duplicate is still in progress after 5 s;
            idempotency_mismatch when the key was used with another body.
    """
    claimed = False
    try:
        with transaction.atomic():
            row = _claim(claim, now)
            claimed = True
            if isinstance(row, IdempotencyKey):
                return _replay(row, claim), True
            response = work()
            body = response.body if response.replay_body is None else response.replay_body
            stored = {"type": response.content_type, "body": body.decode()}
            IdempotencyKey.objects.store_response(row, status=response.status, response=stored)
            return response, False
    except OperationalError as error:
        if claimed or not _is_lock_timeout(error):
            raise
        raise Conflict(
            "a request with this Idempotency-Key is still in progress: repeat it in a second",
            code="idempotency_in_progress",
            retry_after=RETRY_AFTER_S,
        ) from error


def _oldest(now: datetime) -> datetime:
    return now - timedelta(hours=environment().idempotency_hours)


def _claim(claim: IdempotentRequest, now: datetime) -> int | IdempotencyKey:
    """Returns the id of a new row for the key, or the row of a response to replay.

    The insert waits for the uncommitted row of a duplicate. Committed rows always have a response.
    """
    scope = {
        "principal": claim.principal,
        "method": claim.method,
        "route": claim.route,
        "key": claim.key,
    }
    _limit_lock_wait(DUPLICATE_WAIT_MS)
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
    """Limits how long the next statements of this transaction wait for a lock, on PostgreSQL.

    None restores the usual limit. On SQLite, writers queue before their transaction begins, and
    each takes milliseconds.
    """
    if connection.vendor == "postgresql":
        # Not DEFAULT: behind a pooler, the setting of the session holds in the transaction only.
        usual = environment().database_lock_timeout_seconds * 1000
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = {int(milliseconds or usual)}")


def _is_lock_timeout(error: OperationalError) -> bool:
    return sqlstate(error) == _LOCK_NOT_AVAILABLE


def _replay(row: IdempotencyKey, claim: IdempotentRequest) -> StoredResponse:
    if row.body_hash != claim.body_hash:
        raise Conflict(
            "this Idempotency-Key was used with another body: use a new key for a new request",
            code="idempotency_mismatch",
        )
    return StoredResponse(row.status_code or 0, row.answer["type"], row.answer["body"].encode())
