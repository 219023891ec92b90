"""Invitations: the only way by which an account of staff begins."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.conf import settings
from django.db import models

from directory.models.staff import StaffRole
from notifications.models.fields import EMPTY_LIST


class StaffInvitationManager(models.Manager["StaffInvitation"]):
    """Finds invitations that can be accepted."""

    def open(self, now: datetime) -> models.QuerySet[StaffInvitation]:
        """Returns the invitations that are neither accepted nor over."""
        return self.filter(accepted_at__isnull=True, expires_at__gt=now)


class StaffInvitation(models.Model):
    """An invitation of one person. Its row is deleted when it is revoked."""

    #: The address that the link is sent to. It never finds an account.
    email = models.EmailField(max_length=254)
    role = models.CharField(max_length=10, choices=StaffRole.choices)
    #: The ids of the groups of staff that the person joins.
    groups = models.JSONField(default=list, db_default=EMPTY_LIST)
    locale = models.CharField(max_length=20, default="en")
    #: Who invited: `user:7` or `cli`.
    invited_by = models.CharField(max_length=60)
    #: The existing member of staff who is invited to sign in; null for a new account.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        related_name="staff_invitations",
    )
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    accepted_at = models.DateTimeField(null=True)

    objects: ClassVar[StaffInvitationManager] = StaffInvitationManager()

    class Meta:
        indexes = [models.Index(fields=["email"])]

    def __str__(self) -> str:
        return f"invitation {self.pk}"
