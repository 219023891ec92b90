"""Accepts requests: one transaction of set-based inserts for any number of recipients.

The responses 201 and 202 mean that the rows are committed. Workers are woken after the commit.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import transaction

from directory.keys import load_keys_of_people
from directory.models import AddressKey
from notifications.domain.channels import KIND_OF_ADDRESS, Lane, Priority, lane_for
from notifications.domain.identifiers import public_id
from notifications.domain.messages import Attachment
from notifications.infra import clock, ports
from notifications.infra.crypto import seal_json
from notifications.infra.database import commits
from notifications.infra.process import wakeups
from notifications.intake.attachments import key_for_files
from notifications.intake.columns import (
    EXPERIMENT_COLUMNS,
    MESSAGE_COLUMNS,
    NOTIFICATION_COLUMNS,
)
from notifications.intake.request import Terms
from notifications.models import Job, StoredAttachment, reserve_keys
from notifications.models.delivery.hot import MESSAGES, NOTIFICATIONS, hot
from notifications.queue import batches
from notifications.queue.leases import NewBatch
from vault.cells import Key

MAX_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class AssignedVariant:
    """The place of a recipient in a test, and what they get: None for the intent's version.

    Without a test, the label says which choice was learned.
    """

    test_id: int | None
    label: str
    template_version_id: int | None = None


@dataclass(frozen=True, slots=True)
class SendTarget:
    """One recipient of an accepted request: a user or an address, and the channels."""

    user_id: int | None
    channels: tuple[str, ...]
    #: The recipient's own part of the context.
    context: dict[str, Any] | None = None
    address: dict[str, str] | None = None
    #: The notification's key, where it was reserved before.
    key: int | None = None
    #: The data key of the person or address; `accept` loads it where it is missing.
    data_key: Key | None = None
    #: Where a test of the template is in force.
    assigned: AssignedVariant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """The part of an accepted request that all its targets share."""

    terms: Terms
    priority: Priority
    category_id: int
    category_key: str
    template_version_id: int | None
    source: str
    mass: bool = False
    is_test: bool = False
    locale: str = ""
    #: The text of a send without a template. Without both, the text is in the job's context.
    text: dict[str, str] | None = None
    #: The caller's word for the kind of notification; empty means the category's key.
    type: str = ""
    #: The most calls to providers for one message.
    max_attempts: int = MAX_ATTEMPTS
    idempotency_key: str | None = None
    correlation_id: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The keys of the rows that were written."""

    #: One for each target, in order.
    notification_keys: list[int]
    #: Those of all messages, in order.
    message_keys: list[int]
    uuids: list[str]
    due_at: datetime


def accept(
    intent: Intent, targets: Sequence[SendTarget], *, now: datetime, job: Job | None = None
) -> Accepted:
    """Writes the notifications, messages and batches of the targets: all of them or none.

    A notification's first message has the notification's own key. The keys of its other channels
    follow it. A job that is not stored yet is stored with the keys of its messages. Its data key
    was given before (`JobManager.give_keys`).
    """
    due_at = _due_at(intent.terms, now)
    files = intent.terms.attachments
    if _has_texts(intent, targets, job) or (files and len(targets) == 1):
        targets = _with_keys(targets)
    file_key = key_for_files([each.data_key for each in targets]) if files else None
    with transaction.atomic(savepoint=False):
        wanted = sum(len(target.channels) - (target.key is not None) for target in targets)
        new = [job] if job is not None and job._state.adding else []
        reserved = reserve_keys(wanted + len(new)) if wanted or new else []
        keys = iter(reserved)
        for each in new:
            each.pk, each.first_key, each.last_key = next(keys), reserved[1], reserved[-1]
        rows = _Rows(intent, now=now, job_id=job.pk if job else None)
        for target in targets:
            rows.add(target, keys)
        if file_key is not None:
            rows.attach(files, due_at=due_at or now, data_key=file_key)
        made = _batches(intent, rows.by_channel, due_at)
        messages = _insert(rows.notifications, rows.messages, made, new)
        if job is None and rows.notifications:  # one proves all: they are committed together
            commits.name_created(notification_id=UUID(rows.notifications[0][1]))
        wakeups.wake([lane_for(intent.priority, mass=intent.mass)])
    return Accepted(
        notification_keys=[row[0] for row in rows.notifications],
        message_keys=[row[0] for row in messages],
        uuids=[row[1] for row in rows.notifications],
        due_at=due_at or now,
    )


def _has_texts(intent: Intent, targets: Sequence[SendTarget], job: Job | None) -> bool:
    """Whether a row needs a data key: a job without own contexts of its recipients needs none."""
    own = bool(intent.text) or (job is None and bool(intent.terms.context))
    return own or any(target.context or target.address for target in targets)


