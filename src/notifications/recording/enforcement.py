"""Enforces limits and open digests under the locks of the record.

It replaces outcomes that are not allowed: a message over a limit is suppressed, and a message whose
digest closed meanwhile is decided again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from notifications.domain.lifecycle import REACHED, MessageStatus
from notifications.models import DigestBucket, DigestItem, FrequencyCount
from notifications.models.delivery.digest import BucketKey, BucketTerms
from notifications.models.delivery.frequency import FrequencyClaim
from notifications.models.delivery.hot import hot
from notifications.recording.outcomes import Outcome, trails

Buckets = dict[BucketKey, int]


def enforce_limits(outcomes: Sequence[Outcome]) -> tuple[Sequence[Outcome], Buckets]:
    """Returns the outcomes that may be recorded, and the digest buckets that are now locked.

    Limits are counted. The caller has locked the batches of the messages.
    """
    limited = [o for o in outcomes if o.limits and o.status in REACHED]
    folded = [o for o in outcomes if o.folding]
    if not limited and not folded:
        return outcomes, {}
    pending = hot().still_pending([o.message.id for o in (*limited, *folded)])
    over = _count([o for o in limited if o.message.id in pending])
    held = _lock_buckets([o for o in folded if o.message.id in pending])
    return [_allowed(o, over, held) for o in outcomes], held


def _allowed(outcome: Outcome, over: Mapping[int, str], held: Buckets) -> Outcome:
    reason = over.get(outcome.message.id)
    if reason:
        trail = trails((outcome.at, "suppressed", reason))
        return _unsent(outcome, MessageStatus.SUPPRESSED, trail)
    if outcome.folding and _key(outcome) not in held:
        again_at = max(outcome.at, outcome.folding.closes_at)
        trail = trails((outcome.at, "deferred", "digest_closed"))
        return replace(_unsent(outcome, MessageStatus.PENDING, trail), again_at=again_at)
    return outcome


def _unsent(outcome: Outcome, status: MessageStatus, trail: str) -> Outcome:
    """Returns the outcome of a message that is not delivered after all."""
    lease, message = outcome.lease, outcome.message
    return Outcome(lease, message, status, trail, outcome.at, message.attempts)


def write_digest_items(outcomes: Sequence[Outcome], took: Collection[int], held: Buckets) -> None:
    """Inserts the items of messages that go into digests."""
    DigestItem.objects.bulk_create(
        DigestItem(
            bucket_id=held[key],
            message_id=o.message.id,
            notification_id=o.message.notification_id,
            category_id=o.message.category_id,
            summary=o.folding.summary,
            at=o.at,
        )
        for o in outcomes
        if o.folding and o.message.id in took and (key := _key(o)) in held
    )


def _count(limited: Sequence[Outcome]) -> dict[int, str]:
    claims = [
        FrequencyClaim(o.message.id, o.message.user_id, o.limits)
        for o in limited
        if o.message.user_id is not None
    ]
    return FrequencyCount.objects.claim(claims, at=limited[0].at) if claims else {}


def _lock_buckets(folded: Sequence[Outcome]) -> Buckets:
    wanted = {
        _key(o): BucketTerms(o.folding.frequency, o.folding.closes_at) for o in folded if o.folding
    }
    return DigestBucket.objects.lock(wanted, at=folded[0].at) if wanted else {}


def _key(outcome: Outcome) -> BucketKey:
    assert outcome.folding is not None
    user_id = outcome.message.user_id
    assert user_id is not None, "only people have digests"
    return BucketKey(user_id, outcome.message.channel, outcome.folding.period)
