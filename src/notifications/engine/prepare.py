"""The steps of a message before its journal: load, decide, render.

No database connection is held during provider calls. See docs/life-of-a-notification.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial

from notifications.delivery.registry import is_row_provider
from notifications.delivery.routing import provider_for
from notifications.domain.channels import Channel
from notifications.domain.errors import TemplateFault
from notifications.domain.lifecycle import MessageStatus
from notifications.domain.messages import (
    Content,
    OutboundMessage,
    SendResult,
    Verdict,
    reference_to,
)
from notifications.domain.redaction import Known, redacted
from notifications.engine.admission import afford
from notifications.engine.content import (
    content_of,
    files_of,
    headers_of,
    locale_of,
    sender_of,
    with_parameters,
    with_tracking,
)
from notifications.engine.shared_rows import DIGEST_CATEGORY, category_by_key, category_facts
from notifications.engine.values import Ready, Slice
from notifications.infra import clock, telemetry
from notifications.infra.crypto import seal_json
from notifications.infra.database.clock_bridge import database_now
from notifications.infra.database.errors import is_unavailable
from notifications.models.delivery.hot import hot
from notifications.models.delivery.hot_rows import PendingMessage
from notifications.policy.bursts import CHANNELS as BURST_CHANNELS
from notifications.policy.bursts import load_bursts
from notifications.policy.decide import (
    STOP_RECHECK,
    Contact,
    Decision,
    Defer,
    Digest,
    Expire,
    MessageFacts,
    Send,
    Suppress,
    decide,
)
from notifications.policy.facts import (
    TEST_PERIOD,
    SliceFacts,
    load_facts,
    message_facts,
)
from notifications.policy.options import options_of, retraction_of
from notifications.policy.preference_text import CategoryTerms
from notifications.queue.leases import Lease
from notifications.recording.outcomes import Folding, trails
from notifications.rendering.guard.guard import GUARD, VersionStopped
from notifications.rendering.render import CompiledVersion
from notifications.rendering.usage import count_uses
from notifications.rendering.versions import versions_of


def prepare(channel: str, lease_of: dict[int, Lease]) -> Slice:
    """Runs the steps up to the journal for messages of one channel, each with its lease.

    A message that makes a step fail is in `poisoned`; the others are prepared in the same pass.

    Raises:
        DatabaseError: the database is unavailable; nothing was written.
    """
    try:
        return _run_steps(channel, lease_of)
    except Exception as error:
        if is_unavailable(error):
            raise
        if len(lease_of) <= 1:
            poisoned = [(key, lease, error) for key, lease in lease_of.items()]
            return Slice(channel, lease_of, database_now(), poisoned=poisoned)
    keys = list(lease_of)
    middle = len(keys) // 2
    parts = (keys[:middle], keys[middle:])
    halves = [prepare(channel, {key: lease_of[key] for key in part}) for part in parts]
    return halves[0].joined(halves[1])


def _run_steps(channel: str, lease_of: dict[int, Lease]) -> Slice:
    work = Slice(channel, lease_of, database_now())
    with GUARD.slice():
        for step in STEPS:
            with telemetry.stage(channel, step.__name__.strip("_")):
                step(work)
    return work


def _load(work: Slice) -> None:
    loaded = hot().load_pending(list(work.lease_of))
    work.messages = [m for m in loaded if m.batch_id == work.lease_of[m.id].batch_id]
    # A missing message is no longer pending in this batch: another process cancelled, settled or
    # moved it.
    found = {message.id for message in work.messages}
    for key, lease in work.lease_of.items():
        if key not in found:
            lease.open_keys.discard(key)
            lease.journal.discard(key)
            lease.stale = True


def _gather_facts(work: Slice) -> None:
    if work.messages:
        work.facts = load_facts(work.messages, work.channel, terms_of)
        digest = category_by_key(DIGEST_CATEGORY) if work.channel in BURST_CHANNELS else None
        if digest is not None:
            work.facts.bursts = load_bursts(
                work.messages, work.channel, work.facts, digest.terms, now=work.at
            )


def terms_of(category_id: int) -> CategoryTerms:
    """Returns the terms of a category for decisions."""
    return category_facts(category_id).terms


def _decide(work: Slice) -> None:
    versions = versions_of({m.template_version_id for m in work.messages if m.template_version_id})
    for message in work.messages:
        version = versions.get(message.template_version_id or 0)
        _apply(work, message, decide(facts_of(message, work.facts, version, at=work.at)))


def facts_of(
    message: PendingMessage, facts: SliceFacts, version: CompiledVersion | None, *, at: datetime
) -> MessageFacts:
    """Returns all facts that the decision on one message may depend on."""
    category = category_facts(message.category_id)
    stopped = (
        facts.stops.covering(
            channel=message.channel,
            provider=route(message, facts.contacts.get(message.id)),
            category=category.key,
            template=version.path if version else "",
            source=message.source,
            version=message.template_version_id,
        )
        if facts.stops.by_scope
        else ""
    )
    return message_facts(
        message,
        facts,
        category.terms,
        at=at,
        supports_channel=version is None or version.supports(message.channel),
        stopped_by=stopped,
    )


def _apply(work: Slice, message: PendingMessage, decision: Decision) -> None:
    at = work.at
    contact = work.facts.contacts.get(message.id)
    if contact is not None and contact.reached and _ends_here(decision, contact):
        # One device accepted the message. No other device is left, or none may be called.
        work.settled(message, MessageStatus.SENT, trail=trails((at, "sent", "to_some_devices")))
    elif isinstance(decision, Send):
        work.allowed.append((message, decision))
    elif isinstance(decision, Defer):
        trail = trails((at, "deferred", decision.reason))
        work.settled(message, MessageStatus.PENDING, trail=trail, again_at=decision.until)
    elif isinstance(decision, Digest):
        work.folded.append((message, decision))
    elif isinstance(decision, Suppress):
        trail = trails((at, "suppressed", decision.reason))
        work.settled(message, MessageStatus.SUPPRESSED, trail=trail)
    elif isinstance(decision, Expire):
        trail = trails((at, "expired", decision.reason))
        work.settled(message, MessageStatus.EXPIRED, trail=trail)


def _ends_here(decision: Decision, contact: Contact) -> bool:
    no_target = isinstance(decision, Send) and not contact.targets
    return no_target or isinstance(decision, Suppress | Expire)


def _render(work: Slice) -> None:
    used = [message for message, _ in (*work.allowed, *work.folded)]
    versions = versions_of({m.template_version_id for m in used if m.template_version_id})
    began = clock.monotonic()
    for message, decision in work.allowed:
        if (content := _try_content(message, work, versions)) is not None:
            work.ready.append(_ready(message, decision, content, work, versions))
    for message, folding in work.folded:
        if (content := _try_content(message, work, versions)) is not None:
            _fold(message, folding, content, work)
    for version_id, version in versions.items():
        telemetry.name_template(version_id, version.path)
        mean = (clock.monotonic() - began) / max(1, len(used))
        telemetry.RENDERS.labels(version.path).observe(mean)


def _ready(
    message: PendingMessage,
    decision: Send,
    content: Content,
    work: Slice,
    versions: Mapping[int, CompiledVersion],
) -> Ready:
    version = versions.get(message.template_version_id or 0)
    contact = work.facts.contacts.get(message.id)
    category = category_facts(message.category_id)
    content = with_parameters(content, message)  # before tracking, which signs the links
    content = with_tracking(content, message, category, work.facts)
    return Ready(
        work.lease_of[message.id],
        message,
        _outbound(message, decision.recipient, content, contact),
        route(message, contact),
        category,
        version.path if version else "",
        work.facts.limits.get(message.id, ()) if work.facts.limits else (),
        "" if decision.reason == "allowed" else decision.reason,
        key=work.facts.key_of(message),
        names=work.facts.names_of(message),
    )


def _fold(message: PendingMessage, folding: Digest, content: Content, work: Slice) -> None:
    """Makes the message an item of the person's digest, and stores its rendered text."""
    work.settled(
        message,
        MessageStatus.DIGESTED,
        trail=trails((work.at, "digested", folding.reason)),
        folding=Folding(
            f"{TEST_PERIOD}{folding.bucket}" if message.is_test else folding.bucket,
            folding.closes_at,
            folding.frequency,
            seal_json({"title": content.title, "body": content.body}, work.facts.key_of(message)),
        ),
    )


