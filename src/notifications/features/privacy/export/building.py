"""Writes the parts of exports, one page a transaction. A process that dies loses at most one."""

from __future__ import annotations

import zlib
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from django.db import transaction

from directory.keys import load_keys_of_people
from notifications.features.background.items import Items
from notifications.features.privacy.export.sections import NAMES, SECTIONS, Pages, read_page
from notifications.infra import clock
from notifications.infra.crypto import seal, unseal
from notifications.models import DataExport, DataExportPart, ExportState, Work

_AT_ONCE = 100
_ROUND_S = 10.0


def build_due(*, now: datetime, seconds: float = _ROUND_S) -> int:
    """Writes parts of the exports that are due; returns how many exports became ready.

    An export whose step fails is tried again later, and stops no other.
    """
    until = clock.monotonic() + seconds
    items, done = Items(Work.EXPORT, now=now), 0
    for export in items.runnable(DataExport.objects.due(now))[:_AT_ONCE]:
        step = partial(_write_parts, export.pk, now=now, until=until)
        done += items.run_one(export.pk, step, default=0)
        if clock.monotonic() > until:
            break
    return done


def _write_parts(key: int, *, now: datetime, until: float) -> int:
    """Writes parts until the export is ready or a monotonic time; returns whether it is ready."""
    while True:
        state = _write_part(key, now=now)
        if state != ExportState.REQUESTED:
            return int(state == ExportState.READY)
        if clock.monotonic() > until:
            return 0


def _write_part(key: int, *, now: datetime) -> str | None:
    """Writes the next part; returns the state of the export, or None where it does not exist.

    The row is locked, so that another process or the erasure of the person waits for the part.
    """
    with transaction.atomic():
        export = DataExport.objects.select_for_update().filter(pk=key).first()
        if export is None or export.state != ExportState.REQUESTED:
            return None if export is None else export.state
        page = read_page(export.section, export.user_id, export.position, own=export.own)
        cipher = load_keys_of_people([export.user_id]).get(export.user_id)
        if page is None or cipher is None:  # the person was erased meanwhile
            export.delete()
            return None
        if page.items:
            text = zlib.compress(msgspec.json.encode(page.items))
            DataExportPart.objects.create(
                export=export,
                number=export.parts,
                section=NAMES[export.section],
                content=seal(text, cipher),
                expires_at=export.expires_at,
            )
            export.parts += 1
        export.position = page.after or ""
        export.section += page.after is None
        if export.section == len(SECTIONS):
            export.state, export.ready_at = ExportState.READY, now
        export.save()
        return export.state


def stored_pages(export: DataExport) -> Pages:
    """Yields the pages of a finished export, one part in memory at a time.

    It ends early where the export is deleted meanwhile.

    Raises:
        KeyErased: the person was erased.
    """
    for number in range(export.parts):
        part = DataExportPart.objects.filter(export=export, number=number).first()
        if part is None:
            return
        items: list[Any] = msgspec.json.decode(zlib.decompress(unseal(part.content)))
        yield part.section, items
