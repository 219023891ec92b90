"""Texts that people send to us: what a vendor's reader of them is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from notifications.delivery.callbacks.base import IncomingCall
from notifications.domain.sms import Keyword


class InboundText(NamedTuple):
    """A text. hint: the keyword that the vendor took it for, and answered itself."""

    provider_message_id: str
    sender: str
    recipient: str
    text: str
    hint: Keyword | None


class InboundReader(ABC):
    """One vendor's calls that hand over a text."""

    key: ClassVar[str]
    content_type: ClassVar[str]
    """Of what `reply_of` returns."""
    stopped_code: ClassVar[str] = ""
    """Its error code for a number that told the vendor STOP; START takes the refusal back."""

    @abstractmethod
    def read(self, call: IncomingCall) -> InboundText:
        """The text that a call hands over.

        Raises:
            CallbackRefused: the call is not the vendor's.
            CallbackUnreadable: it hands over no text.
        """

    @abstractmethod
    def reply_of(self, text: str) -> bytes:
        """The answer to the call, with a text for the sender where the vendor passes one on."""
