"""HTTP outcomes as a provider's documented answers: what every HTTP provider has in common."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from notifications.infra.http.client import AddressRefused, HttpFault, Response, retry_after_s

# Timed out, too early, too many: said of now, not of the request.
_AGAIN = frozenset({408, 425, 429})


def accepted(message_id: str, response: Response) -> dict[str, Any]:
    """The vendor has it."""
    return {"success": True, "message_id": message_id, "provider_response": stored_form(response)}


def refused(response: Response, now: datetime, **more: Any) -> dict[str, Any]:
    """The vendor's no: 5xx, 408, 425 and 429 are tried again, every other status is final.

    more: error, error_code, retry, recipient_dead where the vendor's own words say better.
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
    """A no of which only the status is known."""
    refusing = status in (401, 403)
    return {
        "success": False,
        "error": f"HTTP {status}",
        "error_code": "auth" if refusing else f"http_{status}",
        "retry": refusing or status >= 500 or status in _AGAIN,
    }


def call_failed(fault: HttpFault) -> dict[str, Any]:
    """No status came back: again if nothing was written, else nobody knows."""
    return {
        "success": False,
        "error": fault.detail,
        "error_code": fault.code,
        "retry": not fault.written,
        "uncertain": fault.written,
    }


def forbidden(refusal: AddressRefused) -> dict[str, Any]:
    """The URL may not be called; asking again changes nothing."""
    return {"success": False, "error": str(refusal), "error_code": refusal.code, "retry": False}


def not_configured(text: str, code: str = "not_configured") -> dict[str, Any]:
    """The service's own fault: tried again, so that nothing is thrown away for it."""
    return {"success": False, "error": text, "error_code": code, "retry": True}


def unclear(response: Response, text: str) -> dict[str, Any]:
    """A good status with no word that the vendor took the message: nobody knows."""
    return {
        "success": False,
        "error": text,
        "error_code": "invalid_response",
        "uncertain": True,
        "provider_response": stored_form(response),
    }


def json_of(response: Response) -> dict[str, Any]:
    """The JSON object in an answer; empty when there is none, or only half of one."""
    try:
        found = msgspec.json.decode(response.body)
    except (ValueError, msgspec.DecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def stored_form(response: Response) -> Mapping[str, Any]:
    """What is kept, encrypted, of an answer."""
    return {"status": response.status, "body": response.text()}
