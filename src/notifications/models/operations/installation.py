"""Whether the installation may send: a restored copy may not, until it is settled."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.db import models

TABLE = "notifications_installationstate"
"""A backup contains no row of this table."""


class NotSettled(Exception):
    """The database was restored, and what was open in it has not been settled."""

    def __init__(self) -> None:
        super().__init__(
            "this database was restored and may repeat messages: run `carillon restore`;"
            " for a database that is in place already, `carillon restore --loaded`"
        )


class InstallationStateManager(models.Manager["InstallationState"]):
    """Reads and writes the one row."""

    def check_settled(self) -> None:
        """Does nothing where the installation may send.

        Raises:
            NotSettled: it may not. DatabaseError: the database is away, or has no tables.
        """
        if not self.exists():
            raise NotSettled

    def settle(self, *, at: datetime, backup_at: datetime | None) -> None:
        """Lets the restored installation send, and refuses the tokens from before the restore.

        backup_at: the time of the backup that it was made from.
        """
        values = {"settled_at": at, "backup_at": backup_at, "tokens_not_before": at}
        self.update_or_create(pk=1, defaults=values)

    def unsettle(self) -> None:
        """Lets no process start, until `settle`."""
        self.all().delete()


class InstallationState(models.Model):
    """One row: the installation may send. A new installation gets it with its tables."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    settled_at = models.DateTimeField()
    #: The time of the backup from which the installation was restored last; null for none.
    backup_at = models.DateTimeField(null=True)
    #: Tokens that were issued before are refused; null for none.
    tokens_not_before = models.DateTimeField(null=True)

    objects: ClassVar[InstallationStateManager] = InstallationStateManager()

    def __str__(self) -> str:
        return f"settled at {self.settled_at}"
