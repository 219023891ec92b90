"""Accepts the sends of many requests together: one render message, one transaction.

Each request is validated alone, and only what every request needs is read for all of them at once.
A request that cannot be accepted as simply as this leaves the group: `send_group` returns None for
it, nothing of it is written, and the caller serves it alone by `NotificationService.send`. So each
refusal, each stored refusal and each rarer case has one implementation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import structlog
from django.db import transaction

from directory.references import PersonKey
from notifications.domain.callers import Caller
from notifications.domain.errors import TemplateFault
from notifications.features.access.idempotency import GroupClaims, IdempotentRequest
from notifications.features.sending.bulk import people_of
from notifications.features.sending.intents import (
    accepted_response,
    check_channels,
    check_recipient,
    check_scopes,
    make_intent,
    trial_tasks,
)
from notifications.features.sending.refusal import predict_by
from notifications.features.templates.service import serving_among
from notifications.infra import clock
from notifications.infra.database.commits import CommitUncertain
from notifications.intake.accept import Intent, SendTarget, accept_sends
from notifications.intake.request import SendRequest
from notifications.intake.validate import parse_send
from notifications.models import NotificationTemplate
from notifications.models.delivery.hot_facts import SendFacts, load_for_sends
from notifications.rendering.language.meter import LIMIT
from notifications.rendering.paths import candidates
from notifications.rendering.pool.render_client import Task, render_published
from notifications.rendering.render import UserFacts
from notifications.rendering.versions import refresh_proof, version_of

log = structlog.get_logger("carillon.web")
T = TypeVar("T")
_SLOW_S = 60.0
_MOST_SLOW = 10_000
_slow_until: dict[int, float] = {}
"""Monotonic times until which versions are rendered alone, by version id."""
_FACTS = len(UserFacts._fields)
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class GroupSend:
    """One request of a group."""

    caller: Caller
    body: Mapping[str, Any]
    request_id: str
    #: What its Idempotency-Key stands for, where it has one.
    claim: IdempotentRequest | None = None


@dataclass(frozen=True, slots=True)
class GroupAnswer:
    """A send that was accepted, once its transaction has committed."""

    notification_id: UUID
    #: The JSON of a SendResponse.
    body: bytes


@dataclass(slots=True)
class GroupResult:
    """What became of a group."""

    #: By the place of the send; None: it is to be served alone.
    answers: list[GroupAnswer | None]
    is_committed: bool = False
    #: The database did not say whether the sends with an answer were committed.
    is_uncertain: bool = False

    def commit(self) -> None:
        """Notes that the transaction has committed."""
        self.is_committed = True


@dataclass(slots=True)
class _Item:
    """A send on its way through the group."""

    send: GroupSend
    intent: Intent
    target: SendTarget
    #: The trial render of each channel.
    tasks: list[Task]
    delivery_at: datetime | None = None

    @property
    def user_id(self) -> int:
        """The user that the send is for: a group takes no addresses."""
        assert self.target.user_id is not None
        return self.target.user_id


def send_group(
    sends: Sequence[GroupSend],
    *,
    now: datetime,
    content_type: str,
) -> GroupResult:
    """Accepts the sends that can be accepted together; None stands for each of the others.

    An exception before the COMMIT was sent, or an error that the database returned to it, leaves
    nothing written: all sends are to be served alone.

    Args:
        content_type: of the responses, which are stored with idempotency keys.
    """
    result = GroupResult([None] * len(sends))
    try:
        _accept(sends, result, now=now, content_type=content_type)
    except CommitUncertain:
        result.is_uncertain = True
    except Exception as error:
        if not result.is_committed:
            log.warning("group.failed", sends=len(sends), error=type(error).__name__)
            return GroupResult([None] * len(sends))
        log.exception("group.after-commit")  # nothing that comes after a commit undoes it
    return result


def _accept(
    sends: Sequence[GroupSend], result: GroupResult, *, now: datetime, content_type: str
) -> None:
    found = result.answers
    items = _prepared(sends, now=now)
    if not items:
        return
    with transaction.atomic():
        transaction.on_commit(result.commit)  # the first hook: whatever the others do, it stands
        claims = GroupClaims({at: item.send.claim for at, item in items.items()}, now=now)
        items = {at: item for at, item in items.items() if at not in claims.refused}
        if not items:
            return
        pairs = [(item.intent, item.target) for item in items.values()]
        ids = [UUID(text) for text in accept_sends(pairs, now=now)]
        for (at, item), made in zip(items.items(), ids, strict=True):
            assert item.delivery_at is not None
            response = accepted_response(made, item.intent, delivery_at=item.delivery_at)
            found[at] = GroupAnswer(made, _encode(response))
        bodies = {at: answer.body for at, answer in enumerate(found) if answer is not None}
        claims.store(bodies, status=201, content_type=content_type)


def _prepared(sends: Sequence[GroupSend], *, now: datetime) -> dict[int, _Item]:
    """The sends that can be accepted, by their place; they were validated, rendered and decided."""
    requests = _each(enumerate(sends), lambda send: _parsed(send, now=now))
    if not requests:
        return {}
    people = _keys_of(r.user for r in requests.values() if r.user is not None)
    paths = {p for r in requests.values() for p in candidates(r.terms.template_path)}
    facts = load_for_sends(sorted(paths), sorted(set(people.values())))
    heads = {row.path: row for row in NotificationTemplate.objects.heads_of(facts.templates)}
    items: dict[int, _Item] = {}
    for at, request in requests.items():
        item = _try(lambda: _item(sends[at], request, heads, people, facts, now=now))  # noqa: B023 -- called at once
        if item is not None:
            items[at] = item
    if items:
        _render(items)
    if items:
        _decide(items, facts, now=now)
    return items


def _keys_of(users: Iterable[PersonKey]) -> dict[PersonKey, int]:
    """Returns the ids of users, by the key that names them. An id may be that of no user."""
    named = set(users)
    numbers: dict[PersonKey, int] = {each: each for each in named if isinstance(each, int)}
    others = named - numbers.keys()
    return {**numbers, **(people_of(others) if others else {})}


def _each(pairs: Iterable[tuple[int, T]], work: Callable[[T], Any]) -> dict[int, Any]:
    """The results of `work` by place, without those that it refuses."""
    found = {}
    for at, value in pairs:
        result = _try(lambda: work(value))  # noqa: B023 -- called at once
        if result is not None:
            found[at] = result
    return found


def _try(work: Callable[[], T | None]) -> T | None:
    """The result of `work`; None for a request on which it fails.

    Whatever the error is, it is that request's alone. The request is served alone, where the same
    error is answered and logged.
    """
    try:
        return work()
    except Exception:
        return None


def _parsed(send: GroupSend, *, now: datetime) -> SendRequest | None:
    request = parse_send(send.body, now=now)
    terms = request.terms
    # An address, a file and a bypass each write or read rows that other sends do not.
    if request.user is None or terms.attachments or terms.options.get("bypass_preferences"):
        return None
    check_scopes(terms, send.caller, address=False)
    return request


def _item(
    send: GroupSend,
    request: SendRequest,
    heads: Mapping[str, NotificationTemplate],
    people: Mapping[PersonKey, int],
    facts: SendFacts,
    *,
    now: datetime,
) -> _Item | None:
    assert request.user is not None
    template = serving_among(request.terms.template_path, heads)
    row = facts.users.get(people.get(request.user, 0))
    if template is None or row is None:
        return None
    check_recipient(send.caller, row[0])
    with structlog.contextvars.bound_contextvars(request_id=send.request_id):
        intent = make_intent(request.terms, template, send.caller)
    check_channels(template, request.terms.channels)
    if not _renders_quickly(template.current_version_id):
        return None
    tasks = trial_tasks(intent, template, UserFacts._make(row[:_FACTS]), now=now)
    target = SendTarget(user_id=row[0], channels=request.terms.channels)
    return _Item(send, intent, target, tasks)


def _renders_quickly(version_id: int | None) -> bool:
    """Whether no other request of a group has to wait for this version's texts.

    A version that this release has not proved, or that took more than a render may use within the
    last minute, is rendered for its own request alone.
    """
    if version_id is None or clock.monotonic() < _slow_until.get(version_id, 0.0):
        return False
    return refresh_proof(version_of(version_id))


def _render(items: dict[int, _Item]) -> None:
    """Takes out what cannot be rendered."""
    results = iter(render_published([task for item in items.values() for task in item.tasks]))
    for at, item in list(items.items()):
        faults = [
            each for each in islice(results, len(item.tasks)) if isinstance(each, TemplateFault)
        ]
        if faults:
            del items[at]
        if any(fault.code == LIMIT for fault in faults):
            _mark_slow(item.intent.template_version_id)


def _mark_slow(version_id: int | None) -> None:
    now = clock.monotonic()
    for known in [key for key, until in _slow_until.items() if until <= now]:
        del _slow_until[known]
    if version_id is not None and len(_slow_until) < _MOST_SLOW:
        _slow_until[version_id] = now + _SLOW_S


def _decide(items: dict[int, _Item], facts: SendFacts, *, now: datetime) -> None:
    """Takes out what the user's preferences close on every channel."""
    for at, item in list(items.items()):
        addresses = facts.addresses.get(item.user_id, {})
        seen = predict_by(item.intent, item.target, facts.here, addresses, now=now)
        if seen.reasons:
            del items[at]
        else:
            item.delivery_at = seen.delivery_at
