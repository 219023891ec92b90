"""Sends that were refused because the user opted out; no notification was created."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q

from notifications.domain.identifiers import public_id
from notifications.infra import clock
from notifications.models.fields import PublicIdField
from notifications.models.keys import reserve_keys


class RefusedSend(models.Model):
    """One 403 `opted_out`.

    Its id comes from the same sequence as the ids of notifications, so `explain` accepts either.
    """

    id = models.BigIntegerField(primary_key=True)
    uuid = PublicIdField(editable=False)
    user_id = models.BigIntegerField(null=True)
    #: The data key of the address, for a send without a user; none for an erased address.
    key_id = models.BigIntegerField(null=True)
    category = models.CharField(max_length=50)
    template_path = models.CharField(max_length=200, blank=True)
    #: By channel, in the order of the request.
    reasons = models.JSONField()
    #: Who requested the send.
    actor = models.CharField(max_length=60)
    at = models.DateTimeField(db_index=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["user_id", "id"],
                condition=Q(user_id__isnull=False),
                name="refused_send_of_user",
            ),
            models.Index(
                fields=["key_id", "id"],
                condition=Q(key_id__isnull=False),
                name="refused_send_of_address",
            ),
        ]

    def __str__(self) -> str:
        return f"refused send {self.uuid}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Gives a new row its key and public id."""
        if self.pk is None:
            self.pk = reserve_keys(1)[0]
            self.uuid = public_id(self.pk, clock.epoch_ms(self.at))
        super().save(*args, **kwargs)
