"""Addresses for which no vendor is called: each has its own result, with every provider.

`bounced@simulator.carillon` (or any subdomain of it) as an email address or push token, a host such
as `bounced.simulator.carillon` in a webhook's, chat's or browser's URL, a phone number
from +15005550100, a Telegram chat from 9990000000000000100. See docs/howto/simulate.md.
"""

from __future__ import annotations

import re

from notifications.domain.messages import OutboundMessage, SendResult, Verdict
from notifications.domain.receipts import ReceiptKind

PROVIDER = "simulator"
_K = ReceiptKind

OUTCOMES: dict[str, str] = {
    "delivered": "sent, and a receipt says delivered",
    "bounced": "sent, and a receipt says that the address does not exist",
    "temporary": "fails at first, and is delivered on the second attempt",
    "complained": "delivered, and a receipt says that the user reported it as spam",
    "rejected": "refused permanently",
    "uncertain": "no response after the request was written",
    "throttled": "throttled at first, with a wait of five seconds; then delivered",
    "failing": "fails at every attempt, until the attempts are used up",
    "invalid": "refused, because the address is dead",
    "unsubscribed": "refused, because the user unsubscribed at the vendor",
    "sent": "sent, and no receipt follows",
}
"""The meaning of each name. The order defines the last digits of phones and chats: append only."""

_NAMES = "|".join(OUTCOMES)
_HOST = r"([a-z0-9-]+\.)*simulator\.carillon"
_NAMED = re.compile(
    rf"(?:^(?P<mail>{_NAMES})(?:\+[^@]*)?@{_HOST}$)|(?://(?P<host>{_NAMES})\.{_HOST}(?=[/:?#\"]|$))",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"(?:\+1500555|999000000000000)01(?P<digits>[0-9]{2})")


def outcome_named(recipient: str) -> str:
    """Returns the name of an address's simulated result; empty for an ordinary address."""
    if "simulator.carillon" in recipient.lower():
        found = _NAMED.search(recipient)
        return (found["mail"] or found["host"]).lower() if found else ""
    numbered = _NUMBERED.fullmatch(recipient)
    if numbered is None:
        return ""
    place = int(numbered["digits"])
    return list(OUTCOMES)[place] if place < len(OUTCOMES) else ""


def simulated(message: OutboundMessage) -> SendResult | None:
    """Returns the result of a message to a simulator address; None for any other address."""
    name = outcome_named(message.recipient)
    return _result(name, message) if name else None


def _result(name: str, message: OutboundMessage) -> SendResult:
    is_retry = message.attempt > 1
    if name == "failing" or (name == "temporary" and not is_retry):
        return _failure(Verdict.RETRY, "simulated_temporary")
    if name == "throttled" and not is_retry:
        return _failure(Verdict.RETRY, "simulated_throttling", retry_after_s=5.0)
    if name == "rejected":
        return _failure(Verdict.FAILED, "simulated_rejection")
    if name == "uncertain":
        return _failure(Verdict.UNCERTAIN, "simulated_timeout")
    if name in ("invalid", "unsubscribed"):
        code = "unsubscribed" if name == "unsubscribed" else "invalid_recipient"
        return _failure(Verdict.FAILED, code, recipient_dead=True)
    return SendResult(
        Verdict.SENT,
        provider_message_id=f"{PROVIDER}-{message.reference}",
        simulated=True,
        receipts=_RECEIPTS.get(name, (_K.DELIVERED,)),
    )


_RECEIPTS: dict[str, tuple[str, ...]] = {
    "sent": (),
    "bounced": (_K.BOUNCED,),
    "complained": (_K.DELIVERED, _K.COMPLAINED),
}


def _failure(
    verdict: Verdict,
    code: str,
    *,
    retry_after_s: float | None = None,
    recipient_dead: bool = False,
) -> SendResult:
    return SendResult(
        verdict,
        error="simulated failure",
        error_code=code,
        retry_after_s=retry_after_s,
        recipient_dead=recipient_dead,
        simulated=True,
    )
