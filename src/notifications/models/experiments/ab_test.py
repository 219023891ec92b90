"""An A/B test: which texts of a template are compared, on whom, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q

from notifications.domain.experiments.assignment import Split, Variant
from notifications.domain.experiments.decision import StopRule
from notifications.domain.experiments.prior import ExperimentPlan
from notifications.infra import clock
from notifications.models.analytics.goal import Goal
from notifications.models.content.template import NotificationTemplate

DEFAULT_TEST_WINDOW = timedelta(days=7)
"""How long after its hand-over a message may still convert."""


class ABTestStatus(models.TextChoices):
    """The states of a test. A test that was stopped is completed."""

    DRAFT = "draft", "Draft"
    RUNNING = "running", "Running"
    PAUSED = "paused", "Paused"
    COMPLETED = "completed", "Completed"


class ABTestMetric(models.TextChoices):
    """What counts as success: an action of a person, never of a machine."""

    OPEN_RATE = "open_rate", "Open rate"
    CLICK_RATE = "click_rate", "Click rate"
    CONVERSION_RATE = "conversion_rate", "Conversion rate"


class ABTestEnd(models.TextChoices):
    """How a test ended."""

    STOPPED = "stopped", "Stopped"  # a person stopped it, without a winner
    DECLARED = "declared", "Declared"  # a person named the winner
    AUTOMATIC = "automatic", "Automatic"  # the figures did


def default_variants() -> list[dict[str, Any]]:
    """Returns the variants A and B, each with the test's own template."""
    return [variant_value("A"), variant_value("B")]


def variant_value(
    name: str,
    *,
    weight: int = 1,
    template_path: str = "",
    version: int | None = None,
    content: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns a variant as the row stores it. An empty path means the test's own template."""
    return {
        "name": name,
        "weight": weight,
        "template_path": template_path,
        "version": version,
        "content": dict(content or {}),
    }


class NotificationABTest(models.Model):
    """One test of a template. What it compares, and on whom, is frozen when it starts."""

    name = models.CharField(max_length=100)
    template = models.ForeignKey(
        NotificationTemplate, on_delete=models.CASCADE, related_name="ab_tests"
    )
    #: Of the people who are not held out, the percent who are in the test.
    traffic_percentage = models.PositiveIntegerField(default=50)
    #: See `variant_value`; two or more.
    variants = models.JSONField(default=default_variants)
    #: The name of the variant that the others are compared with.
    control = models.CharField(max_length=20, default="A")
    #: Of all people, the percent who get nothing.
    holdout_percentage = models.PositiveIntegerField(default=0)
    #: Only messages of this channel are compared.
    channel = models.CharField(max_length=10, default="email")
    metric = models.CharField(
        max_length=50, choices=ABTestMetric.choices, default=ABTestMetric.CLICK_RATE
    )
    goal = models.ForeignKey(Goal, on_delete=models.PROTECT, null=True, blank=True)
    #: For how long after its hand-over a message may succeed.
    window_s = models.IntegerField(default=int(DEFAULT_TEST_WINDOW.total_seconds()))
    minimum_sample_size = models.PositiveIntegerField(default=1000)
    confidence_level = models.FloatField(default=0.95)
    #: The plan: what is expected before the test begins.
    expected_rate = models.FloatField(null=True, blank=True)
    expected_lift = models.FloatField(null=True, blank=True)
    #: The campaign whose people it divides, and no other sends; None for a test of all sends.
    campaign_id = models.BigIntegerField(null=True, unique=True, editable=False)
    #: Whether the service ends the test when its figures allow it.
    is_automatic = models.BooleanField(default=False)
    status = models.CharField(
        max_length=20, choices=ABTestStatus.choices, default=ABTestStatus.DRAFT
    )
    #: Whether it changes what sends of its template say. At most one test of a template does.
    in_force = models.BooleanField(default=False)
    #: Since the start: `{"variants": [...], "control", "holdout_percentage", "versions": {name:
    #: version}}`, which nothing changes.
    frozen = models.JSONField(null=True, blank=True, editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    winner_variant = models.CharField(max_length=20, blank=True, default="")
    ended_by = models.CharField(
        max_length=10, choices=ABTestEnd.choices, blank=True, default="", db_default=""
    )
    #: Why it ended, in words.
    conclusion = models.TextField(blank=True, default="")
    #: When the service looked at its figures last.
    looked_at = models.DateTimeField(null=True, blank=True)
    created_by = models.CharField(max_length=100, blank=True, default="")
    created_at = models.DateTimeField(default=clock.now)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[models.Manager[NotificationABTest]] = models.Manager()

    class Meta:
        verbose_name = "A/B test"
        constraints = [
            models.UniqueConstraint(
                fields=["template"], condition=Q(in_force=True), name="ab_test_in_force"
            )
        ]
        indexes = [
            models.Index(
                fields=["looked_at"],
                condition=Q(status=ABTestStatus.RUNNING, is_automatic=True),
                name="ab_test_to_look_at",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def settings(self) -> Mapping[str, Any]:
        """What people are divided by: as it was frozen at the start, else as it is now."""
        if self.frozen is not None:
            frozen: Mapping[str, Any] = self.frozen
            return frozen
        return {
            "variants": self.variants,
            "control": self.control,
            "holdout_percentage": self.holdout_percentage,
            "versions": {},
        }

    @property
    def weights(self) -> dict[str, int]:
        """The weights of the variants, by name, in their order."""
        return {each["name"]: each["weight"] for each in self.settings["variants"]}

    @property
    def served(self) -> Mapping[str, Any]:
        """The variant that everybody gets once the test is paused or ended."""
        name = self.winner_variant or self.settings["control"]
        found: Mapping[str, Any] = next(
            each for each in self.settings["variants"] if each["name"] == name
        )
        return found

    @property
    def alpha(self) -> float:
        """The share of tests without a difference that may get a winner."""
        return 1 - self.confidence_level

    @property
    def window(self) -> timedelta:
        """For how long after its hand-over a message may succeed."""
        return timedelta(seconds=self.window_s)

    @property
    def rule(self) -> StopRule:
        """How the test is judged."""
        plan = ExperimentPlan(rate=self.expected_rate, lift=self.expected_lift)
        return StopRule(level=self.alpha, minimum_people=self.minimum_sample_size, plan=plan)

    def split(self) -> Split:
        """Returns how its people are divided.

        Raises:
            ValueError: the row has fewer than two variants, or a percentage that cannot be.
        """
        return Split(
            test_id=str(self.pk),
            variants=tuple(Variant(name, weight) for name, weight in self.weights.items()),
            traffic_percentage=self.traffic_percentage,
            holdout_percentage=self.settings["holdout_percentage"],
        )

    def content_of(self, name: str) -> dict[str, Any]:
        """Returns the documented content of a variant; empty without one."""
        found = (each["content"] for each in self.variants if each["name"] == name)
        return dict(next(found, {}))

    def _set_content(self, name: str, content: Mapping[str, Any]) -> None:
        self.variants = [
            {**each, "content": dict(content)} if each["name"] == name else each
            for each in self.variants
        ]

    @property
    def variant_a_content(self) -> dict[str, Any]:
        """The content of variant A, a documented name."""
        return self.content_of("A")

    @variant_a_content.setter
    def variant_a_content(self, content: Mapping[str, Any]) -> None:
        self._set_content("A", content)

    @property
    def variant_b_content(self) -> dict[str, Any]:
        """The content of variant B, a documented name."""
        return self.content_of("B")

    @variant_b_content.setter
    def variant_b_content(self, content: Mapping[str, Any]) -> None:
        self._set_content("B", content)
