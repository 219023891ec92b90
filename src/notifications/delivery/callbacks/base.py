"""The base of callback readers, which verify callbacks and read receipts from them."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from notifications.domain.errors import Refused
from notifications.domain.receipts import Receipt


class CallbackRefused(Refused):
    """The callback's signature is missing or wrong: check that the secret is the vendor's."""

    code = "bad_signature"


class CallbackUnreadable(ValueError):
    """A callback with a valid signature, whose body is not what the vendor documents."""


NONSENSE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What reading an undocumented body may raise, for a wrong type, a large number or deep nesting."""


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A request that a vendor made."""

    method: str
    #: The complete URL, as it was given to the vendor.
    url: str
    query: Mapping[str, str]
    #: Header names are in lower case.
    headers: Mapping[str, str]
    body: bytes

    def as_json(self) -> dict[str, Any]:
        """Returns the form in which a call is stored (encrypted)."""
        return {
            "method": self.method,
            "url": self.url,
            "query": dict(self.query),
            "headers": dict(self.headers),
            "body": base64.b64encode(self.body).decode(),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> IncomingCall:
        """The reverse of `as_json`."""
        return cls(**{**stored, "body": base64.b64decode(stored["body"])})


def check_call(reader: CallbackReader, call: IncomingCall) -> None:
    """Calls `reader.check` with any body and any headers.

    Raises:
        CallbackRefused: the call is not the vendor's, or cannot be checked.
    """
    try:
        reader.check(call)
    except NONSENSE as error:
        raise CallbackRefused from error


class CallbackReader(ABC):
    """One vendor's callbacks."""

    key: ClassVar[str]

    @abstractmethod
    def check(self, call: IncomingCall) -> None:
        """Checks that the vendor made a call.

        Raises:
            CallbackRefused: another caller made it.
        """

    def missing_setting(self) -> str:
        """Returns which setting is missing to verify calls; empty when none is missing."""
        return ""

    @abstractmethod
    def read(self, call: IncomingCall) -> list[Receipt]:
        """Returns the receipts in a call; none if it is not about messages.

        Raises:
            CallbackUnreadable: the body is not what the vendor documents.
        """
