"""How far the sealing of rows of an older release has come."""

from __future__ import annotations

from django.db import models


class SealingProgress(models.Model):
    """How far `carillon keys seal` has come in one table, in the order of keys.

    Rows up to `position` are sealed under the keys of people and addresses. Rows after `last` were
    written by a release that seals them itself.
    """

    #: The name of the work, as features/sealing names it.
    work = models.CharField(max_length=40, primary_key=True)
    position = models.BigIntegerField(default=0)
    last = models.BigIntegerField(default=0)
    #: Rows that were changed.
    done = models.BigIntegerField(default=0)

    class Meta:
        verbose_name_plural = "sealing progress"

    def __str__(self) -> str:
        return f"{self.work} sealed up to {self.position} of {self.last}"
