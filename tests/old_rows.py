"""Turns the rows of a database into those that the release before data keys wrote."""

from __future__ import annotations

import json
from typing import Any

from django.db import connection

from directory.models import AddressKey
from notifications.domain.channels import ROW_CHANNELS
from notifications.features.sealing import people
from notifications.features.sealing.service import begin_again
from notifications.infra.crypto import seal, unseal
from notifications.models import InboxArrival, NotificationMessage
from vault.cells import FORMAT
from vault.models import DataKey, ErasedKey

CELLS = {
    "notifications_notification": ("address", "text", "context"),
    "notifications_notificationmessage": ("content",),
    "notifications_deliveryattempt": ("response",),
    "notifications_deadletter": ("last_result",),
    "notifications_digestitem": ("summary",),
    "notifications_sandboxmessage": ("content",),
    "notifications_storedattachment": ("about", "content"),
    "notifications_providercallback": ("call",),
    "notifications_inboundsms": ("content",),
}
"""The columns with sealed contents of people, by table."""
_WITH_KEY = ("storedattachment", "providercallback", "inboundsms")


def make_old() -> None:
    """Makes the texts of people readable, and seals contents under the service's key."""
    _take_out_of_inboxes()
    for table, columns in CELLS.items():
        for column in columns:
            _age_cells(table, column)
    for model in people.MODELS.values():
        _make_readable(model)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE directory_user SET key_id = NULL")
        cursor.execute("DELETE FROM directory_searchtoken")
        for name in _WITH_KEY:
            cursor.execute(f"UPDATE notifications_{name} SET key_id = NULL")
    AddressKey.objects.all().delete()
    DataKey.objects.all().delete()
    ErasedKey.objects.all().delete()
    begin_again()


def _take_out_of_inboxes() -> None:
    """Puts texts into the messages, where they were before inboxes had rows of their own."""
    for arrival in InboxArrival.objects.all():
        shown = NotificationMessage.objects.filter(
            notification_id=arrival.pk, channel__in=ROW_CHANNELS
        )
        shown.update(content=seal(json.dumps(arrival.content).encode()))
    InboxArrival.objects.all().delete()


def _age_cells(table: str, column: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id, {column} FROM {table} WHERE {column} IS NOT NULL")
        rows = [(key, bytes(cell)) for key, cell in cursor.fetchall()]
        cursor.executemany(
            f"UPDATE {table} SET {column} = %s WHERE id = %s",
            [(seal(unseal(cell)), key) for key, cell in rows if cell[:1] == FORMAT],
        )


def _make_readable(model: Any) -> None:
    names = sorted(model.sealed_names())
    changes = ", ".join(f"{name} = %s" for name in names)
    rows = [([getattr(row, name) for name in names], row.pk) for row in model.objects.all()]
    with connection.cursor() as cursor:
        cursor.executemany(
            f"UPDATE {model._meta.db_table} SET sealed = NULL, {changes} WHERE id = %s",
            [(*texts, key) for texts, key in rows],
        )


def under_the_services_key() -> dict[str, int]:
    """How many cells of people are under the service's key, by column; none is left out."""
    found = {}
    for table, columns in CELLS.items():
        for column in columns:
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL")
                cells = [bytes(row[0]) for row in cursor.fetchall()]
            if count := sum(1 for cell in cells if cell and cell[:1] != FORMAT):
                found[f"{table}.{column}"] = count
    return found
