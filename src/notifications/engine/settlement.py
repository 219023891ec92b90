"""Settlement derives the next state of a message from a result. Pure but for retry jitter."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from notifications.delivery.registry import is_row_provider
from notifications.delivery.retry import RetryAt, decide_retry
from notifications.domain.counts import one_more
from notifications.domain.lifecycle import MessageStatus
from notifications.domain.messages import NOT_CALLED, SendResult, Verdict, blames_service
from notifications.domain.redaction import known_of, redacted_result
from notifications.engine.values import Ready
from notifications.infra import ports
from notifications.infra.crypto import seal_json
from notifications.policy.options import options_of
from notifications.recording.outcomes import Outcome, trails
from notifications.recording.poison import POISON, new_trace, poison_text

NOT_STARTED_DELAY = timedelta(seconds=1)
log = structlog.get_logger("carillon.settlement")


def settle_safely(item: Ready, result: SendResult, *, at: datetime) -> Outcome:
    """Settles a result, also when our own code fails on it.

    After such a failure the outcome holds only the verdict. Unless the message was sent or is
    uncertain, it becomes a dead letter `poison`.
    """
    try:
        return settle(item, result, at=at)
    except Exception as raised:
        error, trace = raised, new_trace()
        log.exception("settlement.failed", message_id=item.message.id, trace=trace)
    attempts = one_more(item.message.attempts)
    if result.success:
        status, code = MessageStatus.SENT, ""
    elif result.verdict is Verdict.UNCERTAIN:
        status, code = MessageStatus.UNCERTAIN, "uncertain"
    else:
        status, code = MessageStatus.FAILED, POISON
    reduced = SendResult(result.verdict, error=poison_text(error, trace), error_code=code)
    return Outcome(
        item.lease,
        item.message,
        status,
        trails((at, status, code)),
        at,
        attempts,
        provider=item.provider,
        result=reduced,
        attempt=True,
        dead_code=code,
    )


def settle(item: Ready, result: SendResult, *, at: datetime) -> Outcome:
    """Returns the outcome of a result: sent, a retry, a dead letter, or uncertain.

    It reads no database, because it runs in the event loop where results arrive.
    """
    if result.error or result.error_code or result.parts:
        result = redacted_result(result, known_of(item.outbound, item.names))
    attempts = one_more(item.message.attempts)
    if result.verdict in (Verdict.SENT, Verdict.DELIVERED):
        status = MessageStatus(result.verdict.value)
        trail = trails((at, status, item.provider))
        return _outcome(item, result, status, at, attempts, trail)
    if result.error_code in NOT_CALLED:
        return _defer(item, result, at, result.error_code)
    if item.is_probe and result.verdict is Verdict.RETRY and blames_service(result):
        # The message tested whether the service recovered. That does not count as an attempt.
        return _defer(item, result, at, "breaker_probe")
    if result.verdict is Verdict.UNCERTAIN and not item.category.resends:
        return _uncertain(item, result, at, attempts)
    if result.verdict is Verdict.FAILED:
        return _dead(item, result, at, attempts, result.error_code or "failed")
    choice = decide_retry(
        attempts_made=attempts,
        max_attempts=item.message.max_attempts,
        policy=_policy_of(item),
        retry_after_s=result.retry_after_s,
        random=ports.chance(),
    )
    if isinstance(choice, RetryAt):
        again = at + timedelta(seconds=choice.delay_s)
        why = "uncertain" if result.verdict is Verdict.UNCERTAIN else "retry"
        trail = trails((at, why, result.error_code or result.error))
        outcome = _outcome(item, result, MessageStatus.PENDING, at, attempts, trail)
        outcome.again_at = again
        return outcome
    if result.verdict is Verdict.UNCERTAIN:
        return _uncertain(item, result, at, attempts)
    if item.outbound.reached or any(part.result.success for part in result.parts):
        trail = trails((at, MessageStatus.SENT, "to_some_devices"))
        return _outcome(item, result, MessageStatus.SENT, at, attempts, trail)
    return _dead(item, result, at, attempts, result.error_code or "attempts_exhausted")


def _defer(item: Ready, result: SendResult, at: datetime, why: str) -> Outcome:
    """Puts a message back into the queue without counting an attempt."""
    trail = trails((at, "deferred", why))
    outcome = _outcome(item, result, MessageStatus.PENDING, at, item.message.attempts, trail)
    outcome.attempt, outcome.again_at = False, at + NOT_STARTED_DELAY
    return outcome


def _policy_of(item: Ready) -> str:
    """Returns the retry policy that the sender chose."""
    options = item.message.options
    return options_of(options).get("retry_policy", "delivery") if options else "delivery"


def _outcome(
    item: Ready, result: SendResult, status: MessageStatus, at: datetime, attempts: int, trail: str
) -> Outcome:
    row = is_row_provider(item.provider)
    if item.override and attempts == item.message.attempts + 1 == 1:
        trail = f"{trails((at, 'allowed', item.override))},{trail}"
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
        limits=item.limits if row else (),  # others were counted with their journal
        key=item.key,
    )
    if row and item.provider == "in_app":
        shown = item.outbound.content
        outcome.content = seal_json(
            {"title": shown.title, "body": shown.body, "data": dict(shown.data)}, item.key
        )
    return outcome


def _uncertain(item: Ready, result: SendResult, at: datetime, attempts: int) -> Outcome:
    """The message may have arrived, and no other attempt is allowed: a person decides."""
    trail = trails((at, "uncertain", result.error_code), (at, "held", item.category.crash_policy))
    outcome = _outcome(item, result, MessageStatus.UNCERTAIN, at, attempts, trail)
    outcome.dead_code = "uncertain"
    return outcome


def _dead(item: Ready, result: SendResult, at: datetime, attempts: int, code: str) -> Outcome:
    trail = trails((at, "failed", code))
    outcome = _outcome(item, result, MessageStatus.FAILED, at, attempts, trail)
    outcome.dead_code = code
    return outcome
