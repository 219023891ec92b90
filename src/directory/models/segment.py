"""Saved segments: criteria under a name."""

from __future__ import annotations

import uuid

from django.db import models


class Segment(models.Model):
    """Saved criteria that audiences name by id. Its users are computed at each use."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=200, unique=True)
    description = models.CharField(max_length=1000, blank=True)
    criteria = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.name
