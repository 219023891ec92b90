"""The decision: one pure function from facts to Send, Defer, Digest, Suppress or Expire.

The order of the questions is documented and tested; every answer carries its reason, which is
stored and shown by `explain`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

STOP_RECHECK = timedelta(seconds=5)
"""How often a message under a kill switch is looked at again."""

ORDER_RECHECK = timedelta(seconds=1)
"""How often a message waits for its elder of the same ordering key."""


@dataclass(frozen=True, slots=True)
class Send:
    """Hand it over now."""

    recipient: str
    reason: str = "allowed"


@dataclass(frozen=True, slots=True)
class Defer:
    """Not now: look again at `until`. Burns no attempt."""

    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Digest:
    """Fold it into the digest of this bucket."""

    bucket: str
    reason: str


@dataclass(frozen=True, slots=True)
class Suppress:
    """Never; opted_out says that it is the person's own wish."""

    reason: str
    opted_out: bool = False


@dataclass(frozen=True, slots=True)
class Expire:
    """Its time ran out."""

    reason: str = "expires_at_passed"


Decision = Send | Defer | Digest | Suppress | Expire


@dataclass(frozen=True, slots=True)
class Contact:
    """The contact point that a channel would use. state is a ContactPoint state."""

    address: str
    state: str = "active"
    suppressed: bool = False


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """All that a decision may depend on.

    needs_contact: the channel writes to an address. supports_channel: the template has a text for
    the channel. stopped_by: the kill switch that covers the message. superseded: a newer message of
    the same collapse key exists. elder_open: an earlier one of the same ordering key is unsettled.
    """

    now: datetime
    needs_contact: bool
    contact: Contact | None
    user_id: int | None = None
    user_active: bool = True
    supports_channel: bool = True
    expires_at: datetime | None = None
    stopped_by: str = ""
    superseded: bool = False
    elder_open: bool = False


def decide(facts: MessageFacts) -> Decision:
    """What is to be done with one message now. Reads nothing but its argument."""
    if facts.expires_at is not None and facts.now >= facts.expires_at:
        return Expire()
    if facts.stopped_by:
        return Defer(facts.now + STOP_RECHECK, f"kill_switch:{facts.stopped_by}")
    if facts.superseded:
        return Suppress("collapsed_by_newer")
    if not facts.user_active:
        return Suppress("user_inactive")
    if not facts.supports_channel:
        return Suppress("channel_not_in_template")
    refusal = _refuse_contact(facts)
    if refusal:
        return refusal
    if facts.elder_open:
        return Defer(facts.now + ORDER_RECHECK, "waits_for_elder_of_ordering_key")
    return Send(facts.contact.address if facts.contact else str(facts.user_id))


def _refuse_contact(facts: MessageFacts) -> Suppress | None:
    if not facts.needs_contact:
        return None
    if facts.contact is None:
        return Suppress("no_contact_point")
    if facts.contact.suppressed:
        return Suppress("address_suppressed", opted_out=True)
    if facts.contact.state != "active":
        opted_out = facts.contact.state == "unsubscribed"
        return Suppress(f"contact_{facts.contact.state}", opted_out=opted_out)
    return None
