"""What a reader of callbacks is: who may call, and what a call says."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from notifications.domain.errors import Refused
from notifications.domain.receipts import Receipt


class CallbackRefused(Refused):
    """The callback's signature is missing or wrong: is the secret the vendor's?"""

    code = "bad_signature"


class CallbackUnreadable(ValueError):
    """A callback that was rightly signed, but is not what the vendor documents."""


NONSENSE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What reading a body may raise that is not what its vendor documents: a wrong type, a number too
large, nesting too deep."""


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A request as a vendor made it. url is whole, as the vendor was given it; header names are in
    lower case."""

    method: str
    url: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def as_json(self) -> dict[str, Any]:
        """The form in which a call is kept (sealed)."""
        return {
            "method": self.method,
            "url": self.url,
            "query": dict(self.query),
            "headers": dict(self.headers),
            "body": base64.b64encode(self.body).decode(),
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> IncomingCall:
        """The reverse of `as_json`."""
        return cls(**{**kept, "body": base64.b64decode(kept["body"])})


def check_call(reader: CallbackReader, call: IncomingCall) -> None:
    """`reader.check`, for any body and headers at all.

    Raises:
        CallbackRefused: not the vendor's, or such nonsense that nothing can be checked.
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
        """Lets the vendor's own calls pass.

        Raises:
            CallbackRefused: for anybody else's.
        """

    def missing_setting(self) -> str:
        """What must be set before a call can be told from anybody else's; empty when nothing."""
        return ""

    @abstractmethod
    def read(self, call: IncomingCall) -> list[Receipt]:
        """What a call says; empty when it says nothing of messages.

        Raises:
            CallbackUnreadable: it is not what the vendor documents.
        """
