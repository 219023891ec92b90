"""Codes that prove an address is somebody's: sent to it, or carried to us by it."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from directory.models.contact import ContactKind


class AddressProof(models.Model):
    """One open proof a person and kind. Of the code only a keyed hash is kept.

    For email and phone the code was sent to `address`; a Telegram link's code comes back from the
    chat that it proves.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="address_proofs"
    )
    kind = models.CharField(max_length=10, choices=ContactKind.choices)
    address = models.CharField(max_length=1000, blank=True)
    code_hash = models.CharField(max_length=64, db_index=True)
    attempts = models.SmallIntegerField(default=0)
    sent = models.SmallIntegerField(default=1)  # codes since `window_began`
    window_began = models.DateTimeField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "kind"], name="address_proof_once")]

    def __str__(self) -> str:
        return f"{self.kind} proof of user {self.user_id}"
