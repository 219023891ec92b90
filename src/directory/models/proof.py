"""Codes that prove that an address belongs to a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.db import models

from directory.models.contact import ContactKind, SealedForUser
from vault.sealed import SealedQuerySet, SealedText

if TYPE_CHECKING:  # the stubs do not know what from_queryset returns
    ManagerBase = models.Manager["AddressProof"]
else:
    ManagerBase = models.Manager.from_queryset(SealedQuerySet)


class AddressProofManager(ManagerBase):
    """Keeps the sealed column of proofs consistent with their addresses."""


class AddressProof(SealedForUser):
    """The open proof of a person's address of one kind. Only a keyed hash of the code is stored.

    For email and phone, the code was sent to `address`. For Telegram, the chat that the person
    connects sends the code of a link to the bot.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="address_proofs"
    )
    kind = models.CharField(max_length=10, choices=ContactKind.choices)
    address = SealedText(max_length=1000, blank=True, purpose="address")
    code_hash = models.CharField(max_length=64, db_index=True)
    attempts = models.SmallIntegerField(default=0)
    sent = models.SmallIntegerField(default=1)  # codes since `window_began`
    window_began = models.DateTimeField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    objects: ClassVar[AddressProofManager] = AddressProofManager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "kind"], name="address_proof_once")]

    def __str__(self) -> str:
        return f"{self.kind} proof of user {self.user_id}"

    def sealed_about(self) -> bytes:
        return f"directory_addressproof.sealed:{self.user_id}:{self.kind}".encode()
