"""The tests that are in force, cached in the process, so that a send makes no query for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from notifications.domain.experiments.assignment import Inclusion, Split, assign_variant
from notifications.domain.experiments.labels import ExperimentPlace, PlaceNote
from notifications.infra import clock
from notifications.intake.accept import AssignedVariant
from notifications.models import ABTestStatus, NotificationABTest, NotificationTemplate
from notifications.rendering.versions import versions_of

log = structlog.get_logger("carillon.experiments")
_FRESH_S = 2.0
_MOST = 1_000
"""The most tests that are read. There is one for each template at most."""


@dataclass(frozen=True, slots=True)
class LiveTest:
    """A test that is in force, as sends need it.

    served: the variant that everybody gets, while the test is paused and after it ended; else
    empty. versions: the template version of each variant.
    """

    id: int
    channel: str
    split: Split
    versions: Mapping[str, int]
    served: str = ""
    note: PlaceNote = PlaceNote.COUNTED

    def shows(self, channels: Iterable[str], context: Mapping[str, Any]) -> bool:
        """Returns whether each variant that it may send can be rendered on these channels.

        A notification that one variant cannot show is in no variant: dropping it from one alone
        would falsify the comparison.
        """
        wanted = {self.versions[self.served]} if self.served else set(self.versions.values())
        found = versions_of(wanted)
        return len(found) == len(wanted) and not any(
            version.missing_variables(context)
            or not all(version.supports(channel) for channel in channels)
            for version in found.values()
        )

    def assign(
        self, user_id: int, *, is_new: bool, may_hold_out: bool, is_shown: bool
    ) -> AssignedVariant:
        """Returns what a person gets: always the same variant, without a query.

        is_new: whether this notification may be an exposure. may_hold_out: whether it may be
        withheld from people of the holdout. is_shown: whether `shows` is true of it.
        """
        if self.served:
            return self._assigned(self.served, self.note) if is_shown else self.outside()
        found = assign_variant(self.split, str(user_id))
        if found.standing is Inclusion.HELD_OUT and may_hold_out:
            return self._assigned("", PlaceNote.HELD_OUT)
        if found.variant is None or not is_shown:
            return self.outside()
        return self._assigned(found.variant, PlaceNote.COUNTED if is_new else PlaceNote.UNCOUNTED)

    def outside(self) -> AssignedVariant:
        """Returns the place of a person who gets the usual template."""
        return self._assigned("", PlaceNote.OUTSIDE)

    @property
    def counted_labels(self) -> list[str]:
        """The labels of its exposures."""
        return counted_labels(self.id, self.versions)

    def _assigned(self, variant: str, note: PlaceNote) -> AssignedVariant:
        place = ExperimentPlace(self.id, variant, note)
        return AssignedVariant(self.id, place.label, self.versions.get(variant))


def counted_labels(test_id: int, variants: Iterable[str]) -> list[str]:
    """Returns the labels of the exposures of a test, one for each variant, in their order."""
    return [ExperimentPlace(test_id, name).label for name in variants]


_tests: dict[int, LiveTest] = {}
_read_at = -_FRESH_S


def live_test(template_id: int) -> LiveTest | None:
    """Returns the test of a template that is in force. It is at most two seconds old."""
    # Before the time, which `forget_tests` of another thread changes first.
    tests: Mapping[int, LiveTest] = _tests
    if clock.monotonic() - _read_at > _FRESH_S:
        tests = _read()
    return tests.get(template_id)


def campaign_test(campaign_id: int) -> LiveTest | None:
    """Returns the test of a campaign, as of now; None without one.

    Once it ended, everybody gets the winner, or the first variant, each in its frozen version.
    """
    row = NotificationABTest.objects.filter(campaign_id=campaign_id).first()
    return None if row is None else _live(row, {})


def forget_tests() -> None:
    """Reads the tests again at the next send: after a change by this process, and in tests."""
    global _tests, _read_at
    _read_at = -_FRESH_S
    _tests = {}


def _read() -> Mapping[int, LiveTest]:
    """Reads all tests in force."""
    global _tests, _read_at
    rows = list(NotificationABTest.objects.filter(in_force=True).order_by("pk")[:_MOST])
    ended = [row for row in rows if row.status == ABTestStatus.COMPLETED]
    current = _current_versions(ended)
    found: dict[int, LiveTest] = {}
    for row in rows:
        try:
            found[row.template_id] = _live(row, current)
        except (KeyError, TypeError, ValueError) as error:  # somebody changed the row by hand
            log.error("ab-test.unreadable", test=row.pk, error=type(error).__name__)
    _tests, _read_at = found, clock.monotonic()
    return found


def _current_versions(rows: Sequence[NotificationABTest]) -> dict[tuple[int, str], int]:
    """Returns the published versions that ended tests show, by template and path.

    A template of another category has other authors: its version stays that of the test.
    """
    paths = {row.served["template_path"] for row in rows}
    if not paths:
        return {}
    templates = NotificationTemplate.objects
    ids = [row.template_id for row in rows]
    category_of = dict(templates.filter(pk__in=ids).values_list("pk", "category_id"))
    shown = templates.filter(path__in=paths, current_version__isnull=False)
    return {
        (key, path): version
        for path, category, version in shown.values_list("path", "category", "current_version")
        for key in ids
        if category_of.get(key) == category
    }


def _live(row: NotificationABTest, current: Mapping[tuple[int, str], int]) -> LiveTest:
    versions = dict(row.settings["versions"])
    served, note = "", PlaceNote.COUNTED
    if row.status != ABTestStatus.RUNNING:
        variant = row.served
        served = variant["name"]
        note = PlaceNote.PAUSED if row.status == ABTestStatus.PAUSED else PlaceNote.ENDED
        if note is PlaceNote.ENDED and variant["version"] is None:
            # Authors go on writing the template: nothing is frozen any more.
            shown = (row.template_id, variant["template_path"])
            versions[served] = current.get(shown, versions[served])
    return LiveTest(
        id=row.pk,
        channel=row.channel,
        split=row.split(),
        versions=versions,
        served=served,
        note=note,
    )
