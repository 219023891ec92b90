"""Incoming SMS, and the daily cost of SMS."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import ClassVar, NamedTuple

from django.db import models, transaction
from django.db.models import Q

from notifications.models.fields import SealedJSONField


class InboundSms(models.Model):
    """An incoming text, stored once."""

    provider = models.CharField(max_length=30)
    provider_message_id = models.CharField(max_length=100)
    #: stop, start, help or other.
    keyword = models.CharField(max_length=5)
    #: `from`, `to` and `text`.
    content = SealedJSONField()
    #: The data key that seals `content`: of the only user with the number, else of the number.
    key_id = models.BigIntegerField(null=True)
    #: The users who had the number then; InboundSender finds the texts of one of them.
    users = models.JSONField(default=list)
    received_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "provider_message_id"], name="inbound_sms_once"
            )
        ]
        indexes = [
            models.Index(
                fields=["key_id", "id"], condition=Q(key_id__isnull=False), name="inbound_sms_key"
            )
        ]

    def __str__(self) -> str:
        return f"inbound SMS {self.pk} ({self.keyword})"


class InboundSender(models.Model):
    """A user who had the number of an incoming text when it arrived. It goes with the text."""

    text = models.ForeignKey(InboundSms, on_delete=models.CASCADE, related_name="senders")
    user_id = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["user_id", "text"], name="inbound_sender_user")]

    def __str__(self) -> str:
        return f"user {self.user_id} of inbound SMS {self.text_id}"


class Charge(NamedTuple):
    """What one attempt to send an SMS may cost."""

    message_id: int
    attempt: int
    #: In millionths of the currency.
    micros: int
    #: An earlier attempt may have been sent, so this one costs again.
    again: bool = False


class SmsSpendManager(models.Manager["SmsSpend"]):
    """Charges the cost of SMS to a day, never more than the day's limit."""

    def charge(
        self, charges: Sequence[Charge], *, day: date, limit: int, at: datetime
    ) -> tuple[set[int], bool]:
        """Charges messages to a day; returns those refused, and whether they are the day's first.

        A message that would exceed the limit is refused and not charged. The day's row is locked
        until the caller's transaction ends, so workers take turns and read a final sum.
        """
        with transaction.atomic():
            self.bulk_create([SmsSpend(day=day)], ignore_conflicts=True)
            row = self.select_for_update().get(day=day)
            booked = {
                each.message_id: each
                for each in SmsCharge.objects.filter(
                    day=day, message_id__in=[charge.message_id for charge in charges]
                )
            }
            refused: set[int] = set()
            made: list[SmsCharge] = []
            for charge in charges:
                known = booked.get(charge.message_id)
                if known and not (charge.again and known.attempt < charge.attempt):
                    continue
                if row.micros + charge.micros > limit:
                    refused.add(charge.message_id)
                    continue
                row.micros += charge.micros
                made.append(
                    SmsCharge(day=day, message_id=charge.message_id, attempt=charge.attempt)
                )
            SmsCharge.objects.bulk_create(
                made,
                update_conflicts=True,
                unique_fields=["day", "message_id"],
                update_fields=["attempt"],
            )
            first = bool(refused) and row.reached_at is None
            row.reached_at = at if first else row.reached_at
            row.save()
        return refused, first

    def spent(self, day: date) -> int:
        """Returns the sum of a day, in millionths."""
        return self.filter(day=day).values_list("micros", flat=True).first() or 0


class SmsSpend(models.Model):
    """The cost of one day's SMS, in millionths of the currency."""

    day = models.DateField(primary_key=True)
    micros = models.BigIntegerField(default=0)
    #: When a message was first refused.
    reached_at = models.DateTimeField(null=True)

    objects: ClassVar[SmsSpendManager] = SmsSpendManager()

    def __str__(self) -> str:
        return f"SMS of {self.day}"


class SmsCharge(models.Model):
    """A message that was charged to a day, with its last charged attempt."""

    day = models.DateField()
    message_id = models.BigIntegerField()
    attempt = models.SmallIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["day", "message_id"], name="sms_charge_once")
        ]

    def __str__(self) -> str:
        return f"charge of message {self.message_id}"
