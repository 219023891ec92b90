"""One slice of messages, step by step. Read it top to bottom: this is the path of a message.

    lease -> load -> gather facts -> decide -> render -> journal -> hand over -> settle -> record

`prepare` runs the steps before the journal, `journal` names what is about to leave, `settle` turns
a provider's answer into an outcome, `record` (recording) writes it. No database connection is held
while providers are called. See docs/life-of-a-notification.md.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from notifications.conf import environment
from notifications.delivery.registry import provider_class, provider_keys_for
from notifications.delivery.retry import RetryAt, decide_retry
from notifications.domain.channels import CONTACT_KIND_OF_CHANNEL, Channel
from notifications.domain.errors import TemplateFault
from notifications.domain.lifecycle import MessageStatus
from notifications.domain.messages import Content, OutboundMessage, SendResult, Verdict
from notifications.infra import clock, telemetry
from notifications.infra.crypto import seal_json, unseal_json
from notifications.models.hot import hot
from notifications.models.hot_rows import PendingMessage
from notifications.policy.decide import (
    Decision,
    Defer,
    Expire,
    MessageFacts,
    Send,
    Suppress,
    decide,
)
from notifications.policy.facts import SliceFacts, Stops, load_facts
from notifications.queue.leases import Lease
from notifications.recording.outcomes import Outcome, trails
from notifications.recording.record import record
from notifications.rendering.render import UserFacts, text_content, user_context, versions_of
from notifications.shared_rows import CategoryFacts, category_facts, job_context

NOT_STARTED = frozenset({"not_started", "provider_not_opened"})
"""Verdicts of messages that never left: they go back without an attempt burnt."""

NOT_STARTED_DELAY = timedelta(seconds=1)


@dataclass(slots=True)
class Ready:
    """A message that may leave: decided, rendered, routed."""

    lease: Lease
    message: PendingMessage
    outbound: OutboundMessage
    provider: str
    category: CategoryFacts
    template: str = ""


@dataclass(slots=True)
class Slice:
    """Messages of one channel on their way through the steps."""

    channel: str
    lease_of: dict[int, Lease]
    at: datetime
    messages: list[PendingMessage] = field(default_factory=list)
    facts: SliceFacts = field(default_factory=SliceFacts)
    allowed: list[tuple[PendingMessage, str]] = field(default_factory=list)
    ready: list[Ready] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    def settled(self, message: PendingMessage, status: MessageStatus, **more: Any) -> None:
        """Notes the outcome of a message that goes no further in this pass."""
        lease = self.lease_of[message.id]
        more.setdefault("attempts", message.attempts)
        self.outcomes.append(Outcome(lease, message, status, at=self.at, **more))


def prepare(channel: str, lease_of: dict[int, Lease]) -> Slice:
    """The steps up to the journal, for messages of one channel, by the lease that holds each."""
    work = Slice(channel, lease_of, clock.now())
    for step in STEPS:
        with telemetry.stage(channel, step.__name__.strip("_")):
            step(work)
    return work


def _load(work: Slice) -> None:
    loaded = hot().load_pending(list(work.lease_of))
    work.messages = [m for m in loaded if m.batch_id == work.lease_of[m.id].batch_id]
    # What is no longer pending in this batch was cancelled, settled or moved by somebody else.
    found = {message.id for message in work.messages}
    for key, lease in work.lease_of.items():
        if key not in found:
            lease.open_keys.discard(key)
            lease.journal.discard(key)
            lease.stale = True


def _gather_facts(work: Slice) -> None:
    if work.messages:
        work.facts = load_facts(work.messages, work.channel)


def _decide(work: Slice) -> None:
    versions = versions_of({m.template_version_id for m in work.messages if m.template_version_id})
    needs_contact = Channel(work.channel) in CONTACT_KIND_OF_CHANNEL
    for message in work.messages:
        version = versions.get(message.template_version_id or 0)
        stopped = work.facts.stops.covering(
            channel=work.channel,
            provider=route(message),
            category=category_facts(message.category_id).key,
            template=version.path if version else "",
            source=message.source,
        )
        decision = decide(
            MessageFacts(
                now=work.at,
                needs_contact=needs_contact,
                contact=work.facts.contacts.get(message.id),
                user_id=message.user_id,
                user_active=message.user_id not in work.facts.inactive,
                supports_channel=version is None or version.supports(work.channel),
                expires_at=message.expires_at,
                stopped_by=stopped,
                superseded=message.id in work.facts.superseded,
                elder_open=message.id in work.facts.elder_open,
            )
        )
        _follow(work, message, decision)


def _follow(work: Slice, message: PendingMessage, decision: Decision) -> None:
    at = work.at
    if isinstance(decision, Send):
        work.allowed.append((message, decision.recipient))
    elif isinstance(decision, Defer):
        trail = trails((at, "deferred", decision.reason))
        work.settled(message, MessageStatus.PENDING, trail=trail, again_at=decision.until)
    elif isinstance(decision, Suppress):
        trail = trails((at, "suppressed", decision.reason))
        work.settled(message, MessageStatus.SUPPRESSED, trail=trail)
    elif isinstance(decision, Expire):
        trail = trails((at, "expired", decision.reason))
        work.settled(message, MessageStatus.EXPIRED, trail=trail)


def _render(work: Slice) -> None:
    versions = versions_of(
        {m.template_version_id for m, _ in work.allowed if m.template_version_id}
    )
    began = clock.monotonic()
    for message, recipient in work.allowed:
        version = versions.get(message.template_version_id or 0)
        try:
            content = _content(message, work, version)
        except TemplateFault as fault:
            _fail_render(work, message, fault)
            continue
        outbound = _outbound(message, recipient, content)
        lease = work.lease_of[message.id]
        category = category_facts(message.category_id)
        path = version.path if version else ""
        work.ready.append(Ready(lease, message, outbound, route(message), category, path))
    for version_id, version in versions.items():
        telemetry.name_template(version_id, version.path)
        mean = (clock.monotonic() - began) / max(1, len(work.allowed))
        telemetry.RENDERS.labels(version.path).observe(mean)


def _content(message: PendingMessage, work: Slice, version: Any) -> Content:
    if version is None:
        text = unseal_json(message.text)
        return text_content(str(text.get("title", "")), str(text.get("message", "")), {})
    row = work.facts.users.get(message.user_id or 0)
    user = user_context(UserFacts._make(row)) if row else {}
    settings = environment()
    context = {
        **(job_context(message.job_id) if message.job_id else {}),
        **unseal_json(message.context),
        "user": user,
        "current_time": work.at,
        "app_name": settings.app_name,
        "app_url": settings.app_url,
    }
    locale = message.locale or user.get("locale") or settings.locale
    content: Content = version.render(channel=work.channel, locale=locale, context=context)
    return content


def _fail_render(work: Slice, message: PendingMessage, fault: TemplateFault) -> None:
    result = SendResult(Verdict.FAILED, error=fault.detail, error_code=fault.code)
    trail = trails((work.at, "failed", fault.code))
    work.settled(message, MessageStatus.FAILED, trail=trail, result=result, dead_code=fault.code)


def _outbound(message: PendingMessage, recipient: str, content: Content) -> OutboundMessage:
    options = json.loads(message.options) if message.options else {}
    return OutboundMessage(
        message_id=message.id,
        reference=reference_of(message),
        channel=message.channel,
        recipient=recipient,
        content=content,
        priority=message.priority,
        attempt=message.attempts + 1,
        category=category_facts(message.category_id).key,
        template_version_id=message.template_version_id,
        expires_at_s=message.expires_at.timestamp() if message.expires_at else None,
        collapse_key=message.collapse_key or "",
        sender=options.get("sender", ""),
        reply_to=options.get("reply_to", ""),
        is_test=message.is_test,
    )


Step = Callable[[Slice], None]
STEPS: tuple[Step, ...] = (_load, _gather_facts, _decide, _render)


def reference_of(message: PendingMessage) -> str:
    """Our id inside a provider's message: the same on every try, found again without a lookup."""
    return f"{getattr(message.uuid, 'hex', message.uuid)}.{message.channel}"


