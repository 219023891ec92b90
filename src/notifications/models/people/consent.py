"""The consent ledger: who agreed to what, when and with which wording. Append-only."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models

DATA_PROCESSING = "data_processing"
MARKETING = "marketing"


class LedgerError(TypeError):
    """The consent ledger is append-only: write a new entry that says what changed."""

    def __init__(self) -> None:
        super().__init__((type(self).__doc__ or "").strip())


class ConsentQuerySet(models.QuerySet["ConsentRecord"]):
    """Reads the ledger. Changes are refused here and by the database."""

    def update(self, **values: Any) -> int:
        raise LedgerError

    def delete(self) -> tuple[int, dict[str, int]]:
        raise LedgerError

    def forget_addresses(self, user_id: int) -> int:
        """Empties the IP addresses in the entries of an erased person; returns how many had one.

        It is the only change that the database allows.
        """
        return models.QuerySet.update(self.filter(user_id=user_id, ip__isnull=False), ip=None)


class ConsentRecord(models.Model):
    """One consent that a user gave or withdrew. A database trigger refuses changes of rows.

    Only the IP address goes when the person is erased.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,  # the evidence outlives the row of the user
        db_constraint=False,
        db_index=False,
        related_name="consents",
    )
    #: data_processing, marketing, `category:<key>`, `list:<name>`, `channel:sms` (STOP and START)
    #: or all.
    purpose = models.CharField(max_length=80)
    granted = models.BooleanField()
    #: What the user was shown, or wrote.
    wording = models.TextField(blank=True)
    #: Where it happened, e.g. api, one_click, preference_centre, import, sms.
    source = models.CharField(max_length=60)
    actor = models.CharField(max_length=60)  # a Caller's name: `user:7`, `key:3`, `link`
    ip = models.GenericIPAddressField(null=True)
    at = models.DateTimeField()

    objects = ConsentQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["user", "id"], name="consent_of_user")]

    def __str__(self) -> str:
        return f"{self.purpose} {'given' if self.granted else 'withdrawn'} by user {self.user_id}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Writes a new entry."""
        if not self._state.adding:
            raise LedgerError
        kwargs["force_insert"] = True
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise LedgerError
