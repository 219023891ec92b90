"""Push devices and browsers, which their owners register."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from directory.imports.related_fields import read_device
from directory.lookup import of_staff
from directory.memberships import register_devices, tokens_of_staff
from directory.models import Device
from notifications.delivery.accounts import settings_of
from notifications.delivery.vendors.webpush.crypto import derived_key, public_key
from notifications.delivery.vendors.webpush.settings import Settings as WebPushSettings
from notifications.domain.callers import Caller
from notifications.domain.errors import FieldError, InvalidRequest, NotFound
from notifications.domain.identifiers import parse_key
from notifications.features.access.persons import person_for, protected_staff_error
from notifications.features.people.schemas import DeviceBody, DeviceKindName
from notifications.features.people.service import READ, WRITE
from notifications.infra import clock
from notifications.infra.field_types import (
    ExternalIdOrNone,
    NextPage,
    PreviousPage,
    UserRefOrNone,
)
from notifications.models.audit.actions import Values, record_change

MAX_DEVICES = 50


class DeviceResponse(msgspec.Struct, kw_only=True):
    """A registered device."""

    id: int
    """The integer id of the device. Example: `9`"""

    kind: DeviceKindName

    platform: str
    """The device's platform in your own words; empty for none. Example: `ios`"""

    last_seen: datetime
    """When the device was last registered (RFC 3339)."""

    expired_at: datetime | None
    """When the push service reported that the token is no longer valid (RFC 3339), or null."""


class DeviceList(msgspec.Struct, kw_only=True):
    """A page of a user's devices, the oldest first."""

    results: list[DeviceResponse]
    """The devices of this page."""

    next: NextPage = None
    previous: PreviousPage = None


class RegisterBody(DeviceBody, kw_only=True):
    """A push token, or a browser's subscription as `PushSubscription.toJSON()` returns it."""

    token: str = ""
    """The push token; left out for a browser's subscription. Example: `dXk3:APA91b`"""

    endpoint: str = ""
    """The endpoint URL of a browser's subscription.
    Example: `https://updates.push.services.mozilla.com/wpush/v2/gAAA`"""

    user_id: UserRefOrNone = None
    external_id: ExternalIdOrNone = None


class VapidResponse(msgspec.Struct, kw_only=True):
    """The key that a browser subscribes with."""

    public_key: str
    """The `applicationServerKey` in base64url. Example: `BEl62iUYgUivxIkv69yViEuiBIa`"""


class DeviceService:
    """Lists, registers and deletes devices. A user reaches their own; a service names the user."""

    def list(
        self, *, caller: Caller, identifier: object = None, after: int = 0, limit: int = 50
    ) -> Sequence[DeviceResponse]:
        """Returns devices without their tokens, the oldest first."""
        user = person_for(caller, identifier, scope=READ)
        rows = Device.objects.filter(user=user, pk__gt=after).order_by("pk")
        return [_response(row) for row in rows[: max(1, limit)]]

    def register(
        self, *, device: dict[str, Any], caller: Caller, identifier: object = None
    ) -> DeviceResponse:
        """Registers a device, or updates its last use.

        A token that another user had moves to this user. Of more than 50 devices, those with the
        oldest last use are deleted.

        Raises:
            InvalidRequest: the token, kind, platform or keys are wrong.
            Refused: staff_protected, for a service that would move the device of a member of staff.
        """
        user = person_for(caller, identifier, scope=WRITE)
        try:
            entry = read_device(device)
        except ValueError as error:
            raise InvalidRequest([FieldError("token", "invalid_device", str(error))]) from error
        if entry.kind == Device.Kind.WEBPUSH and not entry.token.startswith("https://"):
            detail = "must be the subscription's endpoint, which begins with https://"
            raise InvalidRequest([FieldError("endpoint", "invalid_device", detail)])
        own = caller.manages_staff or user.pk == caller.user_id
        if not own and tokens_of_staff([entry.token]):
            raise protected_staff_error()
        with transaction.atomic():
            known = Device.objects.filter(token=entry.token, user=user).exists()
            register_devices([(user.pk, entry)], at=clock.now())
            held = Device.objects.filter(user=user).order_by("-last_seen", "-pk")
            surplus = list(held.values_list("pk", flat=True)[MAX_DEVICES:])
            Device.objects.filter(pk__in=surplus).delete()
            row = Device.objects.get(token=entry.token)
            if not known:
                _record(caller, "device.registered", row, after={"kind": row.kind})
        return _response(row)

    def delete(self, *, identifier: str, caller: Caller) -> None:
        """Deletes a device of the caller, or of any user with the scope users:write.

        Raises:
            NotFound: unknown_device.
        """
        rows = Device.objects.filter(pk=parse_key(identifier) or 0)
        if not caller.may(WRITE):
            rows = rows.filter(user_id=caller.user_id or 0)
        elif not caller.manages_staff:
            rows = rows.filter(~of_staff("user__") | Q(user_id=caller.user_id or 0))
        with transaction.atomic():
            row = rows.first()
            if row is None:
                raise NotFound(f"there is no device {identifier}", code="unknown_device")
            _record(caller, "device.deleted", row, before={"kind": row.kind})
            row.delete()


def _record(
    caller: Caller, action: str, row: Device, *, before: Values = None, after: Values = None
) -> None:
    record_change(
        actor=caller.name,
        action=action,
        target=f"device:{row.pk}",
        at=clock.now(),
        subject_id=row.user_id,
        before=before,
        after=after,
    )


def vapid_key() -> str:
    """Returns the public key with which browsers subscribe."""
    given = settings_of(WebPushSettings)
    return public_key(given.webpush_private_key or derived_key(settings.VAPID_SEED))


def _response(row: Device) -> DeviceResponse:
    return DeviceResponse(
        id=row.pk,
        kind=row.kind,
        platform=row.platform,
        last_seen=row.last_seen,
        expired_at=row.expired_at,
    )
