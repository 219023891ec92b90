"""Search tokens: keyed hashes of what people are searched by."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class SearchToken(models.Model):
    """One token of one person. They go with the person."""

    pk = models.CompositePrimaryKey("token", "user_id")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_constraint=False
    )
    #: The first 8 bytes of an HMAC, as a signed number.
    token = models.BigIntegerField()

    def __str__(self) -> str:
        return f"a search token of user {self.user_id}"