def _try_content(
    message: PendingMessage, work: Slice, versions: Mapping[int, CompiledVersion]
) -> Content | None:
    """Renders a message. Returns None when its template failed or is stopped, which settles it."""
    try:
        version = versions.get(message.template_version_id or 0)
        files_of(message)
        render = partial(content_of, message, version, work.facts, at=work.at)
        return GUARD.render(version, message.source, render)
    except VersionStopped as stopped:
        _apply(work, message, Defer(work.at + STOP_RECHECK, f"kill_switch:{stopped.by}"))
    except TemplateFault as fault:
        _fail_render(work, message, fault)
    return None


def _count_uses(work: Slice) -> None:
    """Counts uses of templates. It is the last step, because after an error the steps run again and
    would count twice."""
    messages = [item.message for item in work.ready]
    used = Counter(
        (message.template_version_id, message.channel, locale_of(message, work.facts))
        for message in messages
        if message.template_version_id and not message.is_test
    )
    versions = versions_of({version_id for version_id, _, _ in used if version_id})
    for (version_id, channel, locale), count in used.items():
        if version := versions.get(version_id or 0):
            count_uses(version, count, channel=channel, locale=locale, at=work.at)


def _fail_render(work: Slice, message: PendingMessage, fault: TemplateFault) -> None:
    known = Known(names=work.facts.names_of(message))
    detail = redacted(fault.detail, known)
    result = SendResult(Verdict.FAILED, error=detail, error_code=fault.code)
    trail = trails((work.at, "failed", fault.code))
    work.settled(
        message,
        MessageStatus.FAILED,
        trail=trail,
        result=result,
        dead_code=fault.code,
        key=work.facts.key_of(message),
    )


