"""Reads the options that a send stored with its message."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

from notifications.domain.messages import Retraction

RETRACTS = "retracts"
"""The option of a message that takes back a push: its tag, its reference, and the devices."""

LIST = "list"
"""The option of a message that went to a mailing list: the id of the list."""

UTM = "utm"
"""The option of parameters that are added to the links of a mail, by name."""


@functools.lru_cache(maxsize=1024)
def options_of(text: str) -> Mapping[str, Any]:
    """Returns the options of a message. The caller must not change them."""
    options: dict[str, Any] = json.loads(text)
    return options


def list_of_message(options: str | None) -> int | None:
    """Returns the mailing list that a message with these options went to."""
    found: int | None = options_of(options).get(LIST) if options else None
    return found


def retraction_of(options: Mapping[str, Any]) -> Retraction | None:
    """Returns the push that a message takes back; None for a message that shows something."""
    given = options.get(RETRACTS)
    return Retraction(given["tag"], given["reference"]) if given else None


def retracting_devices(options: Mapping[str, Any]) -> frozenset[int]:
    """Returns the devices that may show the push that a message takes back."""
    return frozenset(options[RETRACTS]["devices"])
