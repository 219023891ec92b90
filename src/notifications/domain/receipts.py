"""What a vendor reports of a message afterwards, in one vocabulary for all of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from notifications.domain.lifecycle import MessageStatus


class ReceiptKind(StrEnum):
    """What became of a message after the vendor had it."""

    SENT = "sent"  # on its way, or handed to the next carrier
    DELIVERED = "delivered"
    DEFERRED = "deferred"  # the vendor goes on trying
    BOUNCED = "bounced"  # the address does not exist, or takes nothing any more
    FAILED = "failed"  # not delivered, and it says nothing of the address
    COMPLAINED = "complained"  # it arrived, and the person called it spam
    UNSUBSCRIBED = "unsubscribed"
    BLOCKED = "blocked"
    OPENED = "opened"
    CLICKED = "clicked"


def refined(
    kind: ReceiptKind | None, code: str, *, unknown: Collection[str], blocked: Collection[str]
) -> ReceiptKind | None:
    """A failure as its error code says it: the address is `unknown`, or its owner `blocked` us.
    Other kinds stay as they are."""
    if kind is not ReceiptKind.FAILED:
        return kind
    if code in unknown:
        return ReceiptKind.BOUNCED
    return ReceiptKind.BLOCKED if code in blocked else kind


_K, _S = ReceiptKind, MessageStatus

STATUS_OF = {
    _K.SENT: _S.SENT,
    _K.DELIVERED: _S.DELIVERED,
    _K.COMPLAINED: _S.DELIVERED,  # who complains has got it
    _K.BOUNCED: _S.FAILED,
    _K.FAILED: _S.FAILED,
    _K.BLOCKED: _S.FAILED,
}
"""The status that a receipt leads to; the others change none."""

SETTLES = {
    _S.SENT: frozenset({_S.PENDING, _S.UNCERTAIN}),
    _S.DELIVERED: frozenset({_S.PENDING, _S.UNCERTAIN, _S.SENT, _S.FAILED}),
    _S.FAILED: frozenset({_S.PENDING, _S.UNCERTAIN, _S.SENT}),
}
"""From which states a receipt may move a message, so that the order in which receipts come does not
matter: `delivered` wins over all, and a late `sent` revives nothing."""

CLOSES = frozenset({_K.BOUNCED, _K.COMPLAINED, _K.UNSUBSCRIBED, _K.BLOCKED})
"""Receipts after which the address is not written to again."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """One report on one message.

    reference is ours, as it travelled; provider_message_id the vendor's, for where ours did not.
    address is whom it speaks of. code and detail are short and hold no address.
    """

    kind: ReceiptKind
    at: datetime | None = None
    reference: str = ""
    provider_message_id: str = ""
    address: str = ""
    code: str = ""
    detail: str = ""
