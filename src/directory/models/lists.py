"""Mailing lists and who is on them."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

LONGEST_SLUG = 60


class ListStatus(models.TextChoices):
    """Whether a person is on a list."""

    PENDING = "pending", "Asked to confirm by email"
    SUBSCRIBED = "subscribed", "Subscribed"
    UNSUBSCRIBED = "unsubscribed", "Unsubscribed"


class SubscriberList(models.Model):
    """A mailing list, such as a newsletter, that people join and leave."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=200, unique=True)
    #: The name in URLs and in the consent ledger (`list:<slug>`). It never changes.
    slug = models.SlugField(max_length=LONGEST_SLUG, unique=True)
    description = models.CharField(max_length=1000, blank=True)
    #: Anyone may see it, join it in the preference centre and read its archive.
    is_public = models.BooleanField(default=False)
    #: A person is on the list once they confirmed by email.
    double_opt_in = models.BooleanField(default=True)
    #: What was sent to the list is shown on a public page.
    has_archive = models.BooleanField(default=False)
    #: The key of the category, whose consents a subscription gives.
    category = models.CharField(max_length=50, default="marketing")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = [
            models.Index(fields=["id"], condition=Q(is_public=True), name="list_public"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def purpose(self) -> str:
        """The purpose of its consents in the ledger."""
        return f"list:{self.slug}"


class ListMembershipManager(models.Manager["ListMembership"]):
    """Reads who is on a list."""

    def subscribed(self, list_id: int) -> models.QuerySet[ListMembership]:
        """Returns the memberships of those who are on a list now."""
        return self.filter(list_id=list_id, state=ListStatus.SUBSCRIBED)


class ListMembership(models.Model):
    """One person and one list; who left stays as `unsubscribed`, so that no import adds them."""

    Status = ListStatus

    list = models.ForeignKey(
        SubscriberList,
        on_delete=models.CASCADE,
        db_index=False,  # the unique constraint begins with it
        related_name="memberships",
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="list_memberships"
    )
    state = models.CharField(max_length=12, choices=ListStatus.choices)
    #: Where the latest change was made, such as api, import, preference_centre or one_click.
    source = models.CharField(max_length=60)
    #: The entry of the consent ledger that proves the latest change; none while pending.
    consent_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    #: When the state last changed.
    changed_at = models.DateTimeField()
    subscribed_at = models.DateTimeField(null=True)
    unsubscribed_at = models.DateTimeField(null=True)
    #: How many mails have asked for confirmation since `asked_since`.
    asked = models.SmallIntegerField(default=0)
    asked_since = models.DateTimeField(null=True)

    objects: ClassVar[ListMembershipManager] = ListMembershipManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["list", "user"], name="list_membership_once")
        ]
        indexes = [
            # Audiences, pages and counts read one state of one list by user.
            models.Index(fields=["list", "state", "user"], name="list_membership_state"),
        ]

    def __str__(self) -> str:
        return f"user {self.user_id} {self.state} on list {self.list_id}"

    def move(self, state: ListStatus, *, source: str, at: datetime) -> None:
        """Sets a state with its times. Does not save the row."""
        self.state, self.source, self.changed_at = state, source, at
        if state == ListStatus.SUBSCRIBED:
            self.subscribed_at = at
        elif state == ListStatus.UNSUBSCRIBED:
            self.unsubscribed_at = at
