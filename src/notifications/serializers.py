"""The serializers of the source documents, by their names.

They validate and show what the doors do, by the same code, for Django projects that write views of
their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from rest_framework import serializers

from directory.models import User
from notifications.domain.errors import InvalidRequest
from notifications.features.access.authentication import caller_of_user
from notifications.features.broadcasts.body import read_new
from notifications.features.broadcasts.queries import broadcast_response, detail, recipient_response
from notifications.features.broadcasts.service import BroadcastWorkflow
from notifications.features.scheduling.schemas import CancelScheduledResponse, ScheduledResponse
from notifications.features.scheduling.service import ScheduleService, build_status_response
from notifications.infra import clock
from notifications.intake.schedule import parse_schedule
from notifications.models import Broadcast, BroadcastRecipient, Notification

__all__ = [
    "BroadcastDetailSerializer",
    "BroadcastListSerializer",
    "BroadcastRecipientSerializer",
    "CancelScheduledNotificationSerializer",
    "CreateBroadcastSerializer",
    "NotificationScheduleStatusSerializer",
    "ScheduleNotificationResponseSerializer",
    "ScheduleNotificationSerializer",
]
Shown = dict[str, Any]


class BroadcastListSerializer(serializers.BaseSerializer[Broadcast]):
    """A broadcast as lists show it."""

    def to_representation(self, instance: Broadcast) -> Shown:
        return _shown(broadcast_response(instance))


class BroadcastDetailSerializer(serializers.BaseSerializer[Broadcast]):
    """A broadcast with the first page of its recipients."""

    def to_representation(self, instance: Broadcast) -> Shown:
        return _shown(detail(instance))


class BroadcastRecipientSerializer(serializers.BaseSerializer[BroadcastRecipient]):
    """A recipient, with what became of them."""

    def to_representation(self, instance: BroadcastRecipient) -> Shown:
        person = User.objects.filter(pk=instance.recipient_id).first()
        return _shown(recipient_response(instance, person))


class CreateBroadcastSerializer(serializers.BaseSerializer[Broadcast]):
    """The body of a new broadcast. `save(created_by=user)` makes it, and sends it where it says
    so."""

    def to_internal_value(self, data: Mapping[str, Any]) -> Shown:
        """The body itself, once it is valid.

        Raises:
            ValidationError: with every fault, by field.
        """
        with_faults(lambda: read_new(data, now=clock.now()))
        return dict(data)

    def create(self, validated_data: Shown) -> Broadcast:
        user: User = validated_data.pop("created_by")
        caller = caller_of_user(user)
        made = with_faults(
            lambda: BroadcastWorkflow().create(body=validated_data, caller=caller, now=clock.now())
        )
        return Broadcast.objects.get(pk=made.data.id)

    def to_representation(self, instance: Broadcast) -> Shown:
        return _shown(broadcast_response(instance))


class ScheduleNotificationSerializer(serializers.BaseSerializer[Any]):
    """The body of a scheduled notification. `save(user=user)` takes it in."""

    def to_internal_value(self, data: Mapping[str, Any]) -> Shown:
        """The body itself, once it is valid.

        Raises:
            ValidationError: with every fault, by field.
        """
        with_faults(lambda: parse_schedule(data, now=clock.now()))
        return dict(data)

    def create(self, validated_data: Shown) -> ScheduledResponse:
        caller = caller_of_user(validated_data.pop("user"))
        made: ScheduledResponse = with_faults(
            lambda: ScheduleService().schedule(body=validated_data, caller=caller)
        )
        return made

    def to_representation(self, instance: ScheduledResponse) -> Shown:
        return _shown(instance)


class ScheduleNotificationResponseSerializer(serializers.BaseSerializer[ScheduledResponse]):
    """What scheduling answers: notification_ids, count, scheduled_at."""

    def to_representation(self, instance: ScheduledResponse) -> Shown:
        return _shown(instance)


class NotificationScheduleStatusSerializer(serializers.BaseSerializer[Notification]):
    """How far a scheduled notification has come."""

    def to_representation(self, instance: Notification) -> Shown:
        return _shown(build_status_response(instance))


class CancelScheduledNotificationSerializer(serializers.BaseSerializer[CancelScheduledResponse]):
    """What taking a scheduled notification back answers."""

    def to_representation(self, instance: CancelScheduledResponse) -> Shown:
        return _shown(instance)


def with_faults(work: Any) -> Any:
    """What `work` returns.

    Raises:
        ValidationError: what it finds wrong, by field.
    """
    try:
        return work()
    except InvalidRequest as error:
        faults: dict[str, list[str]] = {}
        for each in error.errors:
            faults.setdefault(each.path.partition(".")[0].partition("[")[0], []).append(each.detail)
        raise serializers.ValidationError(faults) from error


def _shown(answer: msgspec.Struct) -> Shown:
    shown: Shown = msgspec.to_builtins(answer)
    return shown
