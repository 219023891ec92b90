"""Places the recipients of a request in the tests of its templates, when it is accepted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from notifications.engine.shared_rows import category_facts
from notifications.features.experiments.catalog import LiveTest, campaign_test, live_test
from notifications.infra import clock
from notifications.intake.accept import AssignedVariant, Intent
from notifications.models import Notification, NotificationTemplate
from notifications.rendering.personalization import service_context


@dataclass(frozen=True, slots=True)
class Placings:
    """The tests of some templates, and who was counted in them before."""

    tests: Mapping[int, LiveTest] = field(default_factory=dict)
    #: (test, user).
    counted: frozenset[tuple[int | None, int | None]] = frozenset()
    #: The same, of the people whom this call has counted already.
    seen: set[tuple[int, int]] = field(default_factory=set)

    def assigned(
        self,
        intent: Intent,
        template_id: int,
        user_id: int | None,
        channels: Iterable[str],
        context: Mapping[str, Any],
    ) -> AssignedVariant | None:
        """Returns what a recipient gets; None where no test is in force, or for an address.

        context: all values that the caller gives for this recipient.
        """
        test = self.tests.get(template_id)
        if test is None or user_id is None:
            return None
        channels = (*channels, *intent.terms.options.get("fallback", ()))
        place = (test.id, user_id)
        is_shown = test.shows(channels, {**context, **service_context(at=clock.now())})
        is_new = (
            is_shown
            and not intent.is_test
            and test.channel in channels
            and place not in self.counted
            and place not in self.seen
        )
        if is_new:
            self.seen.add(place)
        marketing = category_facts(intent.category_id).terms.marketing
        return test.assign(user_id, is_new=is_new, may_hold_out=marketing, is_shown=is_shown)


NO_TESTS = Placings()


def load_placings(templates: Iterable[NotificationTemplate], user_ids: Collection[int]) -> Placings:
    """Returns the tests of templates. One query where there is one, none otherwise.

    A person counts in a test with the first notification alone. Two that are accepted at the same
    moment may both count.
    """
    found = {row.pk: test for row in templates if (test := live_test(row.pk)) is not None}
    if not found:
        return NO_TESTS
    running = [test for test in found.values() if not test.served]
    if not running or not user_ids:
        return Placings(found)
    rows = Notification.objects.filter(
        ab_test_id__in=[test.id for test in running],
        user_id__in=list(user_ids),
        variant__in=[label for test in running for label in test.counted_labels],
    )
    return Placings(found, frozenset(rows.values_list("ab_test_id", "user_id")))


def load_campaign_placings(campaign_id: int, template_id: int) -> Placings:
    """Returns the test of a campaign, for the messages of one of its broadcasts.

    Each person is in one broadcast of the campaign, so no one was counted before.
    """
    test = campaign_test(campaign_id)
    return NO_TESTS if test is None else Placings({template_id: test})


def showing(intent: Intent, assigned: AssignedVariant | None) -> Intent:
    """Returns the intent of a single send with the version that its recipient gets."""
    if assigned is None or assigned.template_version_id is None:
        return intent
    return replace(intent, template_version_id=assigned.template_version_id)