def route(message: PendingMessage) -> str:
    """The provider that carries a message."""
    keys = provider_keys_for(message.channel)
    if message.is_test and not is_row_channel(keys[0]):
        return "sandbox"
    return keys[0]


def is_row_channel(provider: str) -> bool:
    """Whether a provider's channel is a row of ours, committed with the record."""
    return provider_class(provider).capabilities.row_channel


def journal(ready: Sequence[Ready], *, owner: str, outcomes: Sequence[Outcome] = ()) -> list[Ready]:
    """Names on their batches' rows the messages that are about to leave; returns those that may.

    One transaction that holds the batches' locks: whoever cancels comes before it or is told
    `already_sending`. Status, kill switches and suppressions are read once more inside it. Outcomes
    that wait for their record go into the same transaction.
    """
    going: list[Ready] = []

    def depart(held: set[int]) -> dict[Lease, set[int]]:
        going[:] = _still_allowed([item for item in ready if item.lease.batch_id in held])
        keys: dict[Lease, set[int]] = {}
        for item in going:
            keys.setdefault(item.lease, set()).add(item.message.id)
        return keys

    record(outcomes, owner=owner, leaving=list({item.lease for item in ready}), depart=depart)
    return going


def _still_allowed(ready: Sequence[Ready]) -> list[Ready]:
    if not ready:
        return []
    kind = CONTACT_KIND_OF_CHANNEL.get(Channel(ready[0].message.channel), "")
    now = hot().recheck(
        [item.message.id for item in ready], kind, [item.outbound.recipient for item in ready]
    )
    stops = Stops.of(now.stops)
    return [
        item
        for item in ready
        if item.message.id in now.pending
        and item.outbound.recipient not in now.suppressed
        and not stops.covering(
            channel=item.message.channel,
            provider=item.provider,
            category=item.category.key,
            template=item.template,
            source=item.message.source,
        )
    ]


