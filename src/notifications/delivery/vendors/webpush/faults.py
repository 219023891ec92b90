"""The meaning of a push service's response."""

from __future__ import annotations

from typing import Any

from notifications.delivery.http_responses import accepted, refused
from notifications.infra.http.client import Response

_GONE = (404, 410)


def outcome_of(response: Response, reference: str, now: Any) -> dict[str, Any]:
    """Returns the outcome of a push service's response."""
    if 200 <= response.status < 300:
        return accepted(response.headers.get("Location", "")[-200:] or reference, response)
    more: dict[str, Any] = {}
    if response.status in (401, 403):
        more = {"error": f"HTTP {response.status}: the push service refuses the VAPID key"}
        more |= {"error_code": "auth", "retry": True}
    return refused(response, now, recipient_dead=response.status in _GONE, **more)


def dead(text: str) -> dict[str, Any]:
    """Returns the outcome of an unusable subscription."""
    return {
        "success": False,
        "error": text,
        "error_code": "invalid_recipient",
        "recipient_dead": True,
    }
