"""Routes the vault's tables to the key store, and all other tables to the main database."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models

_APP = "vault"


class VaultRouter:
    """Selects the database of a model. See `DATABASE_ROUTERS` of Django."""

    def db_for_read(self, model: type[models.Model], **_: Any) -> str | None:
        """Returns the alias to read a model from."""
        return settings.KEYS_ALIAS if model._meta.app_label == _APP else None

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **_: Any) -> bool | None:
        """Whether an app's tables belong to a database."""
        if app_label == _APP:
            return bool(db == settings.KEYS_ALIAS)
        return False if db != "default" else None
