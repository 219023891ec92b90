"""Callbacks of vendors: stored once as received, read and applied afterwards."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Q, QuerySet

from notifications.infra.crypto import body_hash
from notifications.models.fields import SealedJSONField


class CallbackManager(models.Manager["ProviderCallback"]):
    """Stores callbacks and finds those that are due."""

    def store(self, *, provider: str, digest: str, call: object, at: datetime) -> bool:
        """Stores a callback. Returns False when the same one is stored already."""
        _, made = self.get_or_create(
            provider=provider,
            digest=digest,
            defaults={"call": call, "received_at": at, "next_at": at},
        )
        return made

    def report(
        self, *, provider: str, name: str, events: Sequence[Mapping[str, str]], at: datetime
    ) -> None:
        """Stores a report of our own in the generic form, like a vendor's callback.

        name: identifies the report; the same name is stored once.
        """
        body = json.dumps({"events": list(events)}).encode()
        call = {"method": "POST", "url": "", "query": {}, "headers": {}}
        call |= {"body": base64.b64encode(body).decode()}
        self.store(provider=provider, digest=body_hash(name.encode()), call=call, at=at)

    def due(self, now: datetime) -> QuerySet[ProviderCallback]:
        """Returns the callbacks that are due, the longest waiting first.

        Read them by key: a call may be impossible to unseal.
        """
        return self.filter(next_at__lte=now).order_by("next_at", "id")

    def lock_due(self, key: int, now: datetime) -> ProviderCallback | None:
        """Returns a callback that is still due, locked; None when another process has it."""
        rows = self.filter(pk=key, next_at__lte=now).select_for_update(skip_locked=True)
        return rows.first()


class ProviderCallback(models.Model):
    """One call of a vendor. `next_at` is set while it waits to be applied.

    A receipt may arrive before the record of its message, or name an unknown message. It is then
    applied again and again for some days.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        APPLIED = "applied", "Applied"
        NOTHING = "nothing", "Said nothing of a message"
        UNMATCHED = "unmatched", "No message was found in time"
        UNREADABLE = "unreadable", "Not what the vendor documents"

    provider = models.CharField(max_length=30)
    digest = models.CharField(max_length=64)
    #: The raw call. It is sealed under the service's key until its message is known, then under the
    #: key of the person or address. A call about several is emptied then: no single key fits it.
    call = SealedJSONField()
    #: The data key that seals `call`; null while it is the service's own.
    key_id = models.BigIntegerField(null=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    result = models.CharField(max_length=200, blank=True)
    tries = models.SmallIntegerField(default=0)
    received_at = models.DateTimeField()
    next_at = models.DateTimeField(null=True)

    objects: ClassVar[CallbackManager] = CallbackManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "digest"], name="provider_callback_once")
        ]
        indexes = [
            models.Index(
                fields=["next_at", "id"],
                condition=Q(next_at__isnull=False),
                name="provider_callback_due",
            ),
            models.Index(fields=["received_at", "id"], name="provider_callback_old"),
            models.Index(
                fields=["key_id", "id"],
                condition=Q(key_id__isnull=False),
                name="provider_callback_key",
            ),
        ]

    def __str__(self) -> str:
        return f"callback {self.pk} of {self.provider} ({self.state})"
