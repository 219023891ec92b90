"""Reads texts sent to a Vonage number: developer.vonage.com/en/messages/guides/inbound."""

from __future__ import annotations

from typing import ClassVar

from directory.texts import is_storable
from notifications.delivery.callbacks.base import CallbackUnreadable, IncomingCall, check_call
from notifications.delivery.callbacks.inbound import InboundReader, InboundText
from notifications.delivery.vendors.vonage.callbacks import VonageCallbacks, number_in, read_event
from notifications.delivery.vendors.vonage.faults import SAID_STOP


class VonageInbound(InboundReader):
    """Signatures are those of status callbacks. Vonage forwards no reply to the person."""

    key: ClassVar[str] = "vonage"
    content_type: ClassVar[str] = "text/plain"
    stopped_code: ClassVar[str] = SAID_STOP

    def read(self, call: IncomingCall) -> InboundText:
        check_call(VonageCallbacks(), call)
        event = read_event(call)
        name, text = event.get("message_uuid"), event.get("text")
        sender, recipient = number_in(event, "from"), number_in(event, "to")
        if event.get("channel", "sms") != "sms" or not isinstance(text, str):
            raise CallbackUnreadable("no incoming SMS: the channel is another, or text is missing")
        if not isinstance(name, str) or not name or not sender:
            raise CallbackUnreadable("no incoming SMS: message_uuid or from is missing")
        if not all(is_storable(value) for value in (name, sender, recipient)):
            raise CallbackUnreadable("an incoming message whose ids cannot be stored")
        return InboundText(name[:100], sender, recipient, _storable(text), None)

    def reply_of(self, text: str) -> bytes:
        del text
        return b""


def _storable(text: str) -> str:
    """Returns a text without NUL and lone surrogates, which no database stores."""
    return text.replace("\x00", "").encode("utf-8", "ignore").decode()
