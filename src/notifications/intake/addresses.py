"""Checks an address that does not belong to a user."""

from __future__ import annotations

from typing import Any

from directory.addresses import AddressFault, read_address


def check_address(name: str, value: Any) -> str:
    """Returns the address in the spelling that messages are sent to.

    name is email, phone or telegram_id.

    Raises:
        ValueError: the address is invalid; the text says what it should look like.
    """
    try:
        return read_address(name.removesuffix("_id"), value)
    except AddressFault as fault:
        raise ValueError(fault.in_full) from fault
