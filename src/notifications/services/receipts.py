"""Applies stored callbacks: soon after they came, and for days where their message is unknown."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from django.db import DatabaseError, transaction
from django.db.models import F

from notifications.conf import environment
from notifications.delivery.callbacks.base import CallbackUnreadable, IncomingCall
from notifications.delivery.registry import callback_reader
from notifications.infra import telemetry
from notifications.models import ProviderCallback
from notifications.recording.receipts import Applied, apply_receipt
from notifications.shared_rows import refresh_accounts

log = structlog.get_logger("carillon.receipts")
_AT_ONCE = 1000
_SOON_S = 1
_AFTER_FAULT_S = 60
_LONGEST_WAIT_S = 3600
_State = ProviderCallback.State


def apply_due(*, now: datetime, limit: int = _AT_ONCE) -> int:
    """Applies the callbacks that are due; returns how many were looked at.

    Bounded. Any number of processes may do this at once: each callback is locked by one.
    """
    refresh_accounts()
    done = 0
    while done < limit and _apply_next(now):
        done += 1
    return done


def _apply_next(now: datetime) -> bool:
    callback = None
    try:
        with transaction.atomic():
            callback = ProviderCallback.objects.next_due(now)
            if callback is None:
                return False
            _apply(callback, now)
            callback.save(update_fields=["state", "result", "tries", "next_at"])
    except DatabaseError as error:
        if callback is None:
            raise
        # A deadlock, or a text that the database will not have: the others must not wait for it.
        log.warning("callback.deferred", callback=callback.pk, error=type(error).__name__)
        ProviderCallback.objects.filter(pk=callback.pk).update(
            tries=F("tries") + 1, next_at=now + timedelta(seconds=_AFTER_FAULT_S)
        )
    return True


def _apply(callback: ProviderCallback, now: datetime) -> None:
    callback.tries += 1
    try:
        receipts = callback_reader(callback.provider).read(IncomingCall.from_json(callback.call))
    except CallbackUnreadable as error:
        log.error("callback.unreadable", provider=callback.provider, callback=callback.pk)
        _end(callback, _State.UNREADABLE, str(error))
        return
    provider = callback.provider
    found = [apply_receipt(receipt, provider=provider, now=now) for receipt in receipts]
    kinds = ", ".join(sorted({str(receipt.kind) for receipt in receipts}))
    if Applied.LATER in found:
        _again(callback, now, min(_SOON_S * 2 ** min(callback.tries, 6), 60))
    elif Applied.UNKNOWN in found:
        if now - callback.received_at >= timedelta(days=environment().receipt_days):
            _end(callback, _State.UNMATCHED, kinds)
        else:
            _again(callback, now, min(2 ** min(callback.tries, 12), _LONGEST_WAIT_S))
    else:
        telemetry.count_receipts(provider, [str(receipt.kind) for receipt in receipts])
        state = _State.APPLIED if Applied.APPLIED in found else _State.NOTHING
        _end(callback, state, kinds)


def _again(callback: ProviderCallback, now: datetime, seconds: int) -> None:
    callback.next_at = now + timedelta(seconds=seconds)


def _end(callback: ProviderCallback, state: _State, result: str) -> None:
    callback.state, callback.result, callback.next_at = state, result[:200], None
