"""Whom a send may name as its sender, and where answers may go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifications.conf import environment
from notifications.delivery.accounts import account
from notifications.delivery.mime import mailbox
from notifications.domain.errors import FieldError, InvalidRequest


def check_senders(options: Mapping[str, Any]) -> None:
    """Refuses a sender that is not verified, and a reply address that mail cannot carry.

    Raises:
        InvalidRequest: unverified_sender or invalid, with every error.
    """
    sender, reply_to = options.get("sender"), options.get("reply_to")
    if not sender and not reply_to:
        return
    errors = []
    if sender and not is_verified(str(sender)):
        known = ", ".join(dict.fromkeys([*environment().senders, _default()]))
        detail = f"is not a verified sender (CARILLON_SENDERS); known: {known}"
        errors.append(FieldError("options.sender", "unverified_sender", detail))
    if reply_to:
        try:
            mailbox(str(reply_to), local_too=True)
        except ValueError as error:
            errors.append(FieldError("options.reply_to", "invalid", str(error)))
    if errors:
        raise InvalidRequest(errors)


def is_verified(sender: str) -> bool:
    """Whether the settings list a sender: the address itself or its domain, or the number."""
    if "@" not in sender:
        return sender in (*environment().senders, account("twilio").twilio_from)
    try:
        address = mailbox(sender, local_too=True).address.lower()
    except ValueError:
        return False
    listed = {name.lower() for name in environment().senders}
    domain = address[address.rindex("@") :]
    return address in listed or domain in listed or address == _default().lower()


def _default() -> str:
    return mailbox(environment().email_from, local_too=True).address
