"""Implements `Idempotency-Key`: a repeated request has one effect and gets the stored response.

The transaction of the work writes the key's row first. It stores the response in the row, sealed,
and commits both together. A response that must not be stored is an exception: it rolls back the row
with everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

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

    @property
    def scope(self) -> tuple[str, str, str, str]:
        """What is unique in the table of keys."""
        return self.principal, self.method, self.route, self.key

    @property
    def lock(self) -> int:
        """The advisory lock that every writer of the key takes first, as a signed 64-bit number."""
        return int.from_bytes(sha256("\n".join(self.scope).encode()).digest()[:8], signed=True)


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
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [claim.lock])
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


class DuplicateInGroup(OperationalError):
    """A key of a group was stored by another transaction meanwhile: nothing of the group stands."""


class GroupClaims:
    """The keys of a group of requests, in the transaction that accepts the group.

    No group waits for a key: a request whose key is in use, stored already, or another request's of
    the same group is refused here, and waits for its key alone.
    """

    def __init__(self, claims: Mapping[int, IdempotentRequest | None], *, now: datetime) -> None:
        #: The places of the requests that must leave the group.
        self.refused: set[int] = set()
        self._now = now
        self._held: dict[int, IdempotentRequest] = {}
        scopes: set[tuple[str, str, str, str]] = set()
        for place, claim in claims.items():
            if claim is None:
                continue
            if claim.scope in scopes:
                self.refused.add(place)
            else:
                scopes.add(claim.scope)
                self._held[place] = claim
        if self._held:
            self._refuse_locked()
        if self._held:
            self._refuse_stored()

    def store(self, bodies: Mapping[int, bytes], *, status: int, content_type: str) -> None:
        """Stores the responses of the requests that have a key.

        Raises:
            DuplicateInGroup: another transaction stored one of the keys.
        """
        rows = [
            (
                *claim.scope,
                claim.body_hash,
                {"type": content_type, "body": bodies[place].decode()},
            )
            for place, claim in self._held.items()
        ]
        if rows and IdempotencyKey.objects.store_many(rows, status=status, at=self._now) < len(
            rows
        ):
            raise DuplicateInGroup("an Idempotency-Key was stored by another transaction")

    def _refuse_locked(self) -> None:
        """SQLite has one writer at a time, and needs no lock."""
        if connection.vendor != "postgresql":
            return
        places = list(self._held)
        locks = [self._held[place].lock for place in places]
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_try_advisory_xact_lock(lock)"
                " FROM unnest(%s::bigint[]) WITH ORDINALITY AS v(lock, place) ORDER BY place",
                [locks],
            )
            taken = [row[0] for row in cursor.fetchall()]
        self._refuse(place for place, free in zip(places, taken, strict=True) if not free)

    def _refuse_stored(self) -> None:
        stored = IdempotencyKey.objects.stored(claim.scope for claim in self._held.values())
        self._refuse(place for place, claim in self._held.items() if claim.scope in stored)

    def _refuse(self, places: Iterable[int]) -> None:
        for place in list(places):
            self.refused.add(place)
            del self._held[place]
