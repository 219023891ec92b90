"""What people wish: one row a person, and one for each category they have said something about.

A switch holds a value always (the documented defaults), and `chosen` names those that the person
has set, so that defaults of the service and of categories reach whoever has chosen nothing. What
differs from its default counts as chosen, however it came to be written.
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
    Wishes,
    switch_name,
)
from notifications.infra.conf import environment


def default_consent() -> bool:
    """The data-processing consent that new people start with (CARILLON_DEFAULT_CONSENT)."""
    return environment().default_consent


class Switches(models.Model):
    """The switches of a person's channels."""

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
        """Saves; what differs from its default is remembered as chosen."""
        before = self.chosen
        self.choose(())
        only = kwargs.get("update_fields")
        if only is not None and self.chosen != before:
            kwargs["update_fields"] = {*only, "chosen"}
        super().save(*args, **kwargs)

    def choose(self, names: Iterable[str]) -> None:
        """Marks preferences as the person's own choice, whatever their value."""
        told = {name for name in names if name in self.INHERITED}
        changed = {n for n, default in self.INHERITED.items() if getattr(self, n) != default}
        self.chosen = " ".join(sorted({*self.chosen.split(), *told, *changed}))

    def has_chosen(self, name: str) -> bool:
        """Whether a preference is the person's own choice."""
        return name in self.chosen.split() or getattr(self, name) != self.INHERITED[name]

    def switches(self) -> dict[str, bool]:
        """The channels that the person has chosen about, and how."""
        return {
            str(channel): getattr(self, switch_name(channel))
            for channel in PERSON_CHANNELS
            if self.has_chosen(switch_name(channel))
        }


class UserNotificationPreference(Switches):
    """What one person wishes in general. Whoever has no row has the defaults."""

    INHERITED = {**Switches.INHERITED, "digest_frequency": DigestFrequency.IMMEDIATE}

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="notification_preferences",
    )
    notifications_enabled = models.BooleanField(default=True)
    marketing_enabled = models.BooleanField(default=False)
    quiet_hours_enabled = models.BooleanField(default=False)
    quiet_hours_start = models.TimeField(default=QUIET_START)  # wall clock in the person's zone
    quiet_hours_end = models.TimeField(default=QUIET_END)
    timezone = models.CharField(max_length=50, blank=True, default="")  # empty: that of the user
    dnd_until = models.DateTimeField(null=True, blank=True)  # muted with the rules of quiet hours
    digest_frequency = models.CharField(
        max_length=20,
        choices=[(item.value, item.name.capitalize()) for item in DigestFrequency],
        default=DigestFrequency.IMMEDIATE,
    )
    data_processing_consent = models.BooleanField(default=default_consent)
    consent_given_at = models.DateTimeField(null=True, blank=True)
    consent_withdrawn_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"preferences of user {self.user_id}"

    def wishes(self) -> Wishes:
        """The row as decisions read it."""
        quiet = (self.quiet_hours_start, self.quiet_hours_end)
        return Wishes(
            consent=self.data_processing_consent,
            notifications_enabled=self.notifications_enabled,
            marketing_enabled=self.marketing_enabled,
            switches=self.switches(),
            quiet=quiet if self.quiet_hours_enabled else None,
            dnd_until=self.dnd_until,
            digest=self.digest_frequency if self.has_chosen("digest_frequency") else "",
            zone=self.timezone,
        )


class NotificationCategoryPreference(Switches):
    """What one person wishes for one category; a channel they have said nothing about inherits."""

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
