"""Marks that processes share for a while: which one-time codes were used."""

from __future__ import annotations

from django.db import models


class SharedMark(models.Model):
    """A value under a key, until a time."""

    #: A hash of the key.
    key = models.CharField(max_length=64, primary_key=True)
    #: JSON.
    value = models.TextField()
    until = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"mark until {self.until}"
