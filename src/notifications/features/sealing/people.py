"""Rows of people: their readable texts are sealed in their columns `sealed`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from django.db import connection

from directory.models import AddressProof, ContactPoint, Device, Suppression, User
from directory.models.search_token import refresh_tokens, save_tokens
from notifications.domain.redaction import redacted
from notifications.features.sealing.owners import Owner, Owners
from notifications.features.sealing.values import NewValue, SealedPage, write
from vault.sealed import INDEX
from vault.values import StoredValue

MODELS: dict[str, Any] = {
    "people": User,
    "contact points": ContactPoint,
    "devices": Device,
    "suppressions": Suppression,
    "address proofs": AddressProof,
}
_REASONS: dict[Any, str] = {ContactPoint: "state_reason", Suppression: "reason"}
"""Columns with texts of vendors."""


def page(model: Any, after: int, last: int, count: int) -> SealedPage:
    """Reads rows in the order of keys, and seals those with readable texts."""
    rows = list(model.objects.filter(pk__gt=after, pk__lte=last).order_by("pk")[:count])
    position = rows[-1].pk if rows else last
    found = [row for row in rows if row.sealed is None or _has_readable_column(row)]
    before = {row.pk: _cell(row.sealed) for row in found}
    changes = _reasons(model, found)
    made = list(zip(found, _sealed(model, found), strict=True))
    return SealedPage(position, len(rows), partial(_write, model, before, made, changes))


def _has_readable_column(row: Any) -> bool:
    """Whether a column has a text, although the row is sealed."""
    held = (row.__dict__.get(name) for name in row.sealed_names())
    return any(isinstance(each, StoredValue) and not INDEX.fullmatch(each.text) for each in held)


def _cell(value: bytes | memoryview | None) -> bytes | None:
    return None if value is None else bytes(value)


def tokens_page(after: int, last: int, count: int) -> SealedPage:
    """Reads people in the order of keys, and renews search tokens that are not of this release."""
    rows = User.objects.filter(pk__gt=after, pk__lte=last).order_by("pk")
    ids = list(rows.values_list("pk", flat=True)[:count])

    def renew() -> int:
        found = User.objects.select_for_update().filter(pk__in=ids).order_by("pk")
        return refresh_tokens(list(found))

    return SealedPage(ids[-1] if ids else last, len(ids), renew)


def _sealed(model: Any, rows: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Returns the cell of each row, and the indexes of its texts by the order of their names."""
    model.prepare_keys(rows)
    fields = [model._meta.get_field(name) for name in sorted(model.sealed_names())]
    made = []
    for row in rows:
        texts = [getattr(row, field.attname) for field in fields]
        indexes = [field.get_prep_value(text) for field, text in zip(fields, texts, strict=True)]
        made.append((row.seal_texts(), *indexes))
    return made


def _reasons(model: Any, rows: Sequence[Any]) -> list[NewValue]:
    column = _REASONS.get(model)
    if column is None:
        return []
    texts = [(row, str(getattr(row, column))) for row in rows if getattr(row, column)]
    owners = [Owner(getattr(row, "user_id", None), None) for row, _ in texts]
    known = Owners([]).known_of(owners) if texts else {}
    changes = [
        NewValue(row.pk, column, text, redacted(text, known[owner]))
        for (row, text), owner in zip(texts, owners, strict=True)
    ]
    return [change for change in changes if change.old != change.new]


def _write(
    model: Any,
    before: Mapping[int, bytes | None],
    made: Sequence[tuple[Any, tuple[Any, ...]]],
    changes: Sequence[NewValue],
) -> int:
    """Writes rows whose cell is still the old one: who changes a row of this release seals it."""
    table = model._meta.db_table
    names = ", ".join(f"{name} = %s" for name in sorted(model.sealed_names()))
    if not made:
        return 0
    rows = model.objects.select_for_update().filter(pk__in=before).order_by("pk")
    left = {pk for pk, cell in rows.indexes("pk", "sealed") if _cell(cell) == before[pk]}
    chosen = [(row, cells) for row, cells in made if row.pk in left]
    with connection.cursor() as cursor:
        cursor.executemany(
            f"UPDATE {table} SET sealed = %s, {names} WHERE id = %s",  # noqa: S608 -- constant names
            [(*cells, row.pk) for row, cells in chosen],
        )
    write(table, changes)
    if model is User:
        save_tokens([row for row, _ in chosen])
    return len(chosen)
