"""Checks the form of an address that is no user's."""

from __future__ import annotations

from typing import Any

from directory.addresses import AddressFault, read_address


def check_address(name: str, value: Any) -> str:
    """The address in the spelling that it is written to. name is email, phone or telegram_id.

    Raises:
        ValueError: saying what the address should look like.
    """
    try:
        return read_address(name.removesuffix("_id"), value)
    except AddressFault as fault:
        raise ValueError(fault.in_full) from fault
