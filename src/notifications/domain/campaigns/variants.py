"""What an A/B test inside a campaign compares, on how many people, and when it is decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class CampaignPart(StrEnum):
    """Which people of a campaign a broadcast goes to."""

    #: All of them: the campaign has no test.
    WHOLE = ""
    #: Those who are in the test; each gets their variant.
    TEST = "test"
    #: The others, who get the winner or the first variant once the test is decided.
    REST = "rest"


class CampaignDecision(StrEnum):
    """When the test of a campaign may be decided."""

    #: As soon as the test is safe to stop, and at the deadline at the latest.
    EVIDENCE = "evidence"
    #: At the deadline.
    DEADLINE = "deadline"


@dataclass(frozen=True, slots=True)
class CampaignVariant:
    """A variant. template_path: empty for the template of the campaign."""

    name: str
    weight: int = 1
    template_path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignTestPlan:
    """The plan of a test. The first variant is the one that the others are compared with.

    test_percent: of the people who are not held out, the percent in the test.
    deadline_hours: after the beginning of the campaign. window_hours: for how long after its
    hand-over a message may succeed.
    """

    variants: tuple[CampaignVariant, ...]
    test_percent: int
    channel: str
    metric: str
    goal: str | None
    decide: str
    deadline_hours: int
    window_hours: int
    minimum_sample_size: int
    confidence_level: float
    expected_rate: float | None
    expected_lift: float | None

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> CampaignTestPlan:
        """Returns the plan that a row stores. Raises KeyError or TypeError for another value."""
        variants = tuple(CampaignVariant(**each) for each in stored["variants"])
        return cls(**{**stored, "variants": variants})

    @property
    def first(self) -> str:
        """The name of the first variant, which the rest gets where no winner is known."""
        return self.variants[0].name

    def deadline(self, began: datetime) -> datetime:
        """Returns when the test is decided at the latest."""
        return began + timedelta(hours=self.deadline_hours)

    def may_decide(self, now: datetime, *, began: datetime) -> bool:
        """Returns whether the figures may decide now."""
        return self.decide == CampaignDecision.EVIDENCE or now >= self.deadline(began)
