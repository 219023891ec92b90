"""The meaning of FCM's error codes.

firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifications.delivery.http_responses import json_of
from notifications.infra.http.client import Response


def meaning_of(response: Response) -> dict[str, Any]:
    """Returns what FCM's error adds to the outcome of a refusal."""
    error = json_of(response).get("error")
    error = error if isinstance(error, dict) else {}
    code = _code_of(error)
    more: dict[str, Any] = {"error": f"HTTP {response.status} {code}".rstrip()}
    if code:
        more["error_code"] = code.lower()
    if _is_dead(code, str(error.get("message", "")), response.status):
        more["recipient_dead"] = True
    elif response.status == 401 or (response.status == 403 and code != "SENDER_ID_MISMATCH"):
        more |= {"error_code": "auth", "retry": True}
    return more


def _code_of(error: Mapping[str, Any]) -> str:
    """Returns FCM's own error code, else the RPC status."""
    details = error.get("details")
    for item in details if isinstance(details, list) else ():
        if isinstance(item, dict) and "errorCode" in item:
            return str(item["errorCode"])
    return str(error.get("status") or "")


def _is_dead(code: str, text: str, status: int) -> bool:
    # A 404 that is not FCM's own (a wrong base URL, a proxy) must not expire every token.
    if code == "UNREGISTERED" or (status == 404 and code == "NOT_FOUND"):
        return True
    return code == "INVALID_ARGUMENT" and "registration token" in text
