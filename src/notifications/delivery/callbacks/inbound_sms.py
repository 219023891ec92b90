"""Texts that people send to us: what Twilio's webhook for incoming messages says.

twilio.com/docs/messaging/guides/webhook-request and, for OptOutType,
twilio.com/docs/messaging/features/advanced-opt-out
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from directory.texts import is_storable
from notifications.delivery.callbacks.base import CallbackUnreadable, IncomingCall, check_call
from notifications.delivery.callbacks.twilio import TwilioCallbacks
from notifications.domain.sms import Keyword

_HINTS = {"STOP": Keyword.STOP, "START": Keyword.START, "HELP": Keyword.HELP}


class InboundText(NamedTuple):
    """A text. hint: the keyword that the vendor took it for, and answered itself."""

    provider_message_id: str
    sender: str
    recipient: str
    text: str
    hint: Keyword | None


def read_inbound(call: IncomingCall) -> InboundText:
    """A text from Twilio's signed form.

    Raises:
        CallbackRefused: the signature is not Twilio's.
        CallbackUnreadable: it is no incoming message.
    """
    check_call(TwilioCallbacks(), call)
    form = dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))
    name, sender = form.get("MessageSid") or form.get("SmsSid", ""), form.get("From", "")
    if not name or not sender or "Body" not in form:
        raise CallbackUnreadable("no incoming message: MessageSid, From or Body is missing")
    if not all(is_storable(value) for value in (name, sender, form.get("To", ""))):
        raise CallbackUnreadable("an incoming message whose names hold NUL")
    hint = _HINTS.get(form.get("OptOutType", ""))
    text = form["Body"].replace("\x00", "")
    return InboundText(name[:100], sender, form.get("To", ""), text, hint)


def reply_of(text: str) -> bytes:
    """The answer to the webhook: a text for the sender, or none (TwiML)."""
    inner = f"<Message>{escape(text)}</Message>" if text else ""
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    return f"{head}<Response>{inner}</Response>".encode()
