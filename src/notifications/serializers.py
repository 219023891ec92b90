"""The documented serializers, for Django projects that write their own views.

They validate and show the same data as the API, by the same code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from rest_framework import serializers

from directory.models import User
from notifications.domain.errors import InvalidRequest
from notifications.features.access.principals import caller_of_user
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
    """A recipient with its state."""

    def to_representation(self, instance: BroadcastRecipient) -> Shown:
        person = User.objects.filter(pk=instance.recipient_id).first()
        return _shown(recipient_response(instance, person))


class CreateBroadcastSerializer(serializers.BaseSerializer[Broadcast]):
    """The body of a new broadcast.

    `save(created_by=user)` creates the broadcast, and sends it when the body requests that.
    """

    def to_internal_value(self, data: Mapping[str, Any]) -> Shown:
        """Returns the body if it is valid.

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
    """The body of a scheduled notification. `save(user=user)` accepts it."""

    def to_internal_value(self, data: Mapping[str, Any]) -> Shown:
        """Returns the body if it is valid.

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
    """The response to a schedule request: notification_ids, count, scheduled_at."""

    def to_representation(self, instance: ScheduledResponse) -> Shown:
        return _shown(instance)


class NotificationScheduleStatusSerializer(serializers.BaseSerializer[Notification]):
    """The state of a scheduled notification."""

    def to_representation(self, instance: Notification) -> Shown:
        return _shown(build_status_response(instance))


class CancelScheduledNotificationSerializer(serializers.BaseSerializer[CancelScheduledResponse]):
    """The response to the cancellation of a scheduled notification."""

    def to_representation(self, instance: CancelScheduledResponse) -> Shown:
        return _shown(instance)


def with_faults(work: Any) -> Any:
    """Runs `work` and returns its result.

    Raises:
        ValidationError: the faults of an invalid request, by field.
    """
    try:
        return work()
    except InvalidRequest as error:
        faults: dict[str, list[str]] = {}
        for each in error.errors:
            faults.setdefault(each.path.partition(".")[0].partition("[")[0], []).append(each.detail)
        raise serializers.ValidationError(faults) from error


def _shown(response: msgspec.Struct) -> Shown:
    shown: Shown = msgspec.to_builtins(response)
    return shown
