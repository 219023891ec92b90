"""Bursts: what a person left unread goes on as one mail, or one push.

A message that follows an unread one waits until no other can join it, at most
for the window. Then it goes alone, or into the digest that the others of its window share.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Q

from notifications.domain.channels import Channel, Priority
from notifications.domain.lifecycle import MessageStatus
from notifications.infra.conf import environment
from notifications.models import DigestBucket, NotificationMessage
from notifications.models.delivery.hot_rows import PendingMessage
from notifications.policy.decide import BURST, BURST_WINDOW, Burst
from notifications.policy.facts import SliceFacts
from notifications.policy.options import options_of
from notifications.policy.preference_text import CategoryTerms

CHANNELS = frozenset({Channel.EMAIL, Channel.PUSH})
_PERIOD = f"{BURST}:"
_UNREAD = ':unread"'
_HELD = f'"{BURST_WINDOW}"'
_LONGEST_WAIT = timedelta(days=31)
"""A send may ask for a fallback after 30 days at most."""


class Waiting(NamedTuple):
    """A pending message of a person that follows an unread one."""

    id: int
    due_at: datetime
    #: It waits for the end of a window.
    is_held: bool = False


def burst_of(
    mine: Waiting,
    others: Collection[Waiting],
    *,
    open_period: str,
    after: timedelta,
    window: timedelta,
    now: datetime,
) -> Burst | None:
    """Returns the burst of a message that is due; None when it is alone. Pure.

    Args:
        others: the person's other messages of its kind that are due within the window.
        open_period: the digest that others of its window went into; empty without one.
        after: how long its sender waits for a reader. Messages that do not exist yet are due after
            the window if this is not shorter, so that nothing has to be waited for.
    """
    if open_period:
        return Burst(now, open_period)
    held = [other.due_at for other in others if other.is_held]
    if mine.is_held:
        ends_at = now
    elif held:
        ends_at = min(held)
    elif after < window:
        ends_at = mine.due_at + window
    else:
        last = mine.due_at + window
        ends_at = max((o.due_at for o in others if o.due_at <= last), default=now)
    if ends_at > now:
        return Burst(ends_at, "")
    due = [mine.id, *(other.id for other in others if other.due_at <= now)]
    return Burst(now, f"{_PERIOD}{min(due)}") if len(due) > 1 else None


def load_bursts(
    messages: Sequence[PendingMessage],
    channel: str,
    facts: SliceFacts,
    digest: CategoryTerms,
    *,
    now: datetime,
) -> dict[int, Burst]:
    """Returns the bursts of messages, with two queries if any of them may be in one.

    digest: the terms of the category of digests. Who wants none of them on this channel gets each
    message by itself.
    """
    window = timedelta(seconds=environment().fallback_burst_seconds)
    if not window or channel not in CHANNELS:
        return {}
    after = {m.id: _after(m) for m in messages if _may_join(m)}
    mine = [m for m in messages if after.get(m.id) and _takes_digests(m, facts, digest)]
    if not mine:
        return {}
    people = {m.user_id for m in mine if m.user_id is not None}
    # In this order: what another worker folds meanwhile is then seen as pending, or in its digest.
    waiting = _waiting(people, channel, until=now + window, now=now)
    periods = _open_periods(people, channel)
    bursts = {}
    for message in mine:
        rows = waiting.get(message.user_id or 0, {})
        if message.id not in rows:
            continue
        found = burst_of(
            rows[message.id],
            [row for key, row in rows.items() if key != message.id],
            open_period=periods.get(message.user_id or 0, ""),
            after=after[message.id],
            window=window,
            now=now,
        )
        if found is not None:
            bursts[message.id] = found
    return bursts


def _after(message: PendingMessage) -> timedelta:
    options = options_of(message.options or "{}")
    follows = message.channel in options.get("fallback", ()) and not options.get("attachments")
    return timedelta(seconds=int(options.get("fallback_after_s") or 0) if follows else 0)


def _may_join(message: PendingMessage) -> bool:
    """Whether a message may wait: what is urgent, tried before, or a test, goes by itself."""
    return (
        message.options is not None
        and message.user_id is not None
        and message.priority > Priority.HIGH
        and not (message.attempts or message.is_test or message.is_read)
    )


def _takes_digests(message: PendingMessage, facts: SliceFacts, digest: CategoryTerms) -> bool:
    chosen = facts.preferences_for(message.user_id or 0, message.channel, digest)
    return chosen.channel_on and chosen.category_on and chosen.notifications_enabled


def _waiting(
    people: Iterable[int], channel: str, *, until: datetime, now: datetime
) -> Mapping[int, Mapping[int, Waiting]]:
    """Returns the messages of people that follow unread ones and are due until then."""
    unseen = Q(notification__arrival__isnull=True) | Q(
        notification__arrival__seen_at__isnull=True, notification__arrival__read_at__isnull=True
    )
    rows = NotificationMessage.objects.filter(
        unseen,
        notification__user_id__in=list(people),
        notification__created_at__gt=now - _LONGEST_WAIT,
        notification__options__isnull=False,
        notification__read_at__isnull=True,
        notification__is_test=False,
        channel=channel,
        status=MessageStatus.PENDING,
        attempts=0,
        priority__gt=Priority.HIGH,
        scheduled_at__lte=until,
    ).values_list("user_id", "pk", "scheduled_at", "trail")
    found: defaultdict[int, dict[int, Waiting]] = defaultdict(dict)
    for user_id, key, due_at, trail in rows:
        if _UNREAD in (trail or ""):
            found[user_id or 0][key] = Waiting(key, due_at, _HELD in (trail or ""))
    return found


def _open_periods(people: Iterable[int], channel: str) -> dict[int, str]:
    """Returns the newest open digest of a burst of each person."""
    rows = DigestBucket.objects.filter(
        user_id__in=list(people),
        channel=channel,
        period__startswith=_PERIOD,
        closed_at__isnull=True,
    )
    return dict(rows.order_by("pk").values_list("user_id", "period"))
