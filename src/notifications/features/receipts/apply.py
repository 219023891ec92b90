"""Applies stored callbacks: soon after arrival, and for days while their message is unknown."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from django.db import transaction

from directory.moments import MomentOutOfRange, check_moment
from directory.texts import UNSTORABLE, is_storable
from notifications.delivery.callbacks.base import CallbackUnreadable, IncomingCall
from notifications.delivery.registry import callback_reader
from notifications.domain import counts
from notifications.domain.receipts import Receipt
from notifications.engine.shared_rows import refresh_accounts
from notifications.features.background.items import Items
from notifications.features.receipts.owners import seal_call
from notifications.infra import telemetry
from notifications.infra.conf import environment
from notifications.models import ItemFault, ProviderCallback, Work
from notifications.models.fields import one_more
from notifications.recording.receipts import Applied, apply_to, find_message

log = structlog.get_logger("carillon.receipts")
_AT_ONCE = 1000
_SOON_S = 1
_LONGEST_WAIT_S = 3600
_LONGEST = {
    "reference": 200,
    "provider_message_id": 200,
    "address": 400,
    "code": 60,
    "detail": 2_000,
}
"""The most characters in each field of a receipt."""
_State = ProviderCallback.State


def apply_due(*, now: datetime, limit: int = _AT_ONCE) -> int:
    """Applies the callbacks that are due; returns how many were processed, at most `limit`.

    Any number of processes may do this at once: each callback is locked by one. A callback that
    fails with any exception waits. After its third failure it is skipped as unreadable.
    """
    refresh_accounts()
    items = Items(Work.RECEIPT, now=now, failed=_failed)
    due = ProviderCallback.objects.due(now).values_list("pk", flat=True)
    return sum(items.run_one(key, partial(_apply_one, key, now), default=1) for key in due[:limit])


def reopen(key: int, now: datetime) -> None:
    """Makes a skipped callback due again."""
    ProviderCallback.objects.filter(pk=key).update(state=_State.WAITING, result="", next_at=now)


def _apply_one(key: int, now: datetime) -> int:
    with transaction.atomic():
        callback = ProviderCallback.objects.lock_due(key, now)
        if callback is None:  # another process applies it, or has applied it
            return 0
        _apply(callback, now)
        callback.save(update_fields=["state", "result", "tries", "next_at", "call", "key_id"])
    return 1


def _failed(key: int, fault: ItemFault) -> None:
    values: dict[str, Any] = {"tries": one_more("tries"), "next_at": fault.next_at}
    if fault.set_aside:
        values |= {
            "next_at": None,
            "state": _State.UNREADABLE,
            "result": f"{fault.error}, trace {fault.trace}"[:200],
        }
    ProviderCallback.objects.filter(pk=key).update(**values)


def _apply(callback: ProviderCallback, now: datetime) -> None:
    callback.tries = counts.one_more(callback.tries)
    if callback.call is None:  # the person was erased meanwhile; the row follows
        _finish(callback, _State.NOTHING, "")
        return
    try:
        receipts = callback_reader(callback.provider).read(IncomingCall.from_json(callback.call))
        for receipt in receipts:
            _check(receipt)
    except CallbackUnreadable as error:
        log.error("callback.unreadable", provider=callback.provider, callback=callback.pk)
        _finish(callback, _State.UNREADABLE, str(error))
        return
    provider = callback.provider
    keys = [find_message(receipt, provider=provider) for receipt in receipts]
    found = [
        apply_to(key, receipt, provider=provider, now=now)
        for key, receipt in zip(keys, receipts, strict=True)
    ]
    kinds = ", ".join(sorted({str(receipt.kind) for receipt in receipts}))
    if Applied.LATER in found:
        _retry(callback, now, min(_SOON_S * 2 ** min(callback.tries, 6), 60))
    elif Applied.UNKNOWN in found:
        if now - callback.received_at >= timedelta(days=environment().receipt_retention_days):
            _finish(callback, _State.UNMATCHED, kinds)
        else:
            _retry(callback, now, min(2 ** min(callback.tries, 12), _LONGEST_WAIT_S))
    else:
        telemetry.count_receipts(provider, [str(receipt.kind) for receipt in receipts])
        state = _State.APPLIED if Applied.APPLIED in found else _State.NOTHING
        _finish(callback, state, kinds)
    seal_call(callback, keys)


def _check(receipt: Receipt) -> None:
    """Checks that every field of a receipt can be stored.

    Raises:
        CallbackUnreadable: a field cannot; the text names it and quotes no content.
    """
    if receipt.at is not None:
        try:
            check_moment(receipt.at)
        except MomentOutOfRange as error:
            raise CallbackUnreadable(f"an event's time {error}") from error
    for name, longest in _LONGEST.items():
        text = getattr(receipt, name)
        if len(text) > longest:
            raise CallbackUnreadable(f"an event's {name} has over {longest} characters")
        if not is_storable(text):
            raise CallbackUnreadable(f"an event's {name} contains {UNSTORABLE}")


def _retry(callback: ProviderCallback, now: datetime, seconds: int) -> None:
    callback.next_at = now + timedelta(seconds=seconds)


def _finish(callback: ProviderCallback, state: _State, result: str) -> None:
    callback.state, callback.result, callback.next_at = state, result[:200], None
