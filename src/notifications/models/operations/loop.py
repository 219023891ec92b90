"""The state of each periodic loop: one row a loop, written by every process that runs it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.db import connection, models
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce, Greatest

from notifications.domain.loops import LoopSpec
from notifications.infra import clock
from notifications.infra.database.time import database_time

_ERROR_LENGTH = 200
_MOMENT = {
    "statement": "statement_timestamp() + %s::float8 * interval '1 second'",
    "frozen": "%s::timestamptz",
    "sqlite": "%s",
}
_WRITE = """
UPDATE notifications_periodicloop AS l SET claim_until = {moment},
  finished_at = coalesce(v.column2, l.finished_at), failures = v.column3, last_error = v.column4,
  failed_at = CASE WHEN v.column3 > 0 THEN {moment} ELSE l.failed_at END
FROM (VALUES {rows}) AS v
WHERE l.name = v.column1 AND l.owner = %s"""
"""Plain SQL: each process runs it every three seconds, and Django would need ten times as long to
compile it as the database to run it."""
_NOT_REQUESTED = " AND (l.asked_at IS NULL OR l.asked_at < l.claimed_at)"


@dataclass(frozen=True, slots=True)
class LoopReport:
    """What a process reports about a loop that it has claimed."""

    name: str
    #: Seconds since its last successful round ended; None while there is none.
    finished_s: float | None = None
    #: Rounds that failed since the last successful one.
    failures: int = 0
    #: The kind of the last failure.
    error: str = ""


@dataclass(frozen=True, slots=True)
class KnownLoop:
    """The state of a loop, by the database's clock."""

    name: str
    #: Seconds since its last successful round ended, or since it was registered if that was later.
    silent_s: float
    #: The process that has claimed it now; empty for none.
    owner: str
    last_error: str
    #: Rounds that failed since the last successful one.
    failures: int


@dataclass(frozen=True, slots=True)
class LastRound:
    """The last round of some loops, successful or not."""

    #: Seconds since it ended, or since a process registered the loops if that was later.
    ago_s: float
    #: The process that ran it; empty where no round ever ended.
    owner: str = ""
    #: When it ended; None where no round ever ended.
    at: datetime | None = None


class LoopManager(models.Manager["PeriodicLoop"]):
    """Claims loops and notes their rounds.

    Each call runs one or two short statements outside a transaction, so that no row stays locked.
    """

    def register(self, specs: Iterable[LoopSpec]) -> None:
        """Inserts missing rows, and gives loops that no process runs time for a first round.

        A loop gets that time once after each finished round. So a process that restarts again and
        again without finishing a round does not hide the loop's silence.
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

    def claim(self, names: Collection[str], *, owner: str, claim_s: float) -> set[str]:
        """Claims the loops that are free; returns the names of those that the owner now has.

        Two processes never have one loop at once. The claim of a process that died ends after
        `claim_s` seconds.
        """
        count = (
            self._free()
            .filter(name__in=names)
            .update(
                owner=owner,
                claimed_at=database_time(),
                claim_until=database_time(later_s=claim_s),
            )
        )
        if not count:
            return set()
        mine = self.filter(name__in=names, owner=owner, claim_until__gt=database_time())
        return set(mine.values_list("name", flat=True))

    def renew(self, reports: Sequence[LoopReport], *, owner: str, claim_s: float) -> set[str]:
        """Renews the claims and notes the rounds; returns the names that the owner still has.

        A name is missing where another process has claimed the loop, or a task requests it.
        """
        names = {report.name for report in reports}
        if _write(reports, owner=owner, claim_s=claim_s, condition=_NOT_REQUESTED) == len(names):
            return names
        not_requested = Q(asked_at=None) | Q(asked_at__lt=F("claimed_at"))
        mine = self.filter(not_requested, owner=owner, name__in=names)
        return set(mine.values_list("name", flat=True))

    def release(self, reports: Sequence[LoopReport], *, owner: str) -> None:
        """Releases loops and notes their rounds."""
        _write(reports, owner=owner, claim_s=None)

    def release_all(self, owner: str) -> None:
        """Releases all loops of a process that is known to have ended."""
        self.filter(owner=owner).update(claim_until=None)

    def request_release(self, name: str) -> bool:
        """Requests that a standby process releases a loop; False for an unknown loop."""
        return self.filter(name=name).update(asked_at=database_time()) > 0

    def known(self, names: Collection[str]) -> list[KnownLoop]:
        """Returns the state of these loops, in the order of their names."""
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
        """Returns the last round of any of these loops; None where none was ever registered."""
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


def _kind() -> str:
    """Returns whose clock gives the time. A frozen clock of a test replaces the database's."""
    if connection.vendor == "sqlite":
        return "sqlite"
    return "statement" if clock.frozen() is None else "frozen"


def _moment(later_s: float | None) -> list[Any]:
    """Returns the values of `_MOMENT` for the present time plus some seconds; None is no time."""
    if _kind() == "statement":
        return [later_s]
    at = None if later_s is None else clock.now() + timedelta(seconds=later_s)
    return [connection.ops.adapt_datetimefield_value(at)]


def _write(
    reports: Sequence[LoopReport], *, owner: str, claim_s: float | None, condition: str = ""
) -> int:
    """Writes reports to the loops that the owner has claimed; returns how many it wrote.

    claim_s: seconds until the claims end; None ends them now.
    """
    if not reports:
        return 0
    moment = _MOMENT[_kind()]
    values: list[Any] = [*_moment(claim_s), *_moment(0.0)]
    for report in reports:
        ended = None if report.finished_s is None else -report.finished_s
        error = report.error[:_ERROR_LENGTH]
        values += [report.name, *_moment(ended), report.failures, error]
    rows = ", ".join([f"(%s, {moment}, %s, %s)"] * len(reports))
    with connection.cursor() as cursor:
        cursor.execute(_WRITE.format(moment=moment, rows=rows) + condition, [*values, owner])
        written: int = cursor.rowcount
    return written


class PeriodicLoop(models.Model):
    """One loop: which process runs it, and when it finished a round, by the database's clock."""

    name = models.CharField(max_length=40, primary_key=True)
    #: Seconds within which a round must end.
    period_s = models.FloatField()
    owner = models.CharField(max_length=80, blank=True, default="")
    registered_at = models.DateTimeField()
    claimed_at = models.DateTimeField(null=True)
    claim_until = models.DateTimeField(null=True)
    #: When a task last found the loop claimed by a standby process and requested it.
    asked_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    #: Rounds that failed since the last successful one.
    failures = models.IntegerField(default=0)
    last_error = models.CharField(max_length=_ERROR_LENGTH, blank=True, default="")

    objects: ClassVar[LoopManager] = LoopManager()

    def __str__(self) -> str:
        return self.name
