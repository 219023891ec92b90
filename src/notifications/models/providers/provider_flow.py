"""Rate limits and circuit breakers of the services behind providers, shared by all workers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from django.db import connection, models, transaction

from directory.moments import LATEST
from notifications.domain import flow as law
from notifications.domain.flow import CallCounts, ChatRate, Flow, Grant, Rate
from notifications.infra import clock, ports
from notifications.infra.database.clock_bridge import learn_reading

Rows = models.QuerySet["ProviderFlow"]
_CHAT_RETENTION_US = 60 * law.US
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_US = (LATEST - _EPOCH) // timedelta(microseconds=1)


def moment(us: int) -> datetime:
    """Returns Unix microseconds as a time, limited to the accepted range."""
    return _EPOCH + timedelta(microseconds=max(0, min(us, _LAST_US)))


def now_us() -> int:
    """Returns the time of the database, the clock that all workers share, in Unix microseconds."""
    before = clock.monotonic()
    frozen = clock.frozen()
    if frozen is not None:
        return learn_reading(before, (frozen - _EPOCH) // timedelta(microseconds=1))
    if connection.vendor == "sqlite":
        return learn_reading(before, (ports.utc_now() - _EPOCH) // timedelta(microseconds=1))
    with connection.cursor() as cursor:
        cursor.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        return learn_reading(before, int(cursor.fetchone()[0]))


class ProviderFlowManager(models.Manager["ProviderFlow"]):
    """Claims slots and reports results, each in one short transaction with the row locked."""

    def claim(
        self,
        service: str,
        *,
        owner: str,
        rate: Rate | None,
        wanted: Sequence[str],
        horizon_us: int = law.HORIZON_US,
        chat_rate: ChatRate = None,
    ) -> Grant:
        """Claims slots for calls to a service. `wanted` names the recipient of each call."""
        with transaction.atomic():
            row, now = self._locked(service, rate)
            chats = _chats(service, wanted) if chat_rate else None
            flow, grant = law.claim(
                row.flow(),
                now=now,
                owner=owner,
                rate=rate,
                wanted=wanted,
                horizon=horizon_us,
                chats=chats,
                chat_rate=chat_rate,
            )
            row.write(flow)
            if grant.chats:
                _write_chats(service, grant.chats, now)
        return replace(grant, now=now)

    def report(
        self,
        service: str,
        tally: CallCounts,
        *,
        owner: str,
        faults_to_open: int,
        open_us: int,
        code: str = "",
    ) -> tuple[str, str]:
        """Adds the results of a process; returns the breaker's state before and after."""
        with transaction.atomic():
            row, now = self._locked(service, None)
            before = row.flow()
            after = law.apply_report(
                before,
                tally,
                now=now,
                owner=owner,
                faults_to_open=faults_to_open,
                open_us=open_us,
            )
            if tally.successes:
                row.last_success_at = moment(now)
            if tally.faults:
                row.last_fault_at, row.last_fault_code = moment(now), code[:60]
            row.write(after, everything=True)
        return before.state(now), after.state(now)

    def troubled(self) -> dict[str, tuple[int, int]]:
        """Returns services with an open breaker or a pause.

        The values are how long nothing may be sent, and how long the pause lasts, both in
        microseconds from now.
        """
        now = now_us()
        rows = self.filter(models.Q(open_until__gt=0) | models.Q(next_at__gt=now + law.US))
        found: dict[str, tuple[int, int]] = {}
        for service, open_until, probe_until, next_at in rows.values_list(
            "service", "open_until", "probe_until", "next_at"
        ):
            # A probe may end at any moment: who waits for it checks again in a second.
            blocked_until = open_until if open_until > now else min(probe_until, now + law.US)
            found[service] = (max(0, blocked_until - now), max(0, next_at - now))
        return found

    def broken(self, services: Iterable[str]) -> set[str]:
        """Returns those services whose breaker is open and does not probe yet."""
        rows = self.filter(service__in=list(services), open_until__gt=now_us())
        return set(rows.values_list("service", flat=True))

    def close(self, service: str) -> bool:
        """Closes a breaker and ends a pause; returns False when the service is unknown."""
        with transaction.atomic():
            row = self.select_for_update().filter(service=service).first()
            if row is None:
                return False
            row.write(Flow(next_at=min(row.next_at, now_us()), window_at=now_us()))
        return True

    @staticmethod
    def idle(
        rows: models.QuerySet[ProviderFlow], *, before: datetime
    ) -> models.QuerySet[ProviderFlow]:
        """Returns the rows of services (mostly hosts) without a call since `before`."""
        idle = models.Q(last_fault_at__lt=before) | models.Q(last_fault_at=None)
        fresh = models.Q(last_success_at__gte=before)
        return rows.filter(idle, open_until=0, service__contains="|").exclude(fresh)

    def _locked(self, service: str, rate: Rate | None) -> tuple[ProviderFlow, int]:
        """Returns the locked row and the time. A new row has its first slot one spacing later."""
        row = self.select_for_update().filter(service=service).first()
        if row is None:
            first = now_us() + (rate.spacing_us if rate else 0)
            made = ProviderFlow(service=service, next_at=first)
            self.bulk_create([made], ignore_conflicts=True)
            row = self.select_for_update().get(service=service)
        return row, now_us()


