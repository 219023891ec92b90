"""The meaning of Apprise's log, in which it reports its failures."""

from __future__ import annotations

import re
from typing import Any

from notifications.delivery.http_responses import status_meaning

_STATUS = re.compile(r"error=(\d{3})\b")
_NOT_WRITTEN = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeout|Connection refused|SSLError"
)
TIMED_OUT = "timed out"


def meaning_of(log_text: str) -> dict[str, Any]:
    """Returns the outcome of Apprise's log: a status, a failed connection, else uncertain."""
    named = _STATUS.search(log_text)
    stored = {"log": log_text[:2000]}
    if named:
        return {**status_meaning(int(named.group(1))), "provider_response": stored}
    written = not _NOT_WRITTEN.search(log_text)
    return {
        "success": False,
        "error": "Apprise failed" + (", but may have sent the message" if written else ""),
        "error_code": "timeout" if TIMED_OUT in log_text else "connection",
        "retry": not written,
        "uncertain": written,
        "provider_response": stored,
    }