def _outbound(
    message: PendingMessage, recipient: str, content: Content, contact: Contact | None
) -> OutboundMessage:
    options = options_of(message.options) if message.options else {}
    category = category_facts(message.category_id)
    return OutboundMessage(
        message_id=message.id,
        reference=reference_to(message.uuid, message.channel),
        channel=message.channel,
        recipient=recipient,
        content=content,
        priority=message.priority,
        attempt=message.attempts + 1,
        category=category.key,
        template_version_id=message.template_version_id,
        expires_at_s=message.expires_at.timestamp() if message.expires_at else None,
        collapse_key=message.collapse_key or "",
        sender=sender_of(message.channel, options),
        reply_to=options.get("reply_to", ""),
        headers=headers_of(message, category, recipient),
        is_test=message.is_test,
        targets=contact.targets if contact and not message.is_test else (),
        reached=contact is not None and contact.reached,
        attachments=files_of(message),
        retracts=retraction_of(options),
    )


Step = Callable[[Slice], None]
STEPS: tuple[Step, ...] = (_load, _gather_facts, _decide, _render, afford, _count_uses)


def route(message: PendingMessage, contact: Contact | None = None) -> str:
    """Returns the provider that carries a message. With several devices it is that of the first."""
    wanted = options_of(message.options).get("provider") if message.options else None
    chosen = provider_for(
        message.channel,
        key=message.id,
        attempts=message.attempts,
        pinned=message.provider or wanted,
    )
    if message.is_test and not is_row_provider(chosen):
        return "sandbox"
    if contact is not None and contact.targets:
        return contact.targets[0].provider
    if message.channel == Channel.PUSH and contact is not None and contact.address:
        return "sandbox"  # only the sandbox takes a push without targets
    return chosen
