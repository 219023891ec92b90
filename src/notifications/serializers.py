"""The documented serializers, for Django projects that write their own views.

They validate input and format output by the code of the API.
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
    """Formats a broadcast as lists show it."""

    def to_representation(self, instance: Broadcast) -> Shown:
        return _as_dict(broadcast_response(instance))


class BroadcastDetailSerializer(serializers.BaseSerializer[Broadcast]):
    """Formats a broadcast with the first page of its recipients."""

    def to_representation(self, instance: Broadcast) -> Shown:
        return _as_dict(detail(instance))


class BroadcastRecipientSerializer(serializers.BaseSerializer[BroadcastRecipient]):
    """Formats a recipient with its state."""

    def to_representation(self, instance: BroadcastRecipient) -> Shown:
        person = User.objects.filter(pk=instance.recipient_id).first()
        return _as_dict(recipient_response(instance, person))


class CreateBroadcastSerializer(serializers.BaseSerializer[Broadcast]):
    """Reads the body of a new broadcast.

    `save(created_by=user)` creates the broadcast, and sends it if the body says so.
    """

    def to_internal_value(self, data: Mapping[str, Any]) -> Shown:
        """Returns the body unchanged if it is valid.

        Raises:
            ValidationError: with every error, by field.
        """
        with_validation_errors(lambda: read_new(data, now=clock.now()))
        return dict(data)

    def create(self, validated_data: Shown) -> Broadcast:
        user: User = validated_data.pop("created_by")
        caller = caller_of_user(user)
        made = with_validation_errors(
            lambda: BroadcastWorkflow().create(body=validated_data, caller=caller, now=clock.now())
        )
        return Broadcast.objects.get(pk=made.data.id)

    def to_representation(self, instance: Broadcast) -> Shown:
        return _as_dict(broadcast_response(instance))


class ScheduleNotificationSerializer(serializers.BaseSerializer[Any]):
    """Reads the body of a scheduled notification. `save(user=user)` accepts it."""

    def to_internal_value(self, data: Mapping[str, Any]) -> Shown:
        """Returns the body unchanged if it is valid.

        Raises:
            ValidationError: with every error, by field.
        """
        with_validation_errors(lambda: parse_schedule(data, now=clock.now()))
        return dict(data)

    def create(self, validated_data: Shown) -> ScheduledResponse:
        caller = caller_of_user(validated_data.pop("user"))
        made: ScheduledResponse = with_validation_errors(
            lambda: ScheduleService().schedule(body=validated_data, caller=caller)
        )
        return made

    def to_representation(self, instance: ScheduledResponse) -> Shown:
        return _as_dict(instance)


class ScheduleNotificationResponseSerializer(serializers.BaseSerializer[ScheduledResponse]):
    """Formats the response of scheduling: notification_ids, count, scheduled_at."""

    def to_representation(self, instance: ScheduledResponse) -> Shown:
        return _as_dict(instance)


class NotificationScheduleStatusSerializer(serializers.BaseSerializer[Notification]):
    """Formats how far a scheduled notification has come."""

    def to_representation(self, instance: Notification) -> Shown:
        return _as_dict(build_status_response(instance))


class CancelScheduledNotificationSerializer(serializers.BaseSerializer[CancelScheduledResponse]):
    """Formats the response of a cancellation."""

    def to_representation(self, instance: CancelScheduledResponse) -> Shown:
        return _as_dict(instance)


def with_validation_errors(work: Any) -> Any:
    """Calls `work` and returns its result.

    Raises:
        ValidationError: the errors of an InvalidRequest, by field.
    """
    try:
        return work()
    except InvalidRequest as error:
        errors: dict[str, list[str]] = {}
        for each in error.errors:
            errors.setdefault(each.path.partition(".")[0].partition("[")[0], []).append(each.detail)
        raise serializers.ValidationError(errors) from error


def _as_dict(response: msgspec.Struct) -> Shown:
    shown: Shown = msgspec.to_builtins(response)
    return shown
