"""ABTestingService: the documented asynchronous interface to A/B tests."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async

from directory.models import User
from notifications.domain.experiments.assignment import assign_variant
from notifications.domain.experiments.proportions import z_test
from notifications.features.experiments.results import figures_of
from notifications.infra import clock
from notifications.models import NotificationABTest

OUTSIDE = "control"
"""The documented name of the group that is not in the test."""


class ABTestingService:
    """Assigns people, returns contents and computes results, as sends and the API do."""

    async def assign_variant(self, user: User, ab_test: NotificationABTest) -> str:
        """Returns the variant of a user; `control` for one outside of the test or held out.

        The answer is computed from the ids: it needs no store, and every process gives the same.
        """
        return assign_variant(ab_test.split(), str(user.pk)).variant or OUTSIDE

    async def get_test_content(self, ab_test: NotificationABTest, variant: str) -> dict[str, Any]:
        """Returns the content of a variant; empty for a name without one, as for `control`."""
        return ab_test.content_of(variant)

    async def calculate_test_results(self, ab_test: NotificationABTest) -> dict[str, Any]:
        """Returns the two-proportion z-test of the first two variants, for one look.

        A key `error` alone says that there is too little data. `winner` is what one look says; the
        results of the API have the decision that may be read at any time.
        """
        return await sync_to_async(_results)(ab_test.pk)


def _results(key: int) -> dict[str, Any]:
    test = NotificationABTest.objects.get(pk=key)
    a, b = list(figures_of(test, now=clock.now()).arms.values())[:2]
    found = z_test(a, b, confidence_level=test.confidence_level)
    if found is None:
        return {"error": "Insufficient data for statistical analysis"}
    return found.documented()
