"""Preferences: one row for each user, and one for each category that the user chose about.

A switch always holds a value (the documented default). `chosen` names the switches that the user
set, so that defaults of the service and of categories apply to the others. A switch that differs
from its default counts as chosen, whatever wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.conf import settings
from django.db import models

from notifications.domain.channels import PERSON_CHANNELS
from notifications.domain.preferences import (
    QUIET_END,
    QUIET_START,
    SWITCH_DEFAULTS,
    DigestFrequency,
    EffectivePreferences,
    switch_name,
)
from notifications.infra.conf import environment


def default_consent() -> bool:
    """Returns the data-processing consent of new users (CARILLON_DEFAULT_CONSENT)."""
    return environment().default_consent


class Switches(models.Model):
    """The switches of a user's channels."""

    push_enabled = models.BooleanField(default=True)
    email_enabled = models.BooleanField(default=True)
    sms_enabled = models.BooleanField(default=False)
    websocket_enabled = models.BooleanField(default=True)
    telegram_enabled = models.BooleanField(default=True)
    in_app_enabled = models.BooleanField(default=True)
    chosen = models.CharField(max_length=300, blank=True, default="")  # names: "push_enabled ..."
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True

    INHERITED: Mapping[str, Any] = {
        switch_name(channel): default for channel, default in SWITCH_DEFAULTS.items()
    }
    """Preferences that inherit, and the service's default of each."""

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Saves the row; what differs from its default is marked as chosen."""
        before = self.chosen
        self.choose(())
        only = kwargs.get("update_fields")
        if only is not None and self.chosen != before:
            kwargs["update_fields"] = {*only, "chosen"}
        super().save(*args, **kwargs)

    def choose(self, names: Iterable[str]) -> None:
        """Marks preferences as the user's own choice, whatever their value."""
        named = {name for name in names if name in self.INHERITED}
        changed = {n for n, default in self.INHERITED.items() if getattr(self, n) != default}
        self.chosen = " ".join(sorted({*self.chosen.split(), *named, *changed}))

    def has_chosen(self, name: str) -> bool:
        """Returns whether a preference is the user's own choice."""
        return name in self.chosen.split() or getattr(self, name) != self.INHERITED[name]

    def switches(self) -> dict[str, bool]:
        """Returns the channels that the user chose about, with the choice."""
        return {
            str(channel): getattr(self, switch_name(channel))
            for channel in PERSON_CHANNELS
            if self.has_chosen(switch_name(channel))
        }


class UserNotificationPreference(Switches):
    """The general preferences of one user. A user without a row has the defaults."""

    INHERITED = {**Switches.INHERITED, "digest_frequency": DigestFrequency.IMMEDIATE}

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="notification_preferences",
    )
    notifications_enabled = models.BooleanField(default=True)
    marketing_enabled = models.BooleanField(default=False)
    quiet_hours_enabled = models.BooleanField(default=False)
    quiet_hours_start = models.TimeField(default=QUIET_START)  # wall clock in the user's zone
    quiet_hours_end = models.TimeField(default=QUIET_END)
    timezone = models.CharField(
        max_length=50, blank=True, default=""
    )  # empty: the zone of the user
    dnd_until = models.DateTimeField(null=True, blank=True)  # muted with the rules of quiet hours
    digest_frequency = models.CharField(
        max_length=20,
        choices=[(item.value, item.name.capitalize()) for item in DigestFrequency],
        default=DigestFrequency.IMMEDIATE,
    )
    data_processing_consent = models.BooleanField(default=default_consent)
    consent_given_at = models.DateTimeField(null=True, blank=True)
    consent_withdrawn_at = models.DateTimeField(null=True, blank=True)
    #: Opens and clicks of their mails may be tracked, where the sender and the service do.
    tracking_enabled = models.BooleanField(default=True, db_default=True)

    def __str__(self) -> str:
        return f"preferences of user {self.user_id}"

    def as_preferences(self) -> EffectivePreferences:
        """Returns the row as decisions read it."""
        quiet = (self.quiet_hours_start, self.quiet_hours_end)
        return EffectivePreferences(
            consent=self.data_processing_consent,
            notifications_enabled=self.notifications_enabled,
            marketing_enabled=self.marketing_enabled,
            switches=self.switches(),
            quiet=quiet if self.quiet_hours_enabled else None,
            dnd_until=self.dnd_until,
            digest=self.digest_frequency if self.has_chosen("digest_frequency") else "",
            zone=self.timezone,
            tracked=self.tracking_enabled,
        )


class NotificationCategoryPreference(Switches):
    """The preferences of one user for one category; a channel without a choice inherits."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="notification_category_preferences",
    )
    category = models.CharField(max_length=50)  # the category's key

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "category"], name="category_preference_once")
        ]

    def __str__(self) -> str:
        return f"preferences of user {self.user_id} for {self.category}"