class ProviderFlow(models.Model):
    """One service: a provider, or a host where a provider reaches many (`webhook|example.com`).

    Times with no `_at` of datetime are Unix microseconds; see domain/flow.py.
    """

    service = models.CharField(max_length=120, unique=True)
    next_at = models.BigIntegerField(default=0)
    open_until = models.BigIntegerField(default=0)
    probe_owner = models.CharField(max_length=80, blank=True, default="")
    probe_until = models.BigIntegerField(default=0)
    window_at = models.BigIntegerField(default=0)
    faults = models.IntegerField(default=0)
    successes = models.IntegerField(default=0)
    last_success_at = models.DateTimeField(null=True, blank=True)
    last_fault_at = models.DateTimeField(null=True, blank=True)
    last_fault_code = models.CharField(max_length=60, blank=True, default="")

    objects: ClassVar[ProviderFlowManager] = ProviderFlowManager()

    def __str__(self) -> str:
        return self.service

    def flow(self) -> Flow:
        """Returns the row as `domain.flow` reads it."""
        return Flow(
            self.next_at,
            self.open_until,
            self.probe_owner,
            self.probe_until,
            self.window_at,
            self.faults,
            self.successes,
        )

    def write(self, flow: Flow, *, everything: bool = False) -> None:
        """Writes the result of `domain.flow`. The row must be locked."""
        if flow == self.flow() and not everything:
            return
        self.next_at, self.open_until = flow.next_at, flow.open_until
        self.probe_owner, self.probe_until = flow.probe_owner, flow.probe_until
        self.window_at, self.faults, self.successes = flow.window_at, flow.faults, flow.successes
        self.save()


class ChatFlow(models.Model):
    """When one chat, or another recipient with its own limit, may be called next."""

    service = models.CharField(max_length=120)
    chat = models.CharField(max_length=40)
    next_at = models.BigIntegerField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["service", "chat"], name="chat_flow_once")]

    def __str__(self) -> str:
        return f"a chat of {self.service}"


def _chats(service: str, wanted: Sequence[str]) -> dict[str, int]:
    rows = ChatFlow.objects.filter(service=service, chat__in=set(wanted))
    return dict(rows.values_list("chat", "next_at"))


def _write_chats(service: str, chats: dict[str, int], now: int) -> None:
    """Writes the times of chats. The service's row is locked, so no other process writes them."""
    ChatFlow.objects.filter(service=service, next_at__lt=now - _CHAT_RETENTION_US).delete()
    ChatFlow.objects.bulk_create(
        [ChatFlow(service=service, chat=chat, next_at=at) for chat, at in chats.items()],
        update_conflicts=True,
        unique_fields=["service", "chat"],
        update_fields=["next_at"],
    )
