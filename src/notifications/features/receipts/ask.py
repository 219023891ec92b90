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
from functools import partial, reduce
from operator import or_

import structlog
from django.db import transaction
from django.db.models import Max, Q, QuerySet

from directory.models import ContactPoint
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
from notifications.engine.shared_rows import refresh_accounts
from notifications.features.background.items import Items
from notifications.infra.conf import environment
from notifications.models import (
    AskedUpTo,
    DeadLetter,
    DeliveryAttempt,
    ItemFault,
    MessageEvent,
    NotificationMessage,
    Work,
)
from notifications.recording.receipts import apply_receipt

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
    doubts, silences = Items(Work.DOUBT, now=now), Items(Work.SILENCE, now=now)
    cases = [*_in_doubt(askable, now, doubts), *_silent(askable, now, silences)]
    if not cases:
        return 0
    clear = 0
    for case, found in zip(cases, asyncio.run(_ask_all(cases)), strict=True):
        items, key = (doubts, case.letter) if case.letter else (silences, case.message.pk)
        clear += items.one(key, partial(_settle, case, found, now), default=False)
    return clear


async def _ask_all(cases: Sequence[_Case]) -> list[list[Receipt] | None]:
    """The answers, in order; None for a question that was not answered in time."""
    providers = {key: provider_class(key)() for key in {case.provider for case in cases}}
    opened = dict(providers)
    answers: list[list[Receipt] | None] = [None] * len(cases)

    async def ask(place: int, case: _Case) -> None:
        if case.provider not in opened:
            return
        try:
            answers[place] = await opened[case.provider].look_up(case.question)
        except Exception as error:  # nonsense of one answer is no reason to drop the others
            log.error("asking.failed", provider=case.provider, **where(error))

    try:
        for key, provider in list(providers.items()):
            try:
                await provider.open()
            except Exception as error:  # the questions to the others are asked
                log.error("asking.closed", provider=key, **where(error))
                del opened[key]
        async with asyncio.timeout(_ROUND_S):
            await asyncio.gather(*(ask(place, case) for place, case in enumerate(cases)))
    except TimeoutError:
        log.warning("asking.unanswered", count=answers.count(None))
    finally:
        for provider in opened.values():
            await provider.close()
    return answers


def _in_doubt(askable: set[str], now: datetime, items: Items) -> list[_Case]:
    """Open letters in doubt whose time to ask has come; each is counted as asked."""
    moments = enumerate(now - wait for wait in ASK_AFTER)
    ripe = reduce(or_, (Q(asked=asked, failed_at__lte=at) for asked, at in moments))
    alone = [channel.value for channel in Channel if _only_provider(channel) in askable]
    theirs = Q(provider__in=askable) | Q(provider="", channel__in=alone)
    rows = DeadLetter.objects.filter(
        ripe & theirs,
        resolved_at__isnull=True,
        code="uncertain",
        asked__lt=len(ASK_AFTER),
        failed_at__lte=now - ASK_AFTER[0],
        failed_at__gt=now - FORGOTTEN_AFTER,
    )
    found: list[_Case] = []
    for letter in items.open(rows).order_by("failed_at", "id").defer("last_result")[: 4 * _AT_ONCE]:
        case = items.one(letter.pk, partial(_claim, letter), default=None, last=False)
        if case is not None:
            found.append(case)
        if len(found) == _AT_ONCE:
            break
    return found


def _claim(letter: DeadLetter) -> _Case | None:
    """What is to be asked of a letter now; None where nothing is, or another process asks."""
    case = _case_of(letter, letter.provider or _only_provider(letter.channel))
    claimed = DeadLetter.objects.filter(pk=letter.pk, asked=letter.asked)
    return case if claimed.update(asked=letter.asked + 1) else None


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
    point = points.first()
    return point.written_to if point else ""


def _silent(askable: set[str], now: datetime, items: Items) -> list[_Case]:
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
        taken = _failed_before(askable, now)
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
    cases = []
    for key in taken:
        read = partial(_case_of_silence, rows, key, taken[key])
        case = items.one(key, read, default=None, last=False)
        if case is not None:
            cases.append(case)
    return cases


def _case_of_silence(
    rows: QuerySet[NotificationMessage], key: int, asked: tuple[str, str]
) -> _Case | None:
    message = rows.select_related("notification").filter(pk=key).first()
    provider, name = asked
    return _Case(message, provider, Question("", 0, 0, name)) if message else None


def _failed_before(askable: set[str], now: datetime) -> dict[int, tuple[str, str]]:
    """Messages whose answer could not be applied, and whose next try is due: (provider, name)."""
    faults = ItemFault.objects.filter(work=Work.SILENCE, next_at__lte=now)
    keys = list(faults.order_by("next_at", "pk").values_list("item", flat=True)[:_AT_ONCE])
    rows = DeliveryAttempt.objects.filter(message_id__in=keys, verdict=Verdict.SENT)
    columns = ("message_id", "provider", "provider_message_id")
    return {
        message: (provider, name)
        for message, provider, name in rows.order_by("pk").values_list(*columns)
        if name and provider in askable
    }


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
