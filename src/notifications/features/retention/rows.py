"""Walks over tables of which each row stands for itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from django.db.models import Exists, Max, Model, OuterRef, Q, QuerySet

from directory.models import AddressProof
from notifications.features.inbox import actions
from notifications.features.retention.walks import Aged, RoundPlan, StepOutcome
from notifications.infra.conf import environment
from notifications.models import (
    UNREAD,
    ChangeKind,
    DigestItem,
    InboundSms,
    InboxArrival,
    InboxChange,
    InboxCounter,
    NotificationMessage,
    WebhookDelivery,
)
from notifications.models.fields import EMPTIED


def facts_age() -> timedelta:
    """Returns the age at which facts are deleted."""
    return timedelta(days=environment().facts_retention_days)


def contents_age() -> timedelta:
    """Returns the age at which contents are emptied."""
    return timedelta(days=environment().contents_retention_days)


def remove(rows: QuerySet[Any], plan: RoundPlan) -> Counter[str]:
    """Deletes rows by one statement, without looking for rows that name them; returns the count.

    In a dry run it counts them.
    """
    count = rows._raw_delete(rows.db) if plan.applies else rows.count()
    return +Counter({rows.model._meta.db_table: count or 0})


class RowWalk:
    """Deletes the due rows of a table.

    born: the column that rises with the key. at: further columns; the age counts from the latest
    time in any of them. age: the age at which rows are due.
    """

    repeats = False

    def __init__(
        self,
        model: type[Model],
        *,
        born: str,
        at: Sequence[str] = (),
        age: Callable[[], timedelta],
    ) -> None:
        self._model = model
        self._times = (born, *at)
        self._age = age

    def groups(self, plan: RoundPlan) -> Sequence[int]:
        return ()

    def age(self, plan: RoundPlan, group: int) -> timedelta | None:
        return self._age()

    def left_at(self, plan: RoundPlan, group: int) -> timedelta | None:
        return None

    def rows(self) -> QuerySet[Any]:
        """Returns all rows that are walked."""
        return self._model._default_manager.all()

    def after(self, position: int, count: int) -> list[Aged]:
        return self._read(self.rows().filter(pk__gt=position).order_by("pk")[:count])

    def named(self, keys: Sequence[int]) -> list[Aged]:
        return self._read(self.rows().filter(pk__in=keys).order_by("pk"))

    def _read(self, rows: QuerySet[Any]) -> list[Aged]:
        found = rows.values_list("pk", *self._times)
        return [Aged(key, times[0], max(filter(None, times))) for key, *times in found]

    def apply(self, keys: Sequence[int], plan: RoundPlan, budget: int) -> StepOutcome:
        return StepOutcome(remove(self.rows().filter(pk__in=keys), plan))


class Orphans(RowWalk):
    """Deletes rows of messages that no longer exist.

    Rows of existing messages go with them: the walk passes those and does not come back.
    """

    def __init__(self, model: type[Model], *, born: str, only: Q | None = None) -> None:
        super().__init__(model, born=born, age=facts_age)
        self._only = only or Q()

    def rows(self) -> QuerySet[Any]:
        return super().rows().filter(self._only)

    def apply(self, keys: Sequence[int], plan: RoundPlan, budget: int) -> StepOutcome:
        message = NotificationMessage.objects.filter(pk=OuterRef("message_id"))
        rows = self.rows().filter(pk__in=keys).exclude(Exists(message))
        gone = list(rows.values_list("pk", flat=True))
        return StepOutcome(remove(self._model._default_manager.filter(pk__in=gone), plan))


class Outbox(RowWalk):
    """Deletes ended deliveries to status webhooks. Waiting ones go with their event, later."""

    def __init__(self) -> None:
        super().__init__(
            WebhookDelivery,
            born="created_at",
            age=lambda: timedelta(days=environment().outbox_retention_days),
        )

    def apply(self, keys: Sequence[int], plan: RoundPlan, budget: int) -> StepOutcome:
        return StepOutcome(remove(self.rows().filter(pk__in=keys, next_at=None), plan))


class InboundTexts(RowWalk):
    """Empties the texts of incoming SMS."""

    def __init__(self) -> None:
        super().__init__(InboundSms, born="received_at", age=contents_age)

    def apply(self, keys: Sequence[int], plan: RoundPlan, budget: int) -> StepOutcome:
        rows = InboundSms.objects.filter(pk__in=keys).exclude(content=EMPTIED)
        users = dict(rows.values_list("pk", "users"))
        stays = [key for key, people in users.items() if not plan.held.isdisjoint(people)]
        gone = [key for key in users if key not in stays]
        if plan.applies:
            InboundSms.objects.filter(pk__in=gone).update(content=EMPTIED)
        return StepOutcome(+Counter({InboundSms._meta.db_table: len(gone)}), stays)


class DigestSummaries(RowWalk):
    """Empties the summaries of messages in digests that were sent."""

    def __init__(self) -> None:
        super().__init__(DigestItem, born="at", age=contents_age)

    def apply(self, keys: Sequence[int], plan: RoundPlan, budget: int) -> StepOutcome:
        rows = DigestItem.objects.filter(pk__in=keys).exclude(summary=EMPTIED)
        due, stays = _without_held(
            rows, Q(bucket__user_id__in=plan.held) | Q(bucket__closed_at=None)
        )
        gone = list(due.values_list("pk", flat=True))
        if plan.applies:
            DigestItem.objects.filter(pk__in=gone).update(summary=EMPTIED)
        return StepOutcome(+Counter({DigestItem._meta.db_table: len(gone)}), stays)


class Proofs(RowWalk):
    """Deletes codes for the proof of addresses a day after they ended. It repeats every day."""

    repeats = True

    def __init__(self) -> None:
        super().__init__(
            AddressProof, born="created_at", at=("expires_at",), age=lambda: timedelta(days=1)
        )


class InboxArrivals(RowWalk):
    """Deletes old arrivals. What is unread or snoozed still is archived first, as an event."""

    def __init__(self) -> None:
        super().__init__(InboxArrival, born="arrived_at", age=_arrivals_age)

    def apply(self, keys: Sequence[int], plan: RoundPlan, budget: int) -> StepOutcome:
        due, stays = _without_held(self.rows().filter(pk__in=keys), Q(user_id__in=plan.held))
        if plan.applies:
            # Locked to the end of the step: no one marks one as unread while it is deleted.
            InboxCounter.objects.lock(due.values_list("user_id", flat=True).distinct())
            open_ones = due.filter(UNREAD) | due.filter(snoozed_until__isnull=False)
            of_people: dict[int, list[int]] = defaultdict(list)
            for user_id, key in open_ones.order_by("user_id").values_list("user_id", "pk"):
                of_people[user_id].append(key)
            for user_id, some in of_people.items():
                actions.act(user_id, some, ChangeKind.ARCHIVED)
        return StepOutcome(remove(due, plan), stays)


class InboxChanges(RowWalk):
    """Deletes old changes. Clients that are behind them get a snapshot from then on."""

    def __init__(self) -> None:
        super().__init__(InboxChange, born="at", age=_changes_age)

    def apply(self, keys: Sequence[int], plan: RoundPlan, budget: int) -> StepOutcome:
        due, stays = _without_held(self.rows().filter(pk__in=keys), Q(user_id__in=plan.held))
        if plan.applies:
            tops = dict(due.values_list("user_id").annotate(top=Max("seq")))
            for user_id, counter in InboxCounter.objects.lock(tops).items():
                counter.floor = max(counter.floor, tops[user_id])
                counter.save(update_fields=["floor"])
        return StepOutcome(Counter(remove(due, plan)), stays)


def _without_held(rows: QuerySet[Any], held: Q) -> tuple[QuerySet[Any], list[int]]:
    """Returns the rows without those that have to stay, and the keys of these."""
    stays = list(rows.filter(held).values_list("pk", flat=True))
    return rows.exclude(pk__in=stays), stays


def _arrivals_age() -> timedelta:
    return timedelta(days=environment().inbox_retention_days)


def _changes_age() -> timedelta:
    return timedelta(days=environment().inbox_change_retention_days)
