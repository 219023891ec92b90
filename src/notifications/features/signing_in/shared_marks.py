"""Django's cache as rows, so that all processes know which one-time codes were used.

django-allauth stores there what it must not accept twice. Values are JSON.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.db import IntegrityError, transaction

from notifications.infra import clock
from notifications.models import SharedMark

_FOR_EVER = timedelta(days=366)


class SharedMarks(BaseCache):
    """Values with an end. An expired one is as good as none; upkeep deletes it."""

    def __init__(self, _location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def add(
        self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """Stores a value where there is none; returns whether it did. One of several wins."""
        row = self._row(key, value, timeout, version)
        try:
            with transaction.atomic():
                SharedMark.objects.filter(pk=row.pk, until__lte=clock.now()).delete()
                row.save(force_insert=True)
        except IntegrityError:
            return False
        return True

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        rows = SharedMark.objects.filter(pk=self._key(key, version), until__gt=clock.now())
        found = rows.first()
        return default if found is None else json.loads(found.value)

    def set(
        self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> None:
        row = self._row(key, value, timeout, version)
        SharedMark.objects.update_or_create(
            pk=row.pk, defaults={"value": row.value, "until": row.until}
        )

    def touch(self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        rows = SharedMark.objects.filter(pk=self._key(key, version), until__gt=clock.now())
        return rows.update(until=self._until(timeout)) > 0

    def delete(self, key: str, version: int | None = None) -> bool:
        return SharedMark.objects.filter(pk=self._key(key, version)).delete()[0] > 0

    def clear(self) -> None:
        SharedMark.objects.all().delete()

    def _row(self, key: str, value: Any, timeout: Any, version: int | None) -> SharedMark:
        return SharedMark(
            key=self._key(key, version), value=json.dumps(value), until=self._until(timeout)
        )

    def _key(self, key: str, version: int | None) -> str:
        return hashlib.sha256(self.make_key(key, version).encode()).hexdigest()

    def _until(self, timeout: Any) -> datetime:
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        lasts = _FOR_EVER if seconds is None else timedelta(seconds=seconds)
        return clock.now() + lasts
