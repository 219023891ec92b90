"""Sends that were refused because the person opted out: decisions where nothing was accepted."""

from __future__ import annotations

from typing import Any

from django.db import models

from notifications.domain.identifiers import public_id
from notifications.infra import clock
from notifications.models.fields import PublicIdField
from notifications.models.keys import reserve_keys


class RefusedSend(models.Model):
    """One 403 `opted_out`. Its id is of the same kind as a notification's and never one's too, so
    that `explain` takes either.

    reasons: by channel, in the order of the request. actor: who wanted to send.
    """

    id = models.BigIntegerField(primary_key=True)
    uuid = PublicIdField(editable=False)
    user_id = models.BigIntegerField(null=True)
    category = models.CharField(max_length=50)
    template_path = models.CharField(max_length=200, blank=True)
    reasons = models.JSONField()
    actor = models.CharField(max_length=60)
    at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"refused send {self.uuid}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Gives a new row its key and public id."""
        if self.pk is None:
            self.pk = reserve_keys(1)[0]
            self.uuid = public_id(self.pk, clock.epoch_ms(self.at))
        super().save(*args, **kwargs)
