"""Who is connected: a lease of each web process, its people, and when each was seen last.

A process writes its people with a lease. When it is killed, its lease ends, and they with it.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models

_USER = settings.AUTH_USER_MODEL


class WebProcess(models.Model):
    """A web process with connections. It renews its row; readers skip rows whose lease ended."""

    #: Host, boot, namespace, pid and start: see `infra/process/identity.py`.
    owner = models.CharField(max_length=80, unique=True)
    #: By the database's clock.
    lease_until = models.DateTimeField()

    class Meta:
        verbose_name_plural = "web processes"

    def __str__(self) -> str:
        return self.owner


class Presence(models.Model):
    """A person with a socket or a stream at a web process."""

    process = models.ForeignKey(WebProcess, on_delete=models.CASCADE, related_name="people")
    user = models.ForeignKey(_USER, on_delete=models.CASCADE, related_name="+")
    #: Whether a client of theirs is visible.
    is_active = models.BooleanField(default=False)

    class Meta:
        verbose_name_plural = "presences"
        constraints = [
            models.UniqueConstraint(fields=["process", "user"], name="presence_once"),
        ]

    def __str__(self) -> str:
        return f"user {self.user_id} at process {self.process_id}"


class LastSeen(models.Model):
    """When a person connected or had a visible client last, to the minute."""

    user = models.OneToOneField(_USER, on_delete=models.CASCADE, primary_key=True, related_name="+")
    at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "last seen"

    def __str__(self) -> str:
        return f"user {self.user_id} at {self.at}"
