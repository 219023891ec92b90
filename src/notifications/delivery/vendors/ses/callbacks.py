"""Reads SES's bounces, complaints and deliveries, which arrive through SNS.

It reads both forms: event publishing (`eventType`, with our tags) and the older feedback
notifications (`notificationType`, with SES's message id only).
docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from directory.moments import read_moment
from notifications.delivery.accounts import settings_of
from notifications.delivery.callbacks.base import (
    NONSENSE,
    CallbackReader,
    CallbackRefused,
    CallbackUnreadable,
    IncomingCall,
)
from notifications.delivery.vendors.ses import sns
from notifications.delivery.vendors.ses.settings import Settings
from notifications.domain.receipts import Receipt, ReceiptKind

_TAG = "CarillonReference"
_KINDS = {
    "Send": ReceiptKind.SENT,
    "Delivery": ReceiptKind.DELIVERED,
    "DeliveryDelay": ReceiptKind.DEFERRED,
    "Bounce": ReceiptKind.BOUNCED,
    "Complaint": ReceiptKind.COMPLAINED,
    "Reject": ReceiptKind.FAILED,
    "Rendering Failure": ReceiptKind.FAILED,
    "Subscription": ReceiptKind.UNSUBSCRIBED,
    "Open": ReceiptKind.OPENED,
    "Click": ReceiptKind.CLICKED,
}
_RECIPIENTS = {"Bounce": "bouncedRecipients", "Complaint": "complainedRecipients"}


class SesCallbacks(CallbackReader):
    """Accepts only the topics in CARILLON_SES_TOPICS, because anyone can create an SNS topic.

    It confirms a subscription to one of them automatically.
    """

    key: ClassVar[str] = "ses"

    def check(self, call: IncomingCall) -> None:
        message = sns.read_message(call.body)
        if message.get("TopicArn") not in settings_of(Settings).ses_topics:
            raise CallbackRefused("the topic is not one of CARILLON_SES_TOPICS")
        sns.check_signature(message)
        if message["Type"] == "SubscriptionConfirmation":
            sns.confirm(message)

    def read(self, call: IncomingCall) -> list[Receipt]:
        message = sns.read_message(call.body)
        if message["Type"] != "Notification":
            return []
        try:
            event = json.loads(message["Message"])
            name = event.get("eventType") or event.get("notificationType") or ""
        except NONSENSE as error:
            if "Amazon SES" in str(message.get("Message")):
                return []  # the text that SES sends when the topic is set up
            raise CallbackUnreadable("the message is not an SES event") from error
        if not isinstance(name, str) or name not in _KINDS:
            raise CallbackUnreadable(f"an event that SES does not document: {str(name)[:20]}")
        try:
            return list(_receipts(event, name))
        except NONSENSE as error:
            raise CallbackUnreadable("an SES event lacks a documented field") from error


def _receipts(event: Mapping[str, Any], name: str) -> Iterable[Receipt]:
    mail = event["mail"]
    tags = (mail.get("tags") or {}).get(_TAG) or [""]
    detail = event.get(name[0].lower() + name[1:].replace(" ", "")) or {}
    moment = detail.get("timestamp") or mail.get("timestamp")
    for address, status in _addresses(name, detail, mail):
        yield Receipt(
            _kind_of(name, detail),
            at=read_moment(moment) if moment else None,
            reference=tags[0].replace("-", ".", 1),
            provider_message_id=mail["messageId"],
            address=address,
            code=_code_of(name, detail),
            detail=status,
        )


def _addresses(
    name: str, detail: Mapping[str, Any], mail: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """Returns the addresses of an event, each with the status code of the recipient's server."""
    if name in _RECIPIENTS:
        rows = detail[_RECIPIENTS[name]]
        return [(row["emailAddress"], str(row.get("status", ""))) for row in rows]
    return [(mail["destination"][0], "")]


def _kind_of(name: str, detail: Mapping[str, Any]) -> ReceiptKind:
    if name == "Bounce" and detail.get("bounceType") != "Permanent":
        return ReceiptKind.FAILED  # full, too large, content refused: not about the address
    return _KINDS[name]


def _code_of(name: str, detail: Mapping[str, Any]) -> str:
    words = [str(detail.get(key, "")) for key in ("bounceSubType", "complaintFeedbackType")]
    more = next((word for word in words if word), "").lower()
    return f"ses_{name.lower().replace(' ', '_')}" + (f"_{more}" if more.isalpha() else "")
