"""Addresses that no vendor is called for: each gives an outcome of its own, on every provider.

`bounced@simulator.carillon` (or any subdomain of it) as an email address or push token, a host such
as `bounced.simulator.carillon` in a webhook's, chat's or browser's URL, a phone number
+15005550100 and on, a Telegram chat 9990000000000000100 and on. See docs/howto/simulate.md.
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
    "temporary": "fails at first, and is delivered on the second try",
    "complained": "delivered, and a receipt says that the person called it spam",
    "rejected": "refused for good",
    "uncertain": "no answer came after the request was written",
    "throttled": "too much at first, wait five seconds; then delivered",
    "failing": "fails at every try, until the attempts are used up",
    "invalid": "refused, for the address is dead",
    "unsubscribed": "refused, for the person told the vendor to stop",
    "sent": "sent, and no receipt follows",
}
"""What each name stands for. The order gives phones and chats their last digits: append only."""

_NAMES = "|".join(OUTCOMES)
_HOST = r"([a-z0-9-]+\.)*simulator\.carillon"
_NAMED = re.compile(
    rf"(?:^(?P<mail>{_NAMES})(?:\+[^@]*)?@{_HOST}$)|(?://(?P<host>{_NAMES})\.{_HOST}(?=[/:?#\"]|$))",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"(?:\+1500555|999000000000000)01(?P<digits>[0-9]{2})")


def outcome_named(recipient: str) -> str:
    """The outcome that an address stands for; empty for an ordinary address."""
    if "simulator.carillon" in recipient.lower():
        found = _NAMED.search(recipient)
        return (found["mail"] or found["host"]).lower() if found else ""
    numbered = _NUMBERED.fullmatch(recipient)
    if numbered is None:
        return ""
    place = int(numbered["digits"])
    return list(OUTCOMES)[place] if place < len(OUTCOMES) else ""


def simulated(message: OutboundMessage) -> SendResult | None:
    """What becomes of a message to an address of the simulator; None for any other."""
    name = outcome_named(message.recipient)
    return _result(name, message) if name else None


def _result(name: str, message: OutboundMessage) -> SendResult:
    again = message.attempt > 1
    if name == "failing" or (name == "temporary" and not again):
        return _no(Verdict.RETRY, "simulated_temporary")
    if name == "throttled" and not again:
        return _no(Verdict.RETRY, "simulated_throttling", retry_after_s=5.0)
    if name == "rejected":
        return _no(Verdict.FAILED, "simulated_rejection")
    if name == "uncertain":
        return _no(Verdict.UNCERTAIN, "simulated_timeout")
    if name in ("invalid", "unsubscribed"):
        code = "unsubscribed" if name == "unsubscribed" else "invalid_recipient"
        return _no(Verdict.FAILED, code, recipient_dead=True)
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


def _no(
    verdict: Verdict,
    code: str,
    *,
    retry_after_s: float | None = None,
    recipient_dead: bool = False,
) -> SendResult:
    return SendResult(
        verdict,
        error="the simulator says so",
        error_code=code,
        retry_after_s=retry_after_s,
        recipient_dead=recipient_dead,
        simulated=True,
    )
