"""What would become of a send now: the pipeline's own decision and text, and nothing written."""

from __future__ import annotations

from datetime import datetime

import msgspec

from notifications.domain.channels import Channel
from notifications.infra.crypto import seal_json
from notifications.intake.accept import MAX_ATTEMPTS, Intent, Target
from notifications.models.hot_rows import PendingMessage
from notifications.pipeline import content_of, facts_of, route, terms_of
from notifications.policy.decide import Decision, Defer, Digest, Expire, Suppress, decide
from notifications.policy.facts import load_facts
from notifications.rendering.render import version_of
from notifications.services.answers import StepAnswer
from notifications.services.explain import steps_answer


class SimulatedText(msgspec.Struct, kw_only=True):
    """What a message would say."""

    title: str
    body: str
    html: str


class SimulatedMessage(msgspec.Struct, kw_only=True):
    """What would become of one message. decision: send, defer, digest, suppress or expire.

    until: when it would be looked at again, or when its digest closes. digest: the period.
    """

    channel: str
    decision: str
    reason: str
    steps: list[StepAnswer]
    provider: str
    until: datetime | None = None
    digest: str | None = None
    content: SimulatedText | None = None


class SimulateAnswer(msgspec.Struct, kw_only=True):
    """What a send would lead to now. accepted: false where it would be refused (opted_out)."""

    accepted: bool
    messages: list[SimulatedMessage]
    warnings: list[str] = []


def draft_of(intent: Intent, target: Target, channel: str) -> PendingMessage:
    """The message that would be written, as the pipeline would read it. Its id is nobody's."""
    terms = intent.terms
    options = msgspec.json.encode(terms.options).decode() if terms.options else None
    return PendingMessage(
        id=-1 - list(Channel).index(Channel(channel)),
        notification_id=0,
        user_id=target.user_id,
        channel=channel,
        priority=int(intent.priority),
        attempts=0,
        max_attempts=MAX_ATTEMPTS,
        batch_id=None,
        uuid="",
        category_id=intent.category_id,
        template_version_id=intent.template_version_id,
        job_id=None,
        source=intent.source,
        locale=intent.locale,
        context=seal_json(terms.context) if terms.context else None,
        text=None,
        address=seal_json(target.address) if target.address else None,
        options=options,
        expires_at=terms.expires_at,
        collapse_key=terms.collapse_key,
        ordering_key=terms.ordering_key,
        is_test=intent.is_test,
        scheduled_status=None,
    )


def simulate(intent: Intent, target: Target, *, now: datetime) -> SimulateAnswer:
    """What would become of this send, channel by channel."""
    at = max(now, intent.terms.scheduled_at or now)
    messages, decisions = [], []
    for channel in target.channels:
        shown, decision = _simulate(draft_of(intent, target, channel), at)
        messages.append(shown)
        decisions.append(decision)
    accepted = intent.terms.scheduled_at is not None or not all(map(_opted_out, decisions))
    return SimulateAnswer(
        accepted=accepted, messages=messages, warnings=list(intent.terms.warnings)
    )


def _opted_out(decision: Decision) -> bool:
    return isinstance(decision, Suppress) and decision.opted_out


def _simulate(draft: PendingMessage, at: datetime) -> tuple[SimulatedMessage, Decision]:
    facts = load_facts([draft], draft.channel, terms_of)
    version = version_of(draft.template_version_id)
    decision = decide(facts_of(draft, facts, version, at=at))
    shown = SimulatedMessage(
        channel=draft.channel,
        decision=type(decision).__name__.lower(),
        reason=decision.reason,
        steps=steps_answer(decision.reason),
        provider=route(draft),
    )
    if isinstance(decision, Defer):
        shown.until = decision.until
    elif isinstance(decision, Digest):
        shown.until, shown.digest = decision.closes_at, decision.bucket
    if not isinstance(decision, Suppress | Expire):
        text = content_of(draft, version, facts, at=at)
        shown.content = SimulatedText(title=text.title, body=text.body, html=text.html or "")
    return shown, decision
