"""Codes that were renamed once, before the first release.

Migration 0043 rewrites the rows that store a code. The trail of a message is text that is appended
to, so its old codes are replaced when it is read.
"""

from __future__ import annotations

from typing import Final

RENAMED: Final = {
    "waits_for_elder_of_ordering_key": "waiting_for_earlier_message",
    "garbage": "invalid_response",
    "unusable_secret": "invalid_secret",
    "unusable_dkim_key": "invalid_dkim_key",
    "handover_failed": "dispatch_failed",
    "provider_not_opened": "provider_start_failed",
    "provider_raised": "provider_exception",
    "provider_miscounted": "provider_result_mismatch",
    "attempts_used_up": "attempts_exhausted",
    "attachment_gone": "attachment_deleted",
    "unstorable_text": "invalid_rendered_text",
}
"""Old code: its new name."""


def current_code(code: str) -> str:
    """Returns the present name of a code. What follows its first colon stays as it is."""
    name, colon, rest = code.partition(":")
    return RENAMED.get(name, name) + colon + rest