def settle(item: Ready, result: SendResult, *, at: datetime) -> Outcome:
    """What a provider's answer means for the message: sent, again later, dead, or in doubt.

    Asks no database: it runs where providers' answers come in.
    """
    attempts = item.message.attempts + 1
    if result.verdict in (Verdict.SENT, Verdict.DELIVERED):
        status = MessageStatus(result.verdict.value)
        trail = trails((at, status, item.provider))
        return _outcome(item, result, status, at, attempts, trail)
    if result.error_code in NOT_STARTED:
        trail = trails((at, "deferred", result.error_code))
        outcome = _outcome(item, result, MessageStatus.PENDING, at, item.message.attempts, trail)
        outcome.attempt, outcome.again_at = False, at + NOT_STARTED_DELAY
        return outcome
    if result.verdict is Verdict.UNCERTAIN and not item.category.resends:
        return _in_doubt(item, result, at, attempts)
    if result.verdict is Verdict.FAILED:
        return _dead(item, result, at, attempts, result.error_code or "failed")
    choice = decide_retry(
        attempts_made=attempts,
        max_attempts=item.message.max_attempts,
        policy="delivery",
        retry_after_s=result.retry_after_s,
        random=random.random(),
    )
    if isinstance(choice, RetryAt):
        again = at + timedelta(seconds=choice.delay_s)
        why = "uncertain" if result.verdict is Verdict.UNCERTAIN else "retry"
        trail = trails((at, why, result.error_code or result.error))
        outcome = _outcome(item, result, MessageStatus.PENDING, at, attempts, trail)
        outcome.again_at = again
        return outcome
    if result.verdict is Verdict.UNCERTAIN:
        return _in_doubt(item, result, at, attempts)
    return _dead(item, result, at, attempts, result.error_code or "attempts_used_up")


def _outcome(
    item: Ready, result: SendResult, status: MessageStatus, at: datetime, attempts: int, trail: str
) -> Outcome:
    row = is_row_channel(item.provider)
    outcome = Outcome(
        item.lease,
        item.message,
        status,
        trail,
        at,
        attempts,
        provider=item.provider,
        result=result,
        outbound=item.outbound,
        attempt=not row,
    )
    if row and item.provider == "in_app":
        shown = item.outbound.content
        outcome.content = seal_json(
            {"title": shown.title, "body": shown.body, "data": dict(shown.data)}
        )
    return outcome


def _in_doubt(item: Ready, result: SendResult, at: datetime, attempts: int) -> Outcome:
    """Nobody knows whether it arrived, and no other try is allowed: a person decides."""
    trail = trails((at, "uncertain", result.error_code), (at, "held", item.category.crash_policy))
    outcome = _outcome(item, result, MessageStatus.UNCERTAIN, at, attempts, trail)
    outcome.dead_code = "uncertain"
    return outcome


def _dead(item: Ready, result: SendResult, at: datetime, attempts: int, code: str) -> Outcome:
    trail = trails((at, "failed", code))
    outcome = _outcome(item, result, MessageStatus.FAILED, at, attempts, trail)
    outcome.dead_code = code
    return outcome
