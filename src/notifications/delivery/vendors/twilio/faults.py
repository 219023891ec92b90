"""The meaning of Twilio's statuses and error codes: twilio.com/docs/api/errors."""

from __future__ import annotations

from typing import Any

from notifications.domain.receipts import ReceiptKind, refined

SAID_STOP = 21610

_DEAD_NUMBERS = frozenset({21211, 21214, 21217, SAID_STOP, 21614})
_ACCOUNT = frozenset({20003, 20005, 20006, 20008, 20010, 20404, 21606, 21660, 21703})
_LATER = frozenset({14107, 20429, 20500, 20503, 21611, 30001, 30022, 63038})

_KINDS = {
    "sent": ReceiptKind.SENT,
    "delivered": ReceiptKind.DELIVERED,
    "read": ReceiptKind.DELIVERED,
    "undelivered": ReceiptKind.FAILED,
    "failed": ReceiptKind.FAILED,
    "canceled": ReceiptKind.FAILED,  # by a person at Twilio: it is never sent
    "partially_delivered": ReceiptKind.SENT,  # no proof that all parts arrived
}
_UNKNOWN_NUMBERS = frozenset({"30005", "30006", "21211", "21614"})
_BLOCKED = frozenset({"30004", str(SAID_STOP)})


def meaning_of(status: int, code: Any) -> dict[str, Any]:
    """Returns what Twilio's code adds to the outcome of a refusal."""
    more: dict[str, Any] = {}
    if isinstance(code, int):
        more = {"error": f"Twilio error {code}", "error_code": f"twilio_{code}"}
    if code in _DEAD_NUMBERS:
        more["recipient_dead"] = True
        if code == SAID_STOP:
            more |= {"error_code": "unsubscribed"}
    elif status == 401 or code in _ACCOUNT:
        more |= {"error_code": "auth", "retry": True}
    elif code in _LATER:
        more["retry"] = True
    return more


def kind_of(status: str, code: str) -> ReceiptKind | None:
    """Returns the receipt kind of a status and error code; None for an undocumented status."""
    return refined(_KINDS.get(status), code, unknown=_UNKNOWN_NUMBERS, blocked=_BLOCKED)
