"""Builds the documented outcomes of `send` from HTTP responses, for every HTTP provider."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from notifications.infra.http.client import AddressRefused, HttpFault, Response, retry_after_s

# Request timeout, too early, too many requests: the same request may succeed later.
_AGAIN = frozenset({408, 425, 429})


def accepted(message_id: str, response: Response) -> dict[str, Any]:
    """Returns the outcome of a message that the vendor accepted."""
    return {"success": True, "message_id": message_id, "provider_response": stored_form(response)}


def refused(response: Response, now: datetime, **more: Any) -> dict[str, Any]:
    """Returns the outcome of a refusal: 5xx, 408, 425 and 429 are retried, others are final.

    more: error, error_code, retry or recipient_dead, if the vendor's response says more.
    """
    again = response.status >= 500 or response.status in _AGAIN
    return {
        "success": False,
        "error": f"HTTP {response.status}",
        "error_code": f"http_{response.status}",
        "retry": again,
        "retry_after": retry_after_s(response.headers, now) if again else None,
        "provider_response": stored_form(response),
        **more,
    }


def status_meaning(status: int) -> dict[str, Any]:
    """Returns the outcome of a refusal of which only the status is known."""
    refusing = status in (401, 403)
    return {
        "success": False,
        "error": f"HTTP {status}",
        "error_code": "auth" if refusing else f"http_{status}",
        "retry": refusing or status >= 500 or status in _AGAIN,
    }


def call_failed(fault: HttpFault) -> dict[str, Any]:
    """Returns the outcome of a call without a response: uncertain if the request may be written."""
    return {
        "success": False,
        "error": fault.detail,
        "error_code": fault.code,
        "retry": not fault.written,
        "uncertain": fault.written,
    }


def forbidden(refusal: AddressRefused) -> dict[str, Any]:
    """Returns the outcome of a URL that may not be called: it is final."""
    return {"success": False, "error": str(refusal), "error_code": refusal.code, "retry": False}


def not_configured(text: str, code: str = "not_configured") -> dict[str, Any]:
    """Returns the outcome of a wrong setting of ours: it is retried, so that no message is lost."""
    return {"success": False, "error": text, "error_code": code, "retry": True}


def unclear(response: Response, text: str) -> dict[str, Any]:
    """Returns the outcome of a 2xx that does not confirm the message: it is uncertain."""
    return {
        "success": False,
        "error": text,
        "error_code": "invalid_response",
        "uncertain": True,
        "provider_response": stored_form(response),
    }


def json_of(response: Response) -> dict[str, Any]:
    """Returns the JSON object in a response; empty if there is none, or it is cut off."""
    try:
        found = msgspec.json.decode(response.body)
    except (ValueError, msgspec.DecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def stored_form(response: Response) -> Mapping[str, Any]:
    """Returns the part of a response that is stored, encrypted."""
    return {"status": response.status, "body": response.text()}
