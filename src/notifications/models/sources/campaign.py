"""Campaigns: templated sends to an audience, by one broadcast or one for each time of a zone."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.db import models

from notifications.domain.campaigns.lifecycle import (
    CampaignApproval,
    CampaignStatus,
    is_held_out,
    may_become,
)
from notifications.domain.campaigns.timing import LateZones
from notifications.domain.campaigns.variants import CampaignTestPlan
from notifications.infra import clock
from notifications.models.sources.broadcast import BroadcastDelivery


class Campaign(models.Model):
    """A templated, measurable send. Its broadcasts hold its recipients and counters."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=100)
    description = models.CharField(max_length=1000, blank=True)
    status = models.CharField(
        max_length=10,
        choices=[(each.value, each.value) for each in CampaignStatus],
        default=CampaignStatus.DRAFT.value,
    )
    approval = models.CharField(
        max_length=10,
        choices=[(each.value, each.value) for each in CampaignApproval],
        default=CampaignApproval.NONE.value,
    )
    #: A second person must release it, whatever its size.
    needs_approval = models.BooleanField(default=False)
    #: The audience, in the language of audiences.
    audience = models.JSONField()
    #: The UUIDs of saved segments whose people get nothing.
    exclude = models.JSONField(default=list, blank=True)
    template_path = models.CharField(max_length=200)
    #: The values of the template, the same for all recipients.
    context = models.JSONField(default=dict, blank=True)
    #: Empty: the category of the template.
    category = models.CharField(max_length=50, blank=True)
    channels = models.JSONField()
    delivery = models.CharField(
        max_length=5, choices=BroadcastDelivery.choices, default=BroadcastDelivery.ALL
    )
    priority = models.SmallIntegerField(default=3)
    #: When it begins, for all recipients at once.
    scheduled_at = models.DateTimeField(null=True, blank=True)
    #: The local time at which it is due in the zone of each recipient; empty for none.
    local_time = models.CharField(max_length=19, blank=True)
    late_zones = models.CharField(
        max_length=8,
        choices=[(each.value, each.value) for each in LateZones],
        default=LateZones.SEND_NOW.value,
    )
    #: When a scheduled campaign begins: at scheduled_at, or when its first zone may be due.
    begins_at = models.DateTimeField(null=True, blank=True)
    #: Recipients a minute of all its broadcasts together; None: as fast as providers allow.
    per_minute = models.IntegerField(null=True, blank=True)
    #: Until when no further messages of any broadcast are created, because of per_minute.
    throttled_until = models.DateTimeField(null=True, editable=False)
    holdout_percent = models.FloatField(default=0.0)
    #: `learned`: each recipient is due at the hour at which they engage most; empty: at its time.
    send_time = models.CharField(max_length=7, blank=True, default="", db_default="")
    #: Within how many hours that is.
    send_window_hours = models.SmallIntegerField(default=24, db_default=24)
    #: Whether an hour of the night may be learned, too.
    send_at_night = models.BooleanField(default=False, db_default=False)
    #: `learned`: the channel on which they engage most comes first; empty: in the given order.
    channel_choice = models.CharField(max_length=7, blank=True, default="", db_default="")
    #: The percent of them for whom the model does not choose.
    learning_holdout_percent = models.FloatField(default=10.0, db_default=10.0)
    #: The plan of its A/B test (`CampaignTestPlan`); None for no test.
    ab_test = models.JSONField(null=True, blank=True)
    #: When those who are not in the test were released; None before that.
    rest_released_at = models.DateTimeField(null=True, editable=False)
    #: None: as the service's settings say.
    track_opens = models.BooleanField(null=True, blank=True)
    track_clicks = models.BooleanField(null=True, blank=True)
    #: The parameters that are added to the links of its mails, by name.
    utm = models.JSONField(default=dict, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
    )
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
    )
    #: The size of the audience when it was approved.
    approved_count = models.IntegerField(null=True, blank=True)
    #: What was approved: the version of the template, the category, and a digest of the audience.
    approved_version_id = models.BigIntegerField(null=True, blank=True)
    approved_category = models.CharField(max_length=50, blank=True)
    approved_digest = models.CharField(max_length=64, blank=True)
    #: What its approval releases: `schedule` or `launch`; empty for nothing.
    requested = models.CharField(max_length=8, blank=True)
    #: The ids of all users who wrote, changed or sent it: none of them may approve it.
    involved_user_ids = models.JSONField(default=list, blank=True)
    review_note = models.TextField(blank=True)
    is_test = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=clock.now)
    updated_at = models.DateTimeField(auto_now=True)
    started_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    #: How many people the audience had when the campaign was written last, or began.
    audience_count = models.IntegerField(default=0)
    #: The version of the template that all its messages show, from when it began.
    template_version_id = models.BigIntegerField(null=True, blank=True)
    #: The criteria of the saved segments that it names, by id or UUID, from when it began.
    segment_criteria = models.JSONField(default=dict, blank=True)
    #: How many people are held out.
    held_out_count = models.IntegerField(default=0)
    #: The user id of the last person who was given a broadcast, or held out.
    placed_after = models.BigIntegerField(default=0)
    placed_done = models.BooleanField(default=False)
    #: Why it is a draft again, or paused; empty for no error.
    error = models.CharField(max_length=500, blank=True)

    objects: ClassVar[models.Manager[Campaign]] = models.Manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["begins_at"],
                condition=models.Q(status="scheduled"),
                name="campaign_due",
            ),
            models.Index(fields=["id"], condition=models.Q(status="running"), name="campaign_live"),
            models.Index(fields=["status", "id"], name="campaign_by_status"),
        ]

    def __str__(self) -> str:
        return f"campaign {self.pk} ({self.status})"

    @classmethod
    def locked(cls, campaign_id: int) -> Campaign:
        """Returns the row, locked until the caller's transaction ends."""
        return cls.objects.select_for_update(of=("self",)).get(pk=campaign_id)

    @property
    def wall(self) -> datetime | None:
        """The local time, without a zone; None for a campaign that is due at one instant."""
        return datetime.fromisoformat(self.local_time) if self.local_time else None

    @property
    def test_plan(self) -> CampaignTestPlan | None:
        """The plan of its A/B test; None without one."""
        return CampaignTestPlan.of(self.ab_test) if self.ab_test else None

    @property
    def learns(self) -> bool:
        """Whether what is learned of people decides when or where they get it."""
        return bool(self.send_time or self.channel_choice)

    def holds_out(self, user_id: int) -> bool:
        """Returns whether a person gets nothing, so that an effect can be measured."""
        return is_held_out(str(self.uuid), user_id, self.holdout_percent)

    def become(self, target: CampaignStatus, **values: Any) -> bool:
        """Saves the next state and other values if the table allows it; returns whether it did.

        The caller has locked the row.
        """
        if not may_become(self.status, target):
            return False
        self.store(status=target.value, **values)
        return True

    def store(self, **values: Any) -> None:
        """Saves some columns."""
        for name, value in values.items():
            setattr(self, name, value)
        self.save(update_fields=[*values, "updated_at"])


class CampaignHoldout(models.Model):
    """A person of a campaign's audience who gets nothing, so that an effect can be measured."""

    id = models.BigAutoField(primary_key=True)
    campaign = models.ForeignKey(
        Campaign, on_delete=models.CASCADE, db_index=False, related_name="holdout"
    )
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")

    objects: ClassVar[models.Manager[CampaignHoldout]] = models.Manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["campaign", "user"], name="campaign_holdout_once")
        ]

    def __str__(self) -> str:
        return f"held out of campaign {self.campaign_id}: {self.user_id}"
