"""Child processes of `bench migration`: the sealing of old rows, and what is readable of them."""

from __future__ import annotations

import resource
import time
from typing import Any

from django.db import connection

from notifications.features.sealing.service import rows_left, seal_rows
from vault.cells import FORMAT

_CELLS = {
    "notifications_notification": ("address", "text", "context"),
    "notifications_notificationmessage": ("content",),
    "notifications_deliveryattempt": ("response",),
    "notifications_deadletter": ("last_result",),
}
_TEXTS = {
    "directory_user": ("username", "email", "first_name", "phone_number"),
    "directory_contactpoint": ("address", "spelling"),
    "directory_device": ("token",),
    "notifications_notificationmessage": ("last_error", "trail"),
    "notifications_deliveryattempt": ("error",),
    "notifications_deadletter": ("last_error",),
}
_SECRETS = ("@secret.test", "secret-token", "Olga", "+4915")


def seal_old() -> dict[str, Any]:
    """Seals the rows of an older release; returns how many, and the time."""
    left, began, seen = sum(rows_left().values()), time.monotonic(), 0

    def report(rows: int) -> None:
        nonlocal seen
        if not seen:
            print("{}", flush=True)  # it has begun
        seen += rows

    changed = seal_rows(report)
    return {
        "left_before": left,
        "looked_at": seen,
        "changed": changed,
        "seal_s": round(time.monotonic() - began, 2),
        "cpu_s": round(time.process_time(), 2),
        "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def readable_rows() -> dict[str, Any]:
    """Returns how many cells are under the service's key, and how many texts are readable."""
    under, texts = 0, 0
    with connection.cursor() as cursor:
        for table, columns in _CELLS.items():
            for column in columns:
                cursor.execute(
                    f"SELECT count(*) FROM {table} WHERE substr({column}, 1, 1) <> %s",  # noqa: S608
                    [FORMAT],
                )
                under += cursor.fetchone()[0]
        for table, columns in _TEXTS.items():
            for column in columns:
                found = " OR ".join([f"{column} LIKE %s"] * len(_SECRETS))
                cursor.execute(
                    f"SELECT count(*) FROM {table} WHERE {found}",  # noqa: S608 -- constant names
                    [f"%{secret}%" for secret in _SECRETS],
                )
                texts += cursor.fetchone()[0]
    return {"under_service_key": under, "readable_texts": texts, "left": sum(rows_left().values())}
