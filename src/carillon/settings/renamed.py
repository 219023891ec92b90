"""Variables that were renamed. The release after 0.1 accepts the old names, with a warning."""

from __future__ import annotations

from collections.abc import Mapping

RENAMED = {
    "CARILLON_ATTACHMENT_BYTES": "CARILLON_MAX_ATTACHMENT_BYTES",
    "CARILLON_BODY_SECONDS": "CARILLON_BODY_TIMEOUT_SECONDS",
    "CARILLON_BREAKER_FAULTS": "CARILLON_BREAKER_FAILURES",
    "CARILLON_BREAKER_SECONDS": "CARILLON_BREAKER_OPEN_SECONDS",
    "CARILLON_BROADCAST_APPROVAL_OVER": "CARILLON_BROADCAST_APPROVAL_THRESHOLD",
    "CARILLON_CALL_SECONDS": "CARILLON_PROVIDER_TIMEOUT_SECONDS",
    "CARILLON_CANCELLED_DAYS": "CARILLON_CANCELLED_RETENTION_DAYS",
    "CARILLON_CONNECTIONS": "CARILLON_MAX_CONNECTIONS",
    "CARILLON_DATABASE_IDLE_SECONDS": "CARILLON_DATABASE_IDLE_TIMEOUT_SECONDS",
    "CARILLON_DATABASE_LOCK_SECONDS": "CARILLON_DATABASE_LOCK_TIMEOUT_SECONDS",
    "CARILLON_DATABASE_POOL": "CARILLON_DATABASE_POOL_SIZE",
    "CARILLON_DATABASE_POOL_SECONDS": "CARILLON_DATABASE_POOL_TIMEOUT_SECONDS",
    "CARILLON_DATABASE_STATEMENT_SECONDS": "CARILLON_DATABASE_STATEMENT_TIMEOUT_SECONDS",
    "CARILLON_DEAD_LETTERS_ALERT": "CARILLON_DEAD_LETTER_ALERT_THRESHOLD",
    "CARILLON_DRAFT_PROCESSES": "CARILLON_PREVIEW_PROCESSES",
    "CARILLON_HEAD_BYTES": "CARILLON_MAX_HEADER_BYTES",
    "CARILLON_HEAD_SECONDS": "CARILLON_HEADER_TIMEOUT_SECONDS",
    "CARILLON_HEADER_LINES": "CARILLON_MAX_HEADERS",
    "CARILLON_RECEIPT_DAYS": "CARILLON_RECEIPT_RETENTION_DAYS",
    "CARILLON_SENDERS": "CARILLON_VERIFIED_SENDERS",
    "CARILLON_WAITING_REQUESTS": "CARILLON_MAX_QUEUED_REQUESTS",
    "CARILLON_WAITING_SECONDS": "CARILLON_QUEUE_TIMEOUT_SECONDS",
}
"""Old name of a variable: its new name."""


def with_new_names(source: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables under their new names.

    A value under the new name wins. An empty value counts as not set.
    """
    moved = {RENAMED[name]: value for name, value in source.items() if name in RENAMED}
    current = {name: value for name, value in source.items() if name not in RENAMED}
    return {**moved, **{name: text for name, text in current.items() if text or name not in moved}}


def name_given(variable: str, source: Mapping[str, str]) -> str:
    """Returns the name, old or new, under which the source gives this variable its value."""
    if source.get(variable, "").strip():
        return variable
    old = (name for name, new in RENAMED.items() if new == variable and name in source)
    return next(old, variable)
