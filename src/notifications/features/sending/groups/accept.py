"""Accepts many requests in one transaction, and each request alone where that cannot be.

Each request is validated alone, and only what every request needs is read for all of them at once.
A request that cannot be accepted as simply as this leaves the group: its response is None, nothing
of it is written, and the caller serves it alone by the ordinary route. So each refusal, each stored
refusal and each rarer case has one implementation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

import msgspec
import structlog
from django.db import transaction

from notifications.domain.callers import Caller
from notifications.features.access.idempotency import GroupClaims, IdempotentRequest
from notifications.infra.database.commits import CommitAborted, CommitUncertain

log = structlog.get_logger("carillon.web")
T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 -- an item
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class GroupRequest:
    """One request of a group."""

    caller: Caller
    body: Mapping[str, Any]
    request_id: str
    #: What its Idempotency-Key stands for, where it has one.
    claim: IdempotentRequest | None = None


@dataclass(frozen=True, slots=True)
class GroupAnswer:
    """A request that was accepted, once its transaction has committed."""

    #: What it made, as `CommitUncertain` names it.
    made: Mapping[str, str]
    #: The response in JSON.
    body: bytes


@dataclass(slots=True)
class GroupResult:
    """What became of a group."""

    #: By the place of the request; None: it is to be served alone.
    answers: list[GroupAnswer | None]
    is_committed: bool = False
    #: The COMMIT was sent and got no response: nothing is to be repeated.
    lost: CommitAborted | CommitUncertain | None = None

    def commit(self) -> None:
        """Notes that the transaction has committed."""
        self.is_committed = True


class GroupWork(Protocol, Generic[I]):
    """One kind of requests that are accepted in groups."""

    status: int
    """The status of the responses."""

    def prepare(self, requests: Sequence[GroupRequest], *, now: datetime) -> dict[int, I]:
        """Returns the requests that can be accepted, by their place. Outside of a transaction."""

    def write(self, items: Sequence[I], *, now: datetime) -> list[tuple[dict[str, str], Any]]:
        """Writes the items in the caller's transaction; returns what each made, and its response.

        All of them or none.
        """


def accept_group(
    requests: Sequence[GroupRequest], work: GroupWork[Any], *, now: datetime, content_type: str
) -> GroupResult:
    """Accepts the requests that can be accepted together; None stands for each of the others.

    An exception before the COMMIT was sent, or an error that the database returned to it, leaves
    nothing written: all requests are to be served alone. Where the response to the COMMIT was lost,
    nothing is repeated, whatever became of it.

    Args:
        content_type: of the responses, which are stored with idempotency keys.
    """
    result = GroupResult([None] * len(requests))
    try:
        _accept(requests, work, result, now=now, content_type=content_type)
    except (CommitAborted, CommitUncertain) as error:
        result.lost = error
    except Exception as error:
        if not result.is_committed:
            log.warning("group.failed", requests=len(requests), error=type(error).__name__)
            return GroupResult([None] * len(requests))
        log.exception("group.after-commit")  # nothing that comes after a commit undoes it
    return result


def _accept(
    requests: Sequence[GroupRequest],
    work: GroupWork[Any],
    result: GroupResult,
    *,
    now: datetime,
    content_type: str,
) -> None:
    items = work.prepare(requests, now=now)
    if not items:
        return
    with transaction.atomic():
        transaction.on_commit(result.commit)  # the first hook: whatever the others do, it stands
        claims = GroupClaims({at: requests[at].claim for at in items}, now=now)
        items = {at: item for at, item in items.items() if at not in claims.refused}
        if not items:
            return
        written = work.write(list(items.values()), now=now)
        for at, (made, response) in zip(items, written, strict=True):
            result.answers[at] = GroupAnswer(made, _encode(response))
        bodies = {at: each.body for at, each in enumerate(result.answers) if each is not None}
        claims.store(bodies, status=work.status, content_type=content_type)


def each_alone(requests: Iterable[tuple[int, T]], work: Callable[[T], I | None]) -> dict[int, I]:
    """Returns the results of `work` by place, without those on which it fails.

    Whatever the error is, it is that request's alone. The request is served alone, where the same
    error is answered and logged.
    """
    found = {}
    for at, request in requests:
        try:
            result = work(request)
        except Exception as error:
            log.debug("group.left", error=type(error).__name__)
            continue
        if result is not None:
            found[at] = result
    return found
