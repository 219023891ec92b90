"""Categories: the legal basis of a notification, and what a crash means for it."""

from __future__ import annotations

from django.db import models


class LegalBasis(models.TextChoices):
    """The legal basis on which a category may be sent (GDPR article 6)."""

    CONSENT = "consent", "Consent"
    CONTRACT = "contract", "Contract"
    LEGAL_OBLIGATION = "legal_obligation", "Legal obligation"


class CrashPolicy(models.TextChoices):
    """What happens to a message whose worker died during the provider's call."""

    RESEND = "resend", "Send again (at least once)"
    HOLD = "hold", "Hold for a person (at most once)"


SEEDED = ("security", "payment", "course", "announcement", "marketing", "system", "digest")
"""Categories that every installation has; the service itself needs some of them."""


class Category(models.Model):
    """A kind of notification that users and operators configure as one."""

    key = models.SlugField(max_length=50, unique=True)
    name = models.CharField(max_length=100, blank=True)
    legal_basis = models.CharField(
        max_length=16, choices=LegalBasis.choices, default=LegalBasis.CONTRACT
    )
    marketing = models.BooleanField(default=False)
    crash_policy = models.CharField(
        max_length=6, choices=CrashPolicy.choices, default=CrashPolicy.RESEND
    )
    default_preferences = models.JSONField(default=dict, blank=True)
    caps = models.JSONField(default=list, blank=True)  # [{"limit", "window_s", "channel"}]
    unsubscribable = models.BooleanField(default=True)  # its mails offer to unsubscribe
    #: Its mails may be tracked. Mails of security carry links that sign in: they never are.
    trackable = models.BooleanField(default=True, db_default=True)
    retention_days = models.PositiveIntegerField(null=True, blank=True)
    retired_at = models.DateTimeField(
        null=True, blank=True
    )  # deleted, but named by old notifications

    class Meta:
        verbose_name_plural = "categories"

    def __str__(self) -> str:
        return self.key