def _with_keys(targets: Sequence[SendTarget]) -> Sequence[SendTarget]:
    """Adds the data keys that are missing. A person who was erased has none."""
    absent = [target for target in targets if target.data_key is None]
    if not absent:
        return targets
    users = [target.user_id for target in absent if target.user_id is not None]
    people = load_keys_of_people(users) if users else {}
    strangers = [target for target in absent if target.user_id is None and target.address]
    given = AddressKey.objects.for_sends([_by_kind(each.address or {}) for each in strangers])
    addresses = {id(target): key for target, key in zip(strangers, given, strict=True)}
    return [
        replace(target, data_key=people.get(target.user_id or 0) or addresses.get(id(target)))
        if target.data_key is None
        else target
        for target in targets
    ]


def _by_kind(address: Mapping[str, str]) -> dict[str, str]:
    """Returns the addresses that a send names, by the kind of contact point."""
    return {KIND_OF_ADDRESS[name]: text for name, text in address.items()}


def accept_sends(sends: Sequence[tuple[Intent, SendTarget]], *, now: datetime) -> list[str]:
    """Writes single sends of many callers in the caller's transaction; all of them or none.

    Messages of one lane, channel, source and due time share a batch. Attachments are not taken.

    Returns:
        the UUID of each notification, as 32 hexadecimal digits, in the order of the sends.
    """
    keys = iter(reserve_keys(sum(len(target.channels) for _, target in sends)))
    rows = [_Rows(intent, now=now, job_id=None) for intent, _ in sends]
    for (_, target), own in zip(sends, rows, strict=True):
        own.add(target, keys)
    _write(rows, now=now)
    return [row[1] for own in rows for row in own.notifications]


def accept_jobs(jobs: Sequence[tuple[Intent, Sequence[SendTarget], Job]], *, now: datetime) -> None:
    """Writes new jobs of many callers, with their targets, in the caller's transaction.

    All of them or none. Each has a target, and a data key for its context. No attachments.
    """
    counts = [sum(len(target.channels) for target in targets) for _, targets, _ in jobs]
    keys = iter(reserve_keys(len(jobs) + sum(counts)))
    shares = [list(islice(keys, count + 1)) for count in counts]
    for (_, _, job), share in zip(jobs, shares, strict=True):
        job.pk, job.first_key, job.last_key = share[0], share[1], share[-1]
    rows = []
    for (intent, targets, job), share in zip(jobs, shares, strict=True):
        own, left = _Rows(intent, now=now, job_id=job.pk), iter(share[1:])
        for target in targets:
            own.add(target, left)
        rows.append(own)
    _write(rows, now=now, jobs=[job for _, _, job in jobs])


def _write(rows: Sequence[_Rows], *, now: datetime, jobs: Sequence[Job] = ()) -> None:
    """Writes the rows of many acceptances, and wakes their lanes after the commit."""
    places: dict[tuple[Lane, str, str, datetime | None], list[_Member]] = defaultdict(list)
    for own in rows:
        intent = own.intent
        lane, due_at = lane_for(intent.priority, mass=intent.mass), _due_at(intent.terms, now)
        for channel, members in own.by_channel.items():
            place = places[lane, channel, intent.source, due_at]
            place += [(key, intent.terms.expires_at) for key in members]
    notifications = [row for own in rows for row in own.notifications]
    messages = [row for own in rows for row in own.messages]
    _insert(notifications, messages, _shared_batches(places), jobs)
    wakeups.wake({lane for lane, _, _, _ in places})


_Member = tuple[int, datetime | None]
"""The key of a message, and when it expires."""


def _shared_batches(
    places: Mapping[tuple[Lane, str, str, datetime | None], Sequence[_Member]],
) -> list[NewBatch]:
    """The batches of messages by (lane, channel, source, due time)."""
    made: list[NewBatch] = []
    for (lane, channel, source, due_at), members in places.items():
        ends = [expires_at for _, expires_at in members if expires_at is not None]
        made += batches.batches_of(
            lane=lane,
            channel=channel,
            source=source,
            due_at=due_at,
            keys=[key for key, _ in members],
            expires_at=min(ends, default=None),
        )
    return made


def _due_at(terms: Terms, now: datetime) -> datetime | None:
    """When the batches are due; None: now, by the database's clock."""
    return terms.scheduled_at if terms.scheduled_at and terms.scheduled_at > now else None


