"""Accepts single sends in groups. A send with a rarer part, or an error, is served alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

import structlog

from directory.references import PersonKey
from notifications.domain.errors import TemplateFault
from notifications.features.access.persons import keys_of
from notifications.features.experiments.placing import Placings, load_placings, showing
from notifications.features.sending.groups.accept import GroupRequest, each_alone
from notifications.features.sending.intents import (
    accepted_response,
    check_channels,
    check_recipient,
    check_scopes,
    make_intent,
    trial_tasks,
)
from notifications.features.sending.refusal import predict_by
from notifications.features.sending.schemas import SendResponse
from notifications.features.templates.service import serving_among
from notifications.infra import clock
from notifications.intake.accept import Intent, SendTarget, accept_sends
from notifications.intake.request import SendRequest
from notifications.intake.validate import parse_send
from notifications.models.delivery.hot_facts import SendFacts, load_for_sends
from notifications.rendering.language.meter import LIMIT
from notifications.rendering.paths import candidates
from notifications.rendering.pool.render_client import Task, render_published
from notifications.rendering.render import UserFacts
from notifications.rendering.versions import refresh_proof, version_of

_SLOW_S = 60.0
_MOST_SLOW = 10_000
_slow_until: dict[int, float] = {}
"""Monotonic times until which versions are rendered alone, by version id."""
_FACTS = len(UserFacts._fields)


@dataclass(slots=True)
class _Item:
    """A send on its way through the group."""

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

    def response(self, made: UUID) -> SendResponse:
        """The response to the send, which made this notification."""
        assert self.delivery_at is not None
        return accepted_response(made, self.intent, delivery_at=self.delivery_at)


class SendWork:
    """Accepts single sends: one render message, one set of rows."""

    status = 201

    def prepare(self, requests: Sequence[GroupRequest], *, now: datetime) -> dict[int, _Item]:
        """See GroupWork. The sends were validated, rendered and decided."""
        parsed = each_alone(enumerate(requests), lambda each: _parsed(each, now=now))
        if not parsed:
            return {}
        people = keys_of(each.user for each in parsed.values() if each.user is not None)
        paths = {p for each in parsed.values() for p in candidates(each.terms.template_path)}
        facts = load_for_sends(sorted(paths), sorted(set(people.values())))
        placings = load_placings(facts.templates.values(), sorted(set(people.values())))
        items = each_alone(
            ((at, (requests[at], each)) for at, each in parsed.items()),
            lambda pair: _item(*pair, people, facts, placings, now=now),
        )
        if items:
            _render(items)
        if items:
            _decide(items, facts, now=now)
        return items

    def write(self, items: Sequence[_Item], *, now: datetime) -> list[tuple[dict[str, str], Any]]:
        """See GroupWork."""
        pairs = [(item.intent, item.target) for item in items]
        ids = [UUID(text) for text in accept_sends(pairs, now=now)]
        return [
            ({"notification_id": str(made)}, item.response(made))
            for item, made in zip(items, ids, strict=True)
        ]


_ALONE = ("bypass_preferences", "channel_choice")


def _parsed(send: GroupRequest, *, now: datetime) -> SendRequest | None:
    request = parse_send(send.body, now=now)
    terms = request.terms
    # An address, a file and these options each write or read rows that other sends do not.
    if request.user is None or terms.attachments or any(map(terms.options.get, _ALONE)):
        return None
    check_scopes(terms, send.caller, address=False)
    return request


def _item(
    send: GroupRequest,
    request: SendRequest,
    people: Mapping[PersonKey, int],
    facts: SendFacts,
    placings: Placings,
    *,
    now: datetime,
) -> _Item | None:
    assert request.user is not None
    template = serving_among(request.terms.template_path, facts.templates)
    row = facts.users.get(people.get(request.user, 0))
    if template is None or row is None:
        return None
    check_recipient(send.caller, row[0])
    with structlog.contextvars.bound_contextvars(request_id=send.request_id):
        intent = make_intent(request.terms, template, send.caller)
    terms = request.terms
    check_channels(template, terms.channels)
    assigned = placings.assigned(intent, template.pk, row[0], terms.channels, terms.context)
    intent = showing(intent, assigned)
    if not _renders_quickly(intent.template_version_id):
        return None
    tasks = trial_tasks(intent, template, UserFacts._make(row[:_FACTS]), now=now)
    target = SendTarget(
        user_id=row[0],
        channels=terms.channels,
        data_key=facts.keys[row[0]],
        assigned=assigned,
    )
    return _Item(intent, target, tasks)


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
