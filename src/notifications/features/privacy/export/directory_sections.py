"""The sections of an export that the directory holds: the person, their addresses and relations."""

from __future__ import annotations

from itertools import chain
from typing import Any

from directory.models import (
    AddressProof,
    ContactPoint,
    Device,
    Enrollment,
    GroupMembership,
    ListMembership,
    ParentLink,
    Suppression,
    TutorAssignment,
)
from notifications.features.privacy.export.paging import (
    ExportedPerson,
    ExportPage,
    by_key,
    columns,
)
from notifications.models import NotificationCategoryPreference, UserNotificationPreference

_PROFILE = (
    "id uuid external_id username email first_name last_name phone_number telegram_id role locale"
    " timezone avatar_url subscription_tier attributes attributes_private is_active staff_role"
    " is_staff is_superuser email_verified_at date_joined last_login"
)
_SWITCHES = (
    "push_enabled email_enabled sms_enabled websocket_enabled telegram_enabled in_app_enabled"
    " chosen created_at updated_at"
)
_GENERAL = (
    f"notifications_enabled marketing_enabled {_SWITCHES} quiet_hours_enabled quiet_hours_start"
    " quiet_hours_end timezone dnd_until digest_frequency tracking_enabled data_processing_consent"
    " consent_given_at consent_withdrawn_at"
)
_SHOWN = 4


def profile(person: ExportedPerson, _after: str) -> ExportPage:
    return ExportPage([columns(person.user, _PROFILE)])


def contact_points(person: ExportedPerson, after: str) -> ExportPage:
    def item(row: ContactPoint) -> dict[str, Any]:
        names = "kind address spelling state state_reason verified_at created_at updated_at"
        return columns(row, names)

    return by_key(ContactPoint.objects.filter(user=person.user), after, item)


def address_proofs(person: ExportedPerson, after: str) -> ExportPage:
    rows = AddressProof.objects.filter(user=person.user)
    return by_key(rows, after, lambda row: columns(row, "kind address created_at expires_at"))


def devices(person: ExportedPerson, after: str) -> ExportPage:
    """Tokens are masked, and the keys of a browser left out: who has them can write to a device."""

    def item(row: Device) -> dict[str, Any]:
        token = f"***{row.token[-_SHOWN:]}" if len(row.token) > 2 * _SHOWN else "***"
        return {"token": token, **columns(row, "kind platform last_seen expired_at")}

    return by_key(Device.objects.filter(user=person.user), after, item)


def groups(person: ExportedPerson, after: str) -> ExportPage:
    rows = GroupMembership.objects.filter(user=person.user).select_related("group")
    return by_key(rows, after, lambda row: {"group": row.group.name, "since": row.created_at})


def lists(person: ExportedPerson, after: str) -> ExportPage:
    """Mailing lists, those that the person left among them."""
    rows = ListMembership.objects.filter(user=person.user).select_related("list")

    def item(row: ListMembership) -> dict[str, Any]:
        names = "state source created_at subscribed_at unsubscribed_at consent_id"
        return {"list": row.list.name, **columns(row, names)}

    return by_key(rows, after, item)


def lessons(person: ExportedPerson, after: str) -> ExportPage:
    """Enrollments as a student; other persons are named by their number only."""
    rows = Enrollment.objects.filter(student=person.user).select_related("subject")

    def item(row: Enrollment) -> dict[str, Any]:
        return {"subject": row.subject.name, **columns(row, "teacher_id created_at")}

    return by_key(rows, after, item)


def taught(person: ExportedPerson, after: str) -> ExportPage:
    rows = Enrollment.objects.filter(teacher=person.user).select_related("subject")

    def item(row: Enrollment) -> dict[str, Any]:
        return {"subject": row.subject.name, **columns(row, "student_id created_at")}

    return by_key(rows, after, item)


def tutoring(person: ExportedPerson, after: str) -> ExportPage:
    mine = TutorAssignment.objects.filter(student=person.user)
    rows = mine | TutorAssignment.objects.filter(tutor=person.user)
    return by_key(rows, after, lambda row: columns(row, "student_id tutor_id created_at"))


def family(person: ExportedPerson, after: str) -> ExportPage:
    mine = ParentLink.objects.filter(student=person.user)
    rows = mine | ParentLink.objects.filter(parent=person.user)
    return by_key(rows, after, lambda row: columns(row, "parent_id student_id created_at"))


def preferences(person: ExportedPerson, _after: str) -> ExportPage:
    general = UserNotificationPreference.objects.filter(user=person.user)
    own = NotificationCategoryPreference.objects.filter(user=person.user).order_by("pk")
    items = [{"category": None, **columns(row, _GENERAL)} for row in general]
    return ExportPage([*items, *(columns(row, f"category {_SWITCHES}") for row in own)])


def suppressions(person: ExportedPerson, _after: str) -> ExportPage:
    """The entries of the suppression list for their present addresses."""
    points = [(row.kind, row.address) for row in ContactPoint.objects.filter(user=person.user)]
    found = chain.from_iterable(
        Suppression.objects.filter(kind=kind, address=address) for kind, address in points
    )
    return ExportPage([columns(row, "kind address reason source created_at") for row in found])