def _insert(
    notifications: Sequence[tuple[Any, ...]],
    messages: Sequence[tuple[Any, ...]],
    made: Sequence[NewBatch],
    jobs: Sequence[Job],
) -> list[tuple[Any, ...]]:
    """Writes new jobs, batches, notifications and messages; returns messages with their batches."""
    batch_of = {
        key: batch_id
        for batch, batch_id in zip(made, batches.insert(made), strict=True)
        for key in batch.keys
    }
    placed = [(*row[:6], batch_of[row[0]], *row[7:]) for row in messages]
    columns: tuple[str, ...] = NOTIFICATION_COLUMNS
    widest = max(map(len, notifications), default=0)
    if widest > len(columns):
        columns += EXPERIMENT_COLUMNS
        blank = (None,) * len(EXPERIMENT_COLUMNS)
        notifications = [row if len(row) == widest else row + blank for row in notifications]
    with hot().inserts_together(max(len(notifications), len(placed))):
        Job.objects.insert(jobs)
        hot().insert_rows(NOTIFICATIONS, columns, notifications)
        hot().insert_rows(MESSAGES, MESSAGE_COLUMNS, placed)
    return placed


class _Rows:
    """Builds the rows of one acceptance; values that all rows share are computed once."""

    def __init__(self, intent: Intent, *, now: datetime, job_id: int | None) -> None:
        terms = intent.terms
        self.intent = intent
        self.notifications: list[tuple[Any, ...]] = []
        self.messages: list[tuple[Any, ...]] = []
        self.by_channel: dict[str, list[int]] = defaultdict(list)
        self._at_ms = clock.epoch_ms(now)
        time_value = hot().time_value
        scheduled = terms.scheduled_at is not None
        self._due = time_value(max(terms.scheduled_at or now, now))
        self._priority = int(intent.priority)
        self._max_attempts = intent.max_attempts
        self._head = (
            intent.category_id,
            intent.template_version_id,
            job_id,
            intent.type or intent.category_key,
            self._priority,
            intent.source,
            intent.locale,
        )
        # A job holds the shared context of all its recipients; a single send holds its own.
        self._context = None if job_id else terms.context
        self._options = terms.options
        self._tail = (
            json.dumps(terms.options) if terms.options else None,
            self._due,
            "pending" if scheduled else None,
            time_value(terms.expires_at),
            terms.collapse_key,
            terms.ordering_key,
            intent.idempotency_key,
            intent.correlation_id,
            intent.is_test,
            time_value(now),
        )

    def add(self, target: SendTarget, keys: Iterator[int]) -> None:
        """Adds a target's rows, with one key for each channel.

        The first channel uses the target's own key where there is one.
        """
        more = len(target.channels) - (target.key is not None)
        own = [*([] if target.key is None else [target.key]), *islice(keys, more)]
        key, data_key = own[0], target.data_key
        text, context = self.intent.text, target.context or self._context
        if data_key is None:  # the person was erased: nothing of theirs may be stored
            text = context = None
        head: tuple[Any, ...] = self._head
        place: tuple[Any, ...] = ()
        assigned = target.assigned
        if assigned is not None:
            place = (assigned.test_id, assigned.label)
            version = assigned.template_version_id or head[1]
            head = (head[0], version, *head[2:])
        self.notifications.append(
            (
                key,
                public_id(key, self._at_ms, ports.bits(12)).hex,
                target.user_id,
                seal_json(target.address, data_key) if target.address and data_key else None,
                *head,
                seal_json(text, data_key) if text else None,
                seal_json(context, data_key) if context else None,
                *self._tail,
                *place,
            )
        )
        for message_key, channel in zip(own, target.channels, strict=True):
            self.by_channel[channel].append(message_key)
            self.messages.append(
                (
                    message_key,
                    key,
                    target.user_id,
                    channel,
                    self._priority,
                    "pending",
                    None,
                    self._due,
                    0,
                    self._max_attempts,
                )
            )

    def attach(self, files: Sequence[Attachment], *, due_at: datetime, data_key: Key) -> None:
        """Stores each file once and names the files in every row."""
        keys = [row[0] for row in self.notifications]
        store = StoredAttachment.objects.store
        names = store(files, keys=keys, due_at=due_at, data_key=data_key)
        options = json.dumps({**self._options, "attachments": names})
        place = NOTIFICATION_COLUMNS.index("options")
        self.notifications = [
            (*row[:place], options, *row[place + 1 :]) for row in self.notifications
        ]


def _batches(
    intent: Intent, by_channel: dict[str, list[int]], due_at: datetime | None
) -> list[NewBatch]:
    """The batches of an acceptance with one intent."""
    lane = lane_for(intent.priority, mass=intent.mass)
    made: list[NewBatch] = []
    for channel, keys in by_channel.items():
        made += batches.batches_of(
            lane=lane,
            channel=channel,
            source=intent.source,
            due_at=due_at,
            keys=keys,
            expires_at=intent.terms.expires_at,
        )
    return made
