"""Users, their addresses and preferences. Only the row of a user can be edited."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.core.exceptions import ValidationError
from django.db.models import DateTimeField, Field, QuerySet
from django.forms import Field as FormField
from django.forms import ModelForm
from django.http import HttpRequest
from rest_framework.authtoken.models import TokenProxy

from directory.models import ContactPoint, Device, User
from directory.models.search_token import people_matching
from directory.moments import MomentOutOfRange, check_moment
from notifications.admin.readonly import ReadOnlyAdmin
from notifications.features.access.callers import forget_callers
from notifications.models import (
    ConsentRecord,
    NotificationCategoryPreference,
    UserNotificationPreference,
)

admin.site.unregister(TokenProxy)  # its table is empty: tokens are hashes in PersonToken


def validate_moment(moment: datetime) -> None:
    """Raises ValidationError for a time outside the accepted range."""
    try:
        check_moment(moment)
    except MomentOutOfRange as error:
        raise ValidationError(str(error), code=error.code) from error


@admin.register(User)
class PersonAdmin(UserAdmin):  # type: ignore[type-arg]  # takes none at run time
    list_display = ("id", "username", "first_name", "last_name", "role", "is_active", "is_staff")
    list_filter = ("role", "is_active", "is_staff")
    search_fields = ("=id", "=external_id")
    ordering = ("id",)
    show_full_result_count = False
    fieldsets = (
        *(UserAdmin.fieldsets or ()),
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

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[User], search_term: str
    ) -> tuple[QuerySet[User], bool]:
        """Finds people by id, and by the words that the API finds them by."""
        found, repeats = super().get_search_results(request, queryset, search_term)
        named = people_matching(search_term) if search_term.strip() else None
        return (found | queryset.filter(named) if named is not None else found), repeats

    def save_model(
        self, request: HttpRequest, obj: User, form: ModelForm[User], change: bool
    ) -> None:
        super().save_model(request, obj, form, change)
        forget_callers()

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        super().delete_model(request, obj)
        forget_callers()

    def formfield_for_dbfield(
        self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> FormField | None:
        """Limits times in the form to the range that the API accepts."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if isinstance(db_field, DateTimeField) and field is not None:
            field.validators = [*field.validators, validate_moment]
        return field


@admin.register(ContactPoint)
class ContactPointAdmin(ReadOnlyAdmin):
    list_display = ("id", "user_id", "kind", "state", "state_reason", "verified_at")
    list_filter = ("kind", "state")
    search_fields = ("=user__id",)


@admin.register(Device)
class DeviceAdmin(ReadOnlyAdmin):
    list_display = ("id", "user_id", "kind", "platform", "last_seen", "expired_at")
    list_filter = ("kind",)
    search_fields = ("=user__id",)
    exclude = ("token", "keys")


@admin.register(UserNotificationPreference)
class PreferenceAdmin(ReadOnlyAdmin):
    list_display = ("user_id", "notifications_enabled", "marketing_enabled", "digest_frequency")
    list_filter = ("notifications_enabled", "digest_frequency")
    search_fields = ("=user__id",)


@admin.register(NotificationCategoryPreference)
class CategoryPreferenceAdmin(ReadOnlyAdmin):
    list_display = ("user_id", "category", "updated_at")
    search_fields = ("=user__id",)


@admin.register(ConsentRecord)
class ConsentAdmin(ReadOnlyAdmin):
    list_display = ("id", "user_id", "purpose", "granted", "source", "actor", "at")
    list_filter = ("granted",)
    search_fields = ("=user__id",)
