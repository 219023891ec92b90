"""Receipts: what vendors report about messages later, in one vocabulary for all of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from notifications.domain.lifecycle import MessageStatus


class ReceiptKind(StrEnum):
    """What happened to a message after the vendor accepted it."""

    SENT = "sent"  # on its way, or handed to the next carrier
    DELIVERED = "delivered"
    DEFERRED = "deferred"  # the vendor continues to try
    BOUNCED = "bounced"  # the address does not exist, or accepts nothing any more
    FAILED = "failed"  # not delivered; the address may be good
    COMPLAINED = "complained"  # it arrived, and the person called it spam
    UNSUBSCRIBED = "unsubscribed"
    BLOCKED = "blocked"
    OPENED = "opened"
    CLICKED = "clicked"


def refined(
    kind: ReceiptKind | None, code: str, *, unknown: Collection[str], blocked: Collection[str]
) -> ReceiptKind | None:
    """Refines a failure by its error code: the address is `unknown`, or its owner `blocked` us.

    Returns other kinds unchanged.
    """
    if kind is not ReceiptKind.FAILED:
        return kind
    if code in unknown:
        return ReceiptKind.BOUNCED
    return ReceiptKind.BLOCKED if code in blocked else kind


_K, _S = ReceiptKind, MessageStatus

STATUS_OF = {
    _K.SENT: _S.SENT,
    _K.DELIVERED: _S.DELIVERED,
    _K.COMPLAINED: _S.DELIVERED,  # the person received it
    _K.BOUNCED: _S.FAILED,
    _K.FAILED: _S.FAILED,
    _K.BLOCKED: _S.FAILED,
}
"""The status after a receipt. Other receipts change none."""

SETTLES = {
    _S.SENT: frozenset({_S.PENDING, _S.UNCERTAIN}),
    _S.DELIVERED: frozenset({_S.PENDING, _S.UNCERTAIN, _S.SENT, _S.FAILED}),
    _S.FAILED: frozenset({_S.PENDING, _S.UNCERTAIN, _S.SENT}),
}
"""The states from which a receipt may change a message. So the order of receipts does not matter:
`delivered` overrides all others, and a late `sent` changes no final state."""

CLOSES = frozenset({_K.BOUNCED, _K.COMPLAINED, _K.UNSUBSCRIBED, _K.BLOCKED})
"""Receipts after which the address receives nothing more."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """One report on one message."""

    kind: ReceiptKind
    at: datetime | None = None
    #: Our reference, if the vendor returns it.
    reference: str = ""
    #: The vendor's id, where there is no reference.
    provider_message_id: str = ""
    #: The address of the recipient.
    address: str = ""
    #: Short; like `detail` it holds no address.
    code: str = ""
    detail: str = ""
