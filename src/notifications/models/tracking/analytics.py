"""The engagement with a message: one row, written when it is opened or clicked first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from django.db import models
from django.db.models import F, Q

from notifications.domain.engagement import quarter_of
from notifications.domain.experiments.labels import place_of
from notifications.infra import clock
from notifications.models.delivery.message import NotificationMessage


class NotificationAnalytics(models.Model):
    """The times of one message, what opened it, and its place in the counts.

    The times of engagement are those of people; what machines do is in `flags` alone. The cohort
    columns are copied when the row is written, so that rollups read no other table.
    """

    notification = models.OneToOneField(
        NotificationMessage,
        primary_key=True,
        on_delete=models.CASCADE,
        db_constraint=False,
        related_name="analytics",
    )
    queued_at = models.DateTimeField(default=clock.now)
    sent_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    opened_at = models.DateTimeField(null=True, blank=True)
    clicked_at = models.DateTimeField(null=True, blank=True)
    converted_at = models.DateTimeField(null=True, blank=True)
    #: phone, tablet, computer or empty.
    opened_from_device = models.CharField(max_length=50, blank=True, default="")
    #: `{"country": "DE"}`, from a header of a trusted proxy; else empty.
    opened_from_location = models.JSONField(default=dict, blank=True)
    #: The program and the system, without versions and models.
    user_agent = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(default=clock.now)
    #: The quarter of an hour, in UTC, of `sent_at`.
    sent_quarter = models.DateTimeField(null=True, blank=True)
    channel = models.CharField(max_length=10, blank=True, default="")
    template_version_id = models.BigIntegerField(null=True, blank=True)
    provider = models.CharField(max_length=30, blank=True, default="")
    #: The source of its notification; a campaign is one.
    source = models.CharField(max_length=60, blank=True, default="")
    variant = models.CharField(max_length=50, blank=True, default="")
    #: Bits of `domain.engagement`.
    flags = models.SmallIntegerField(default=0)
    #: The bits that the rollups include.
    counted = models.SmallIntegerField(default=0)

    objects: ClassVar[models.Manager[NotificationAnalytics]] = models.Manager()

    class Meta:
        verbose_name_plural = "notification analytics"
        indexes = [
            models.Index(fields=["sent_quarter"], name="analytics_quarter"),
            # Only what belongs to A/B tests.
            models.Index(fields=["variant"], condition=~Q(variant=""), name="analytics_variant"),
            # Only the rows that the rollups have still to count.
            models.Index(
                fields=["notification"],
                condition=~Q(flags=F("counted")),
                name="analytics_uncounted",
            ),
        ]

    def __str__(self) -> str:
        return f"engagement with message {self.pk}"

    @property
    def ab_test_group(self) -> str:
        """The id of the test, as a text, a documented field; empty without a test."""
        place = place_of(self.variant)
        return str(place.test_id) if place else ""

    @ab_test_group.setter
    def ab_test_group(self, group: str) -> None:
        self.variant = f"{group}:{self.ab_test_variant}"

    @property
    def ab_test_variant(self) -> str:
        """The name of the variant, a documented field; `variant` has its test, too."""
        place = place_of(self.variant)
        return place.variant if place else self.variant

    @ab_test_variant.setter
    def ab_test_variant(self, name: str) -> None:
        self.variant = name


def cohort_of(
    *,
    queued_at: datetime,
    sent_at: datetime | None,
    delivered_at: datetime | None,
    channel: str,
    template_version_id: int | None,
    provider: str | None,
    source: str,
    variant: str | None,
) -> dict[str, Any]:
    """Returns what a row of engagement copies of its message, by the names of its columns."""
    return {
        "queued_at": queued_at,
        "sent_at": sent_at,
        "delivered_at": delivered_at,
        "sent_quarter": quarter_of(sent_at) if sent_at else None,
        "channel": channel,
        "template_version_id": template_version_id,
        "provider": provider or "",
        "source": source,
        "variant": variant or "",
    }


def complete(row: NotificationAnalytics, cohort: Mapping[str, Any]) -> bool:
    """Sets the cohort of a row that was written before its message was recorded as sent.

    cohort: what `cohort_of` returns. Rollups leave out a row without it.

    Returns:
        whether the row changed; the caller saves it.
    """
    if row.sent_quarter is not None or cohort["sent_quarter"] is None:
        return False
    for name, value in cohort.items():
        setattr(row, name, value)
    return True
