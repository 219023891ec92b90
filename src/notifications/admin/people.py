"""Users, their addresses and preferences. Only the row of a user can be edited."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import UserChangeForm
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import DateTimeField, Field, QuerySet
from django.forms import Field as FormField
from django.forms import ModelForm
from django.http import HttpRequest
from rest_framework.authtoken.models import TokenProxy

from directory.lookup import find_people
from directory.models import ContactPoint, Device, User
from directory.moments import MomentOutOfRange, check_moment
from directory.references import PersonKey, external_id_of, read_person
from directory.texts import is_storable
from notifications.admin.readonly import (
    MOST_FOUND,
    BoundedPaginator,
    ExactSearch,
    ReadOnlyAdmin,
    may,
)
from notifications.domain.errors import Conflict
from notifications.domain.scopes import STAFF_SCOPE
from notifications.features.access.callers import forget_callers
from notifications.features.access.principals import caller_of_user
from notifications.features.access.staff import check_other_admin
from notifications.features.access.tokens.password_changes import EndsSignIns
from notifications.features.people.admin_changes import record_user_change, user_values
from notifications.features.people.service import people_named
from notifications.features.privacy.service import PrivacyService
from notifications.models import (
    ConsentRecord,
    NotificationCategoryPreference,
    UserNotificationPreference,
)
from notifications.models.audit.actions import Values

_REASON = "deleted in the admin"
_LONGEST_SEARCH = 300
_FOUND_BY = "An id, a whole email, username or phone number, or words of a name"
admin.site.unregister(Group)  # Django's groups grant nothing here: roles do
admin.site.unregister(TokenProxy)  # its table is empty: tokens are hashes in PersonToken


def validate_moment(moment: datetime) -> None:
    """Raises ValidationError for a time outside the accepted range."""
    try:
        check_moment(moment)
    except MomentOutOfRange as error:
        raise ValidationError(str(error), code=error.code) from error


class PersonForm(UserChangeForm):  # type: ignore[type-arg]  # takes none at run time
    """The form of a user. A role is given by the API or the command line, and never here."""

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        if not values.get("is_active"):
            try:
                check_other_admin(User.objects.get(pk=self.instance.pk))
            except Conflict as error:
                raise ValidationError(error.detail, code=error.code) from error
        return values


@admin.register(User)
class PersonAdmin(ExactSearch, UserAdmin):  # type: ignore[type-arg]  # takes none at run time
    list_display = ("id", "username", "first_name", "last_name", "role", "is_active", "staff_role")
    list_filter = ("role", "is_active", "staff_role")
    found_by = ("pk",)
    search_help_text = _FOUND_BY
    ordering = ("id",)
    show_full_result_count = False
    paginator = BoundedPaginator
    scope = "users:read"
    form = PersonForm
    readonly_fields = ("staff_role", "last_login", "date_joined")
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Personal info", {"fields": ("first_name", "last_name", "email")}),
        ("Staff", {"fields": ("is_active", "staff_role")}),
        ("Important dates", {"fields": ("last_login", "date_joined")}),
        (
            "On the platform",
            {
                "fields": (
                    "role",
                    "locale",
                    "timezone",
                    "phone_number",
                    "telegram_id",
                    "external_id",
                    "subscription_tier",
                )
            },
        ),
    )

    def keys_of(self, text: str) -> set[int]:
        """Returns the ids of people: by each of their ids, and by the search of the API."""
        if len(text) > _LONGEST_SEARCH or not is_storable(text):
            return set()
        ids: list[PersonKey] = []
        if (key := read_person(text, written=True)) is not None:
            ids.append(key)
        if (external := external_id_of(text)) is not None:
            ids.append(external)
        found = set(find_people(ids).values())
        if (named := people_named(text)) is not None:
            rows = User.objects.filter(named).order_by("pk")
            found.update(rows.values_list("pk", flat=True)[:MOST_FOUND])
        return found

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may(request, self.scope)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, self.scope)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, STAFF_SCOPE)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, STAFF_SCOPE)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, STAFF_SCOPE)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Returns the parts of the form. Those who only view do not see that there is a hash."""
        shown = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return shown
        return [(None, {"fields": ("username",)}), *list(shown)[1:]]

    def save_model(
        self, request: HttpRequest, obj: User, form: ModelForm[User], change: bool
    ) -> None:
        request.values_before = user_values(obj)  # type: ignore[attr-defined]  # for `log_change`
        super().save_model(request, obj, form, change)
        forget_callers()

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        """Begins an erasure: it deletes the row within a minute."""
        _erase(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            _erase(request, user)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, Any, Any]:
        """Returns what the page of confirmation names: an erasure deletes all that is theirs."""
        names = [str(user) for user in objs]
        return names, {"users": len(names)}, set(), []

    def log_addition(self, request: HttpRequest, obj: User, message: Any) -> Any:
        _record(request, obj, "user.created", after=user_values(obj))
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: User, message: Any) -> Any:
        """Records a change of the row; without values before, that of a password."""
        before = getattr(request, "values_before", None)
        if before is None:
            # Django tells the validators of a new password, and not of one that was switched off.
            EndsSignIns().password_changed("", obj)
            _record(request, obj, "user.password")
        else:
            _record(request, obj, "user.changed", before=before, after=user_values(obj))
        return super().log_change(request, obj, message)

    def formfield_for_dbfield(
        self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> FormField | None:
        """Limits times in the form to the range that the API accepts."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if isinstance(db_field, DateTimeField) and field is not None:
            field.validators = [*field.validators, validate_moment]
        return field


def _erase(request: HttpRequest, user: User) -> None:
    """Begins an erasure; one that is open already goes on."""
    assert isinstance(request.user, User)
    by = caller_of_user(request.user)
    try:
        PrivacyService().erase_user(identifier=user.pk, reason=_REASON, caller=by)
    except Conflict as error:
        messages.warning(request, error.detail)


def _record(
    request: HttpRequest, user: User, action: str, *, before: Values = None, after: Values = None
) -> None:
    by = request.user.pk or 0
    record_user_change(by=by, user_id=user.pk, action=action, before=before, after=after)


@admin.register(ContactPoint)
class ContactPointAdmin(ReadOnlyAdmin):
    scope = "users:read"
    list_display = ("id", "user_id", "kind", "state", "state_reason", "verified_at")
    list_filter = ("kind", "state")
    found_by = ("user_id",)


@admin.register(Device)
class DeviceAdmin(ReadOnlyAdmin):
    scope = "users:read"
    list_display = ("id", "user_id", "kind", "platform", "last_seen", "expired_at")
    list_filter = ("kind",)
    found_by = ("user_id",)
    exclude = ("token", "keys")


@admin.register(UserNotificationPreference)
class PreferenceAdmin(ReadOnlyAdmin):
    scope = "preferences:read"
    list_display = ("user_id", "notifications_enabled", "marketing_enabled", "digest_frequency")
    list_filter = ("notifications_enabled", "digest_frequency")
    found_by = ("user_id",)


@admin.register(NotificationCategoryPreference)
class CategoryPreferenceAdmin(ReadOnlyAdmin):
    scope = "preferences:read"
    list_display = ("user_id", "category", "updated_at")
    found_by = ("user_id",)


@admin.register(ConsentRecord)
class ConsentAdmin(ReadOnlyAdmin):
    scope = "preferences:read"
    list_display = ("id", "user_id", "purpose", "granted", "source", "actor", "at")
    list_filter = ("granted",)
    found_by = ("user_id",)
