"""Decides which bounces mean that an address accepts no mail at all, service by service.

Anymail uses one event, bounced, for a mailbox that does not exist and for a full one. A bounce
closes the address only if the service calls it permanent and it is about the address. An unknown
bounce closes nothing. docs/reference/mail-receipts.md shows every kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from notifications.domain.receipts import ReceiptKind

Raw = Mapping[str, Any]
# RFC 3463: these 5.1.x are about the recipient's address, 5.2.1 about a disabled mailbox. The other
# 5.1.x are about the sender's address.
_OF_ADDRESS = re.compile(r"\b5\.(1\.(0|1|2|3|4|6|10)|2\.1)\b")
_GONE_AT_UNISENDER = frozenset({"err_user_unknown", "err_user_inactive", "err_domain_inactive"})
_GONE_AT_MAILJET = frozenset(
    {"user unknown", "mailbox inactive", "invalid domain", "no mail host", "typofix"}
)


def _text(raw: Any, *path: str) -> str:
    """Returns the text at a path in a raw event; empty if there is none."""
    for name in path:
        raw = raw.get(name) if isinstance(raw, Mapping) else None
    return raw if isinstance(raw, str) else str(raw) if isinstance(raw, int) else ""


def _brevo(raw: Raw) -> bool:
    return _text(raw, "event") in ("hard_bounce", "invalid_email")


def _mailersend(raw: Raw) -> bool:
    return _text(raw, "data", "type") == "hard_bounced"


def _mailgun(raw: Raw) -> bool:
    """Permanent, for a reason about the address; newer events name hard and soft themselves."""
    event = raw.get("event-data")
    if not isinstance(event, Mapping):  # the format before 2018: form fields
        code = _text(raw, "code")
        return code in ("550", "551", "553", "605") or bool(_OF_ADDRESS.search(code))
    if _text(event, "severity") != "permanent":
        return False
    bounce_type = _text(event, "delivery-status", "bounce-type")
    status = _text(event, "delivery-status", "enhanced-code")
    if bounce_type == "soft" or (status and not _OF_ADDRESS.search(status)):
        return False
    return _text(event, "reason") in ("bounce", "suppress-bounce")


def _mailjet(raw: Raw) -> bool:
    return raw.get("hard_bounce") is True and _text(raw, "error") in _GONE_AT_MAILJET


def _mailtrap(raw: Raw) -> bool:
    return _text(raw, "event") == "bounce"


def _mandrill(raw: Raw) -> bool:
    return _text(raw, "event") == "hard_bounce"


def _postal(raw: Raw) -> bool:
    """Postal does not separate hard from soft bounces: the other server's reply does, if known."""
    payload = raw.get("payload")
    reply = f"{_text(payload, 'details')} {_text(payload, 'output')}"
    return _OF_ADDRESS.search(reply) is not None


def _postmark(raw: Raw) -> bool:
    """A suppression names its reason in a separate field."""
    return "HardBounce" in (_text(raw, "Type"), _text(raw, "SuppressionReason"))


def _resend(raw: Raw) -> bool:
    """Permanent, unless the other server refused the mail itself."""
    bounce = raw.get("data", {}).get("bounce")
    about = _text(bounce, "subType")
    return _text(bounce, "type") == "Permanent" and about in (
        *("", "General", "NoEmail", "Suppressed", "OnAccountSuppressionList"),
    )


def _sendgrid(raw: Raw) -> bool:
    """SendGrid sends blocks as bounces of the type blocked."""
    kind = _text(raw, "type") or ("bounce" if _OF_ADDRESS.search(_text(raw, "status")) else "")
    about = _text(raw, "bounce_classification").lower()
    return kind == "bounce" and about in ("", "invalid address", "unclassified")


def _sparkpost(raw: Raw) -> bool:
    """10: no such address. 30: no recipient. Soft: 20 to 24, 40, 70. Blocks: 25, 50 to 54."""
    event: Any = next(iter(raw.get("msys", {}).values()), {})
    return _text(event, "bounce_class") in ("10", "30")


def _unisender_go(raw: Raw) -> bool:
    status = _text(raw, "delivery_info", "delivery_status")
    return _text(raw, "status") == "hard_bounced" and status in _GONE_AT_UNISENDER


_IS_HARD: dict[str, Callable[[Raw], bool]] = {
    "brevo": _brevo,
    "mailersend": _mailersend,
    "mailgun": _mailgun,
    "mailjet": _mailjet,
    "mailtrap": _mailtrap,
    "mandrill": _mandrill,
    "postal": _postal,
    "postmark": _postmark,
    "resend": _resend,
    "sendgrid": _sendgrid,
    "sparkpost": _sparkpost,
    "unisender_go": _unisender_go,
}


def kind_by_raw(service: str, kind: ReceiptKind, raw: Raw) -> ReceiptKind:
    """Returns the receipt kind of an anymail event, by the service's own event."""
    if kind is ReceiptKind.BOUNCED and not _IS_HARD[service](raw):
        return ReceiptKind.FAILED
    if service == "postmark" and _text(raw, "Type") == "SpamNotification":
        return ReceiptKind.FAILED  # a filter refused it; the user did not complain
    if service == "postal" and kind is ReceiptKind.FAILED and _postal(raw):
        return ReceiptKind.BOUNCED
    return kind
