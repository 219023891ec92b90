"""Simulates a send: the pipeline's own decision and text, without writing anything."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from notifications.domain.errors import TemplateFault
from notifications.domain.messages import EXTRAS_KEY
from notifications.engine.content import context_of, locale_of
from notifications.engine.prepare import facts_of, route, terms_of
from notifications.features.sending.explain import step_responses
from notifications.features.sending.refusal import PredictedDecision, draft_of
from notifications.features.sending.schemas import StepResponse
from notifications.infra.field_types import ChannelName, DecisionName, ProviderKey, Warnings
from notifications.intake.accept import Intent, SendTarget
from notifications.models.delivery.hot_rows import PendingMessage
from notifications.policy.decide import Defer, Digest, Expire, Suppress, decide
from notifications.policy.facts import SliceFacts, load_facts
from notifications.rendering.pool import wire
from notifications.rendering.pool.render_client import render_drafts, render_task
from notifications.rendering.render import CompiledVersion
from notifications.rendering.versions import version_of


class SimulatedText(msgspec.Struct, kw_only=True):
    """The text of a message."""

    title: str
    """The title or subject. Example: `Payment received`"""

    body: str
    """The plain text. Example: `We received 12.50 EUR.`"""

    html: str
    """The HTML of an email; empty on other channels. Example: `<p>We received 12.50 EUR.</p>`"""

    data: dict[str, Any] = {}
    """What goes along with the text. Example: `{"order_id": 7}`"""


class SimulatedMessage(msgspec.Struct, kw_only=True):
    """What would happen to one message."""

    channel: ChannelName
    decision: DecisionName

    reason: str
    """The stable code of the decision's reason. Example: `allowed`"""

    steps: list[StepResponse]
    """The questions of the decision, in order."""

    provider: ProviderKey

    until: datetime | None = None
    """When the message would be examined again, or when its digest closes (RFC 3339)."""

    digest: str | None = None
    """The period of the digest, or null. Example: `daily:2030-05-01`"""

    content: SimulatedText | None = None
    """The text; null when nothing would be sent."""


class SimulateResponse(msgspec.Struct, kw_only=True):
    """What a send would lead to now."""

    accepted: bool
    """Whether the send would be accepted; false when it would be refused (`opted_out`)."""

    messages: list[SimulatedMessage]
    """What would happen, message by message."""

    warnings: Warnings = []


def simulate(
    intent: Intent,
    target: SendTarget,
    seen: PredictedDecision,
    *,
    now: datetime,
    principal: str,
) -> SimulateResponse:
    """Returns what this send would lead to, for each channel. principal: the caller's name.

    Raises:
        TemplateFault: a text cannot be rendered.
        RenderingBusy: no render process was free in time.
    """
    at = max(now, intent.terms.scheduled_at or now)
    return SimulateResponse(
        accepted=not seen.reasons,
        messages=[
            _simulate(draft_of(intent, target, channel), at, principal)
            for channel in target.channels
        ],
        warnings=list(intent.terms.warnings),
    )


def _simulate(draft: PendingMessage, at: datetime, principal: str) -> SimulatedMessage:
    facts = load_facts([draft], draft.channel, terms_of)
    version = version_of(draft.template_version_id)
    decision = decide(facts_of(draft, facts, version, at=at))
    shown = SimulatedMessage(
        channel=draft.channel,
        decision=type(decision).__name__.lower(),
        reason=decision.reason,
        steps=step_responses(decision.reason),
        provider=route(draft, facts.contacts.get(draft.id)),
    )
    if isinstance(decision, Defer):
        shown.until = decision.until
    elif isinstance(decision, Digest):
        shown.until, shown.digest = decision.closes_at, decision.bucket
    if not isinstance(decision, Suppress | Expire):
        shown.content = shown_text(draft, version, facts, at, principal)
    return shown


def shown_text(
    draft: PendingMessage, version: CompiledVersion, facts: SliceFacts, at: datetime, principal: str
) -> SimulatedText:
    """Returns what a draft says to its recipient. principal: who waits for the render.

    Raises:
        TemplateFault: it cannot be rendered.
        RenderingBusy: no render process was free in time.
    """
    context = context_of(draft, version, facts, at=at, for_caller=True)
    along = context.pop(EXTRAS_KEY, None)
    locale = locale_of(draft, facts)
    task = render_task(version, channel=draft.channel, locale=locale, context=context)
    (text,) = render_drafts(principal, [task])
    if isinstance(text, TemplateFault):
        raise text
    assert isinstance(text, wire.Rendered)
    return SimulatedText(title=text.title, body=text.body, html=text.html, data=along or {})
