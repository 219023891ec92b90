"""What is known of each periodic loop: one row a loop, which every process that runs it writes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce, Greatest

from notifications.domain.loops import LoopSpec
from notifications.infra.database.time import database_time

_ERROR_LENGTH = 200


@dataclass(frozen=True, slots=True)
class LoopReport:
    """What a process says of a loop that it holds.

    finished_s: seconds since its last good round ended, None while there was none. failures: rounds
    that failed since then; error: the last one's kind.
    """

    name: str
    finished_s: float | None = None
    failures: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class KnownLoop:
    """What is known of a loop by the database's clock.

    silent_s: seconds since its last good round ended, or since it was registered where that was
    later. owner: the process that holds it now, or nobody. failures: rounds that failed since its
    last good one.
    """

    name: str
    silent_s: float
    owner: str
    last_error: str
    failures: int


@dataclass(frozen=True, slots=True)
class LastRound:
    """The last round that anybody ran of some loops, well or not. ago_s: seconds since it ended, or
    since a process began to look after them where that was later. owner: who ran it, and at: when;
    nobody and None where none ever ended."""

    ago_s: float
    owner: str = ""
    at: datetime | None = None


class LoopManager(models.Manager["PeriodicLoop"]):
    """Claims loops and notes their rounds. Each call is one or two short statements of its own, so
    that no lock on a row outlives it."""

    def register(self, specs: Iterable[LoopSpec]) -> None:
        """Makes the rows that are missing, and gives loops that rested time for a first round.

        The time is given once after each finished round: a process that starts again and again
        without finishing one hides nothing.
        """
        wanted = {spec.name: spec.period_s for spec in specs}
        found = set(self.filter(name__in=wanted).values_list("name", flat=True))
        self.bulk_create(
            (
                PeriodicLoop(name=name, period_s=wanted[name], registered_at=database_time())
                for name in sorted(set(wanted) - found)
            ),
            ignore_conflicts=True,
        )
        rested = self._free().filter(name__in=found, finished_at__gte=F("registered_at"))
        rested.update(registered_at=database_time())

    def claim(self, names: Collection[str], *, owner: str, hold_s: float) -> set[str]:
        """Takes the loops that nobody holds; returns the names of those that are now the owner's.

        Two processes never hold one loop at once. The claim of one that died ends by time.
        """
        taken = self._free().filter(name__in=names)
        count = taken.update(
            owner=owner,
            claimed_at=database_time(),
            claim_until=database_time(later_s=hold_s),
        )
        if not count:
            return set()
        mine = self.filter(name__in=names, owner=owner, claim_until__gt=database_time())
        return set(mine.values_list("name", flat=True))

    def renew(self, reports: Sequence[LoopReport], *, owner: str, hold_s: float) -> set[str]:
        """Holds loops for longer and notes their rounds; returns the names that are still held.

        Missing is what another process took meanwhile, and what a task asks for.
        """
        names = [report.name for report in reports]
        unasked = Q(asked_at=None) | Q(asked_at__lt=F("claimed_at"))
        mine = self.filter(unasked, owner=owner, name__in=names)
        fields = {"claim_until": database_time(later_s=hold_s), **_noted(reports)}
        if mine.update(**fields) == len(names):
            return set(names)
        return set(mine.values_list("name", flat=True))

    def release(self, reports: Sequence[LoopReport], *, owner: str) -> None:
        """Lets loops go and notes their rounds."""
        mine = self.filter(owner=owner, name__in=[report.name for report in reports])
        mine.update(claim_until=None, **_noted(reports))

    def release_all(self, owner: str) -> None:
        """Lets all loops of a process go that is known to have ended."""
        self.filter(owner=owner).update(claim_until=None)

    def ask_for(self, name: str) -> bool:
        """Asks whoever stands in for the tasks to let a loop go; False for an unknown loop."""
        return self.filter(name=name).update(asked_at=database_time()) > 0

    def known(self, names: Collection[str]) -> list[KnownLoop]:
        """What is known of these loops, in the order of their names."""
        rows = self.filter(name__in=names).annotate(
            now=database_time(),
            heard=Greatest(Coalesce(F("finished_at"), F("registered_at")), F("registered_at")),
        )
        columns = ("name", "now", "heard", "owner", "claim_until", "last_error", "failures")
        return [
            KnownLoop(
                name=name,
                silent_s=max(0.0, (now - heard).total_seconds()),
                owner=owner if until is not None and until > now else "",
                last_error=error,
                failures=failures,
            )
            for name, now, heard, owner, until, error, failures in rows.order_by(
                "name"
            ).values_list(*columns)
        ]

    def last_round(self, names: Collection[str]) -> LastRound | None:
        """The last round of any of these loops; None where no process ever looked after one."""
        columns = ("now", "owner", "registered_at", "finished_at", "failed_at")
        rows = self.filter(name__in=names).annotate(now=database_time()).values_list(*columns)
        ran: tuple[datetime, str] | None = None
        ago_s: float | None = None
        for now, owner, registered_at, *ends in rows:
            ended = max((end for end in ends if end is not None), default=None)
            if ended is not None and (ran is None or ended > ran[0]):
                ran = ended, owner
            heard_s = (now - max(ended or registered_at, registered_at)).total_seconds()
            ago_s = heard_s if ago_s is None else min(ago_s, heard_s)
        if ago_s is None:
            return None
        return LastRound(max(0.0, ago_s), *(ran[1], ran[0]) if ran else ())

    def _free(self) -> QuerySet[PeriodicLoop]:
        return self.filter(Q(claim_until=None) | Q(claim_until__lte=database_time()))


def _noted(reports: Sequence[LoopReport]) -> dict[str, Case]:
    """The columns that tell of rounds, for one UPDATE of several rows."""
    finished, failed, failures, errors = [], [], [], []
    for report in reports:
        if report.finished_s is not None:
            at = database_time(later_s=-report.finished_s)
            finished.append(When(name=report.name, then=at))
        if report.failures:
            failed.append(When(name=report.name, then=database_time()))
        failures.append(When(name=report.name, then=Value(report.failures)))
        errors.append(When(name=report.name, then=Value(report.error[:_ERROR_LENGTH])))
    return {
        "finished_at": Case(*finished, default=F("finished_at")),
        "failed_at": Case(*failed, default=F("failed_at")),
        "failures": Case(*failures, default=F("failures")),
        "last_error": Case(*errors, default=F("last_error")),
    }


class PeriodicLoop(models.Model):
    """One loop: who runs it, and when it finished a round, all by the database's clock.

    period_s: seconds within which a round is promised. asked_at: when a task last found the loop
    held by a stand-in. failures: rounds that failed since the last good one.
    """

    name = models.CharField(max_length=40, primary_key=True)
    period_s = models.FloatField()
    owner = models.CharField(max_length=80, blank=True, default="")
    registered_at = models.DateTimeField()
    claimed_at = models.DateTimeField(null=True)
    claim_until = models.DateTimeField(null=True)
    asked_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    failures = models.IntegerField(default=0)
    last_error = models.CharField(max_length=_ERROR_LENGTH, blank=True, default="")

    objects: ClassVar[LoopManager] = LoopManager()

    def __str__(self) -> str:
        return self.name
