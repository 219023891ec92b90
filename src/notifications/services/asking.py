"""Asks providers that can be asked what became of messages: those in doubt, and those that nothing
was heard of.

Bounded in number and time. A question is asked at most three times of a message in doubt, and once
of one that nothing was heard of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Max

from directory.models import ContactPoint
from notifications.conf import environment
from notifications.delivery.base import Question, where
from notifications.delivery.registry import (
    chosen_channels,
    provider_class,
    provider_keys_for,
)
from notifications.domain.channels import CONTACT_KIND_OF_CHANNEL, Channel
from notifications.domain.lifecycle import MessageStatus
from notifications.domain.messages import Verdict
from notifications.domain.receipts import Receipt
from notifications.models import (
    AskedUpTo,
    DeadLetter,
    DeliveryAttempt,
    MessageEvent,
    NotificationMessage,
)
from notifications.recording.receipts import apply_receipt
from notifications.shared_rows import refresh_accounts

log = structlog.get_logger("carillon.asking")

ASK_AFTER = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30))
"""When a message in doubt is asked about."""
SILENT_AFTER = timedelta(minutes=15)
FORGOTTEN_AFTER = timedelta(days=1)
_AT_ONCE = 50
_ROUND_S = 20.0
_ATTEMPTS_AT_ONCE = 2_000
_SLACK_S = 60.0


@dataclass(frozen=True, slots=True)
class _Case:
    """A message to ask about."""

    message: NotificationMessage
    provider: str
    question: Question
    letter: int = 0


def ask_due(*, now: datetime) -> int:
    """Asks what is due; returns how many messages became clear."""
    askable = {key for key in chosen_channels() if provider_class(key).capabilities.askable}
    if not askable:
        return 0
    refresh_accounts()
    cases = [*_in_doubt(askable, now), *_silent(askable, now)]
    if not cases:
        return 0
    answers = asyncio.run(_ask_all(cases))
    return sum(_settle(case, found, now) for case, found in zip(cases, answers, strict=True))


async def _ask_all(cases: Sequence[_Case]) -> list[list[Receipt] | None]:
    """The answers, in order; None for a question that was not answered in time."""
    providers = {key: provider_class(key)() for key in {case.provider for case in cases}}
    answers: list[list[Receipt] | None] = [None] * len(cases)

    async def ask(place: int, case: _Case) -> None:
        try:
            answers[place] = await providers[case.provider].look_up(case.question)
        except Exception as error:  # nonsense of one answer is no reason to drop the others
            log.error("asking.failed", provider=case.provider, **where(error))

    try:
        for provider in providers.values():
            await provider.open()
        async with asyncio.timeout(_ROUND_S):
            await asyncio.gather(*(ask(place, case) for place, case in enumerate(cases)))
    except TimeoutError:
        log.warning("asking.unanswered", count=answers.count(None))
    finally:
        for provider in providers.values():
            await provider.close()
    return answers


def _in_doubt(askable: set[str], now: datetime) -> list[_Case]:
    """Open letters in doubt whose time to ask has come; each is counted as asked."""
    rows = DeadLetter.objects.filter(
        resolved_at__isnull=True,
        code="uncertain",
        asked__lt=len(ASK_AFTER),
        failed_at__lte=now - ASK_AFTER[0],
        failed_at__gt=now - FORGOTTEN_AFTER,
    ).order_by("failed_at", "id")
    found = []
    for letter in rows[: 4 * _AT_ONCE]:
        provider = letter.provider or _only_provider(letter.channel)
        if provider not in askable or now < letter.failed_at + ASK_AFTER[letter.asked]:
            continue
        claimed = DeadLetter.objects.filter(pk=letter.pk, asked=letter.asked)
        if not claimed.update(asked=letter.asked + 1):
            continue  # another process asks
        case = _case_of(letter, provider)
        if case is not None:
            found.append(case)
        if len(found) == _AT_ONCE:
            break
    return found


def _only_provider(channel: str) -> str:
    """Who carried a message whose worker died before it could say, where nobody else could."""
    keys = provider_keys_for(channel)
    return keys[0] if len(keys) == 1 else ""


def _case_of(letter: DeadLetter, provider: str) -> _Case | None:
    rows = NotificationMessage.objects.select_related("notification")
    message = rows.filter(pk=letter.message_id, status=MessageStatus.UNCERTAIN).first()
    address = _address_of(message) if message else ""
    if message is None or not address:
        return None
    settings = environment()
    before_s = settings.lease_seconds + settings.call_seconds + _SLACK_S
    failed_s = letter.failed_at.timestamp()
    sender = str((message.notification.options or {}).get("sender", ""))
    question = Question(
        address, failed_s - before_s, failed_s + _SLACK_S, message.provider_message_id or "", sender
    )
    return _Case(message, provider, question, letter.pk)


def _address_of(message: NotificationMessage) -> str:
    kind = CONTACT_KIND_OF_CHANNEL.get(Channel(message.channel), "")
    points = ContactPoint.objects.filter(user_id=message.user_id or 0, kind=kind)
    return points.values_list("address", flat=True).first() or ""


def _silent(askable: set[str], now: datetime) -> list[_Case]:
    """Messages that were taken a while ago and that no receipt came for.

    Attempts are read in the order of their keys, each once, behind a mark that all processes
    share; the first time it is set at the end of what there is.
    """
    with transaction.atomic():
        AskedUpTo.objects.get_or_create(
            pk=1, defaults={"attempt": DeliveryAttempt.objects.aggregate(Max("pk"))["pk__max"] or 0}
        )
        mark = AskedUpTo.objects.select_for_update(skip_locked=True).filter(pk=1).first()
        if mark is None:
            return []  # another process asks
        due = DeliveryAttempt.objects.filter(pk__gt=mark.attempt, at__lt=now - SILENT_AFTER)
        columns = ("pk", "provider", "verdict", "message_id", "provider_message_id", "at")
        taken: dict[int, tuple[str, str]] = {}
        end = mark.attempt
        for key, provider, verdict, message, name, at in due.order_by("pk").values_list(*columns)[
            :_ATTEMPTS_AT_ONCE
        ]:
            end = key
            fresh = at > now - FORGOTTEN_AFTER
            if provider in askable and verdict == Verdict.SENT and name and fresh:
                taken[message] = (provider, name)
            if len(taken) == _AT_ONCE:
                break
        if end != mark.attempt:
            mark.attempt = end
            mark.save()
    rows = NotificationMessage.objects.filter(pk__in=list(taken), status=MessageStatus.SENT)
    return [
        _Case(message, taken[message.pk][0], Question("", 0, 0, taken[message.pk][1]))
        for message in rows.select_related("notification")
    ]


def _settle(case: _Case, found: list[Receipt] | None, now: datetime) -> bool:
    """Applies an answer that leaves no doubt, and notes what was asked."""
    if found is None:
        _note(case, "no_answer", now)
        return False
    if not case.question.provider_message_id:
        found = _nobody_elses(case, found)
        if len(found) != 1 or _has_twin(case):
            _note(case, "not_found" if not found else "several", now)
            return False
    if not found:
        return False
    uuid = case.message.notification.uuid
    receipt = replace(found[0], reference=f"{uuid.hex}.{case.message.channel}")
    if case.letter:
        _note(case, "found", now)
    apply_receipt(receipt, provider=case.provider, now=now)
    return True


def _nobody_elses(case: _Case, found: Sequence[Receipt]) -> list[Receipt]:
    names = [receipt.provider_message_id for receipt in found]
    attempts = DeliveryAttempt.objects.filter(provider_message_id__in=names)
    taken = set(
        attempts.exclude(message_id=case.message.pk).values_list("provider_message_id", flat=True)
    )
    return [receipt for receipt in found if receipt.provider_message_id not in taken]


def _has_twin(case: _Case) -> bool:
    """Whether another message of this person was in doubt about that time: either may be meant."""
    since_s, until_s = case.question.since_s, case.question.until_s
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
    letters = DeadLetter.objects.filter(message_id__in=keys, failed_at__range=about)
    attempts = DeliveryAttempt.objects.filter(message_id__in=keys, at__range=about)
    return (
        letters.filter(code="uncertain").exists()
        or attempts.filter(verdict=Verdict.UNCERTAIN).exists()
    )


def _note(case: _Case, result: str, now: datetime) -> None:
    MessageEvent.objects.create(
        message_id=case.message.pk, kind="asked", reason=f"asked:{case.provider}:{result}", at=now
    )
