"""The base of readers of incoming texts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from notifications.delivery.callbacks.base import IncomingCall
from notifications.domain.sms import Keyword


class InboundText(NamedTuple):
    """A text that a person sent to us."""

    provider_message_id: str
    sender: str
    recipient: str
    text: str
    #: The keyword that the vendor recognized, and replied to itself.
    hint: Keyword | None


class InboundReader(ABC):
    """Reads one vendor's calls with an incoming text."""

    key: ClassVar[str]
    content_type: ClassVar[str]
    """The content type of what `reply_of` returns."""
    stopped_code: ClassVar[str] = ""
    """The vendor's error code for a number that sent it STOP; START ends that refusal."""

    @abstractmethod
    def read(self, call: IncomingCall) -> InboundText:
        """Returns the text in a call.

        Raises:
            CallbackRefused: the call is not the vendor's.
            CallbackUnreadable: the call contains no text.
        """

    @abstractmethod
    def reply_of(self, text: str) -> bytes:
        """Returns the response to a call, with a text for its sender if the vendor forwards it."""
