"""Polls providers for the fate of messages: uncertain ones, and ones without a receipt.

A round is bounded in number and time. An uncertain message is polled at most three times, a message
without a receipt once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial, reduce
from operator import or_

import structlog
from django.db import transaction
from django.db.models import Max, Q, QuerySet

from directory.models import ContactPoint
from notifications.delivery.base import StatusQuery, where
from notifications.delivery.registry import (
    chosen_channels,
    provider_class,
    provider_keys_for,
)
from notifications.domain.channels import CONTACT_KIND_OF_CHANNEL, Channel
from notifications.domain.lifecycle import MessageStatus
from notifications.domain.messages import Verdict, reference_to
from notifications.domain.receipts import Receipt
from notifications.engine.shared_rows import refresh_accounts
from notifications.features.background.items import Items
from notifications.infra.conf import environment
from notifications.models import (
    DeadLetter,
    DeliveryAttempt,
    ItemFault,
    MessageEvent,
    NotificationMessage,
    ReceiptPollCursor,
    Work,
)
from notifications.recording.receipts import apply_receipt

log = structlog.get_logger("carillon.receipts")

POLL_AFTER = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30))
"""How long after its failure an uncertain message is polled, for each of its polls."""
SILENT_AFTER = timedelta(minutes=15)
"""How long after its attempt a message without a receipt is polled."""
FORGOTTEN_AFTER = timedelta(days=1)
"""How long after its attempt or failure a message is no longer polled."""
_AT_ONCE = 50
_ROUND_S = 20.0
_ATTEMPTS_AT_ONCE = 2_000
_SLACK_S = 60.0


@dataclass(frozen=True, slots=True)
class _Case:
    """A message to poll for."""

    message: NotificationMessage
    provider: str
    query: StatusQuery
    #: The key of its dead letter; 0 for a message without a receipt.
    dead_letter: int = 0


def poll_due(*, now: datetime) -> int:
    """Polls for the messages that are due; returns how many were resolved."""
    pollable = {key for key in chosen_channels() if provider_class(key).capabilities.status_queries}
    if not pollable:
        return 0
    refresh_accounts()
    uncertain, silent = Items(Work.DOUBT, now=now), Items(Work.SILENCE, now=now)
    cases = [*_uncertain(pollable, now, uncertain), *_silent(pollable, now, silent)]
    if not cases:
        return 0
    resolved = 0
    for case, found in zip(cases, asyncio.run(_query_all(cases)), strict=True):
        items, key = silent, case.message.pk
        if case.dead_letter:
            items, key = uncertain, case.dead_letter
        resolved += items.run_one(key, partial(_resolve, case, found, now), default=False)
    return resolved


async def _query_all(cases: Sequence[_Case]) -> list[list[Receipt] | None]:
    """Returns the responses, in order; None for a query without a response in time."""
    providers = {key: provider_class(key)() for key in {case.provider for case in cases}}
    opened = dict(providers)
    responses: list[list[Receipt] | None] = [None] * len(cases)

    async def query(place: int, case: _Case) -> None:
        if case.provider not in opened:
            return
        try:
            responses[place] = await opened[case.provider].query_status(case.query)
        except Exception as error:  # an unusable response must not drop the others
            log.error("receipt_poll.failed", provider=case.provider, **where(error))

    try:
        for key, provider in list(providers.items()):
            try:
                await provider.open()
            except Exception as error:  # the other providers are still queried
                log.error("receipt_poll.not_opened", provider=key, **where(error))
                del opened[key]
        async with asyncio.timeout(_ROUND_S):
            await asyncio.gather(*(query(place, case) for place, case in enumerate(cases)))
    except TimeoutError:
        log.warning("receipt_poll.timed_out", count=responses.count(None))
    finally:
        for provider in opened.values():
            await provider.close()
    return responses


def _uncertain(pollable: set[str], now: datetime, items: Items) -> list[_Case]:
    """Returns the open uncertain dead letters that are due; each counts as polled from now on."""
    moments = enumerate(now - wait for wait in POLL_AFTER)
    due = reduce(or_, (Q(asked=polls, failed_at__lte=at) for polls, at in moments))
    alone = [channel.value for channel in Channel if _only_provider(channel) in pollable]
    theirs = Q(provider__in=pollable) | Q(provider="", channel__in=alone)
    rows = DeadLetter.objects.filter(
        due & theirs,
        resolved_at__isnull=True,
        code="uncertain",
        asked__lt=len(POLL_AFTER),
        failed_at__lte=now - POLL_AFTER[0],
        failed_at__gt=now - FORGOTTEN_AFTER,
    )
    found: list[_Case] = []
    oldest_first = items.runnable(rows).order_by("failed_at", "id").defer("last_result")
    for dead_letter in oldest_first[: 4 * _AT_ONCE]:
        case = items.run_one(dead_letter.pk, partial(_claim, dead_letter), default=None, last=False)
        if case is not None:
            found.append(case)
        if len(found) == _AT_ONCE:
            break
    return found


def _claim(dead_letter: DeadLetter) -> _Case | None:
    """Returns the case of a dead letter; None when it has none, or another process polls for it."""
    case = _case_of(dead_letter, dead_letter.provider or _only_provider(dead_letter.channel))
    claimed = DeadLetter.objects.filter(pk=dead_letter.pk, asked=dead_letter.asked)
    return case if claimed.update(asked=dead_letter.asked + 1) else None


def _only_provider(channel: str) -> str:
    """Returns the only provider of a channel; empty when it has several.

    A worker that died did not record which provider it called. With one provider that is certain.
    """
    keys = provider_keys_for(channel)
    return keys[0] if len(keys) == 1 else ""


def _case_of(dead_letter: DeadLetter, provider: str) -> _Case | None:
    rows = NotificationMessage.objects.select_related("notification")
    message = rows.filter(pk=dead_letter.message_id, status=MessageStatus.UNCERTAIN).first()
    address = _address_of(message) if message else ""
    if message is None or not address:
        return None
    settings = environment()
    before_s = settings.lease_seconds + settings.provider_timeout_seconds + _SLACK_S
    failed_s = dead_letter.failed_at.timestamp()
    sender = str((message.notification.options or {}).get("sender", ""))
    query = StatusQuery(
        address, failed_s - before_s, failed_s + _SLACK_S, message.provider_message_id or "", sender
    )
    return _Case(message, provider, query, dead_letter.pk)


def _address_of(message: NotificationMessage) -> str:
    kind = CONTACT_KIND_OF_CHANNEL.get(Channel(message.channel), "")
    points = ContactPoint.objects.filter(user_id=message.user_id or 0, kind=kind)
    point = points.first()
    return point.written_to if point else ""


def _silent(pollable: set[str], now: datetime, items: Items) -> list[_Case]:
    """Returns messages that a provider accepted `SILENT_AFTER` ago and that have no receipt.

    All processes share one cursor. Attempts are read in the order of their keys, each once. The
    first round sets the cursor at the last attempt.
    """
    with transaction.atomic():
        ReceiptPollCursor.objects.get_or_create(
            pk=1, defaults={"attempt": DeliveryAttempt.objects.aggregate(Max("pk"))["pk__max"] or 0}
        )
        cursor = ReceiptPollCursor.objects.select_for_update(skip_locked=True).filter(pk=1).first()
        if cursor is None:
            return []  # another process polls
        due = DeliveryAttempt.objects.filter(pk__gt=cursor.attempt, at__lt=now - SILENT_AFTER)
        columns = ("pk", "provider", "verdict", "message_id", "provider_message_id", "at")
        accepted = _failed_before(pollable, now)
        end = cursor.attempt
        for key, provider, verdict, message, name, at in due.order_by("pk").values_list(*columns)[
            :_ATTEMPTS_AT_ONCE
        ]:
            end = key
            fresh = at > now - FORGOTTEN_AFTER
            if provider in pollable and verdict == Verdict.SENT and name and fresh:
                accepted[message] = (provider, name)
            if len(accepted) == _AT_ONCE:
                break
        if end != cursor.attempt:
            cursor.attempt = end
            cursor.save()
    rows = NotificationMessage.objects.filter(pk__in=list(accepted), status=MessageStatus.SENT)
    cases = []
    for key in accepted:
        read = partial(_silent_case, rows, key, accepted[key])
        case = items.run_one(key, read, default=None, last=False)
        if case is not None:
            cases.append(case)
    return cases


def _silent_case(
    rows: QuerySet[NotificationMessage], key: int, accepted: tuple[str, str]
) -> _Case | None:
    message = rows.select_related("notification").filter(pk=key).first()
    provider, name = accepted
    return _Case(message, provider, StatusQuery("", 0, 0, name)) if message else None


def _failed_before(pollable: set[str], now: datetime) -> dict[int, tuple[str, str]]:
    """Returns the messages whose response could not be applied and is due again.

    By message: the provider and the provider's message id.
    """
    faults = ItemFault.objects.filter(work=Work.SILENCE, next_at__lte=now)
    keys = list(faults.order_by("next_at", "pk").values_list("item", flat=True)[:_AT_ONCE])
    rows = DeliveryAttempt.objects.filter(message_id__in=keys, verdict=Verdict.SENT)
    columns = ("message_id", "provider", "provider_message_id")
    return {
        message: (provider, name)
        for message, provider, name in rows.order_by("pk").values_list(*columns)
        if name and provider in pollable
    }


def _resolve(case: _Case, found: list[Receipt] | None, now: datetime) -> bool:
    """Applies a response that names one message, and records the poll as an event."""
    if found is None:
        _note(case, "no_answer", now)
        return False
    if not case.query.provider_message_id:
        found = _unclaimed(case, found)
        if len(found) != 1 or _is_ambiguous(case):
            _note(case, "not_found" if not found else "several", now)
            return False
    if not found:
        return False
    reference = reference_to(case.message.notification.uuid, case.message.channel)
    receipt = replace(found[0], reference=reference)
    if case.dead_letter:
        _note(case, "found", now)
    apply_receipt(receipt, provider=case.provider, now=now)
    return True


def _unclaimed(case: _Case, found: Sequence[Receipt]) -> list[Receipt]:
    """Returns the receipts whose provider message id no attempt of another message has."""
    names = [receipt.provider_message_id for receipt in found]
    attempts = DeliveryAttempt.objects.filter(provider_message_id__in=names)
    claimed = set(
        attempts.exclude(message_id=case.message.pk).values_list("provider_message_id", flat=True)
    )
    return [receipt for receipt in found if receipt.provider_message_id not in claimed]


def _is_ambiguous(case: _Case) -> bool:
    """Whether another message of this user was uncertain at about that time.

    The provider's response may then be about either message.
    """
    since_s, until_s = case.query.since_s, case.query.until_s
    span_s = until_s - since_s
    about = (
        datetime.fromtimestamp(since_s - span_s, tz=UTC),
        datetime.fromtimestamp(until_s + span_s, tz=UTC),
    )
    others = NotificationMessage.objects.filter(
        notification__user_id=case.message.user_id or 0,
        notification__created_at__gte=about[0] - FORGOTTEN_AFTER,
        channel=case.message.channel,
    ).exclude(pk=case.message.pk)
    keys = list(others.values_list("pk", flat=True)[:_ATTEMPTS_AT_ONCE])
    dead_letters = DeadLetter.objects.filter(message_id__in=keys, failed_at__range=about)
    attempts = DeliveryAttempt.objects.filter(message_id__in=keys, at__range=about)
    return (
        dead_letters.filter(code="uncertain").exists()
        or attempts.filter(verdict=Verdict.UNCERTAIN).exists()
    )


def _note(case: _Case, result: str, now: datetime) -> None:
    MessageEvent.objects.create(
        message_id=case.message.pk, kind="asked", reason=f"asked:{case.provider}:{result}", at=now
    )
