"""Reads texts that people send to a Twilio number.

twilio.com/docs/messaging/guides/webhook-request and, for OptOutType,
twilio.com/docs/messaging/features/advanced-opt-out
"""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from directory.texts import is_storable
from notifications.delivery.callbacks.base import CallbackUnreadable, IncomingCall, check_call
from notifications.delivery.callbacks.inbound import InboundReader, InboundText
from notifications.delivery.vendors.twilio.callbacks import TwilioCallbacks
from notifications.delivery.vendors.twilio.faults import SAID_STOP
from notifications.domain.sms import Keyword

_HINTS = {"STOP": Keyword.STOP, "START": Keyword.START, "HELP": Keyword.HELP}


class TwilioInbound(InboundReader):
    """Signatures are those of status callbacks. Replies are TwiML, as Twilio requires."""

    key: ClassVar[str] = "twilio"
    content_type: ClassVar[str] = "text/xml"
    stopped_code: ClassVar[str] = str(SAID_STOP)

    def read(self, call: IncomingCall) -> InboundText:
        check_call(TwilioCallbacks(), call)
        form = dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))
        name, sender = form.get("MessageSid") or form.get("SmsSid", ""), form.get("From", "")
        if not name or not sender or "Body" not in form:
            raise CallbackUnreadable("no incoming message: MessageSid, From or Body is missing")
        if not all(is_storable(value) for value in (name, sender, form.get("To", ""))):
            raise CallbackUnreadable("an incoming message whose ids contain NUL")
        hint = _HINTS.get(form.get("OptOutType", ""))
        text = form["Body"].replace("\x00", "")
        return InboundText(name[:100], sender, form.get("To", ""), text, hint)

    def reply_of(self, text: str) -> bytes:
        inner = f"<Message>{escape(text)}</Message>" if text else ""
        head = '<?xml version="1.0" encoding="UTF-8"?>'
        return f"{head}<Response>{inner}</Response>".encode()
