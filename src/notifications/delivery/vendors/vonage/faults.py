"""The meaning of Vonage's statuses and error codes.

developer.vonage.com/api-errors/messages
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from notifications.domain.receipts import ReceiptKind, refined

SAID_STOP = "1240"

_CODE = re.compile(r"[a-z0-9-]{1,40}")
# The number is invalid, no longer in use, without service, or sent STOP.
_UNKNOWN_NUMBERS = frozenset({"1170", "1190", "1300", "1430"})
_BLOCKED = frozenset({"1050", SAID_STOP, "1280"})
# The account is suspended, without credit or not provisioned, or the sender is not allowed.
_ACCOUNT = frozenset({"1060", "1070", "1080", "1110", "1120", "1140"}) | frozenset(
    {"low-balance", "unauthorized", "forbidden", "unprovisioned", "account-suspended"}
    | {"jwt-expired", "jwt-revoked", "invalid-api-key", "invalid-signature"}
)
_LATER = frozenset({"1000", "1030", "1100", "1241", "throttled"})
_REFUSING = frozenset({401, 402, 403})

_KINDS = {
    "submitted": ReceiptKind.SENT,
    "delivered": ReceiptKind.DELIVERED,
    "read": ReceiptKind.DELIVERED,
    "rejected": ReceiptKind.FAILED,
    "undeliverable": ReceiptKind.FAILED,
}


def code_of(problem: Mapping[str, Any]) -> str:
    """Returns the code of an error: the fragment of its type, else a numeric title; or empty."""
    inner = problem.get("error")
    found = inner if isinstance(inner, dict) else problem
    fragment = str(found.get("type") or "").rpartition("#")[2]
    title = str(found.get("title") or "")
    code = fragment if _CODE.fullmatch(fragment) else title
    return code if _CODE.fullmatch(code) and (code == fragment or code.isdigit()) else ""


def meaning_of(status: int, code: str) -> dict[str, Any]:
    """Returns what Vonage's code adds to the outcome of a refusal."""
    more: dict[str, Any] = {}
    if code:
        more = {"error": f"Vonage error {code}", "error_code": f"vonage_{code}"}
    if code in _UNKNOWN_NUMBERS or code in _BLOCKED:
        more["recipient_dead"] = True
        if code == SAID_STOP:
            more["error_code"] = "unsubscribed"
    elif status in _REFUSING or code in _ACCOUNT:
        more |= {"error_code": "auth", "retry": True}
    elif code in _LATER:
        more["retry"] = True
    return more


def kind_of(status: str, code: str) -> ReceiptKind | None:
    """Returns the receipt kind of a status and error code; None for an undocumented status."""
    return refined(_KINDS.get(status), code, unknown=_UNKNOWN_NUMBERS, blocked=_BLOCKED)
