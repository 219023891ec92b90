"""The decision: one pure function from facts to Send, Defer, Digest, Suppress or Expire.

CHECKS is the documented order. Each check returns its decision, or None when it does not object.
Every decision has a reason, which is stored and shown by `explain`. `steps_of` derives from the
reason which checks passed before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from notifications.domain.channels import Channel, Priority
from notifications.domain.digest_periods import digest_period
from notifications.domain.messages import Target
from notifications.domain.preferences import DigestFrequency
from notifications.domain.wall_clock import first_zone
from notifications.policy.mute import mute_ends
from notifications.policy.preference_state import PreferenceState

STOP_RECHECK = timedelta(seconds=5)
"""How long a message under a kill switch is deferred."""

ORDER_RECHECK = timedelta(seconds=1)
"""How long a message is deferred that waits for an earlier one of its ordering key."""

BURST, BURST_WINDOW = "burst", "burst_window"
"""The reasons of a message that goes with other unread ones, and of one that waits for them."""

BURST_GRACE = timedelta(seconds=5)
"""How long the digest of a burst is open for messages that other workers have in hand."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send it now. reason names the preference that was overridden, if one was."""

    recipient: str
    reason: str = "allowed"


@dataclass(frozen=True, slots=True)
class Defer:
    """Not now: decide again at `until`. No attempt is counted."""

    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Digest:
    """Add it to the digest of this period, e.g. `daily:2030-05-01`, which is sent at its close."""

    bucket: str
    closes_at: datetime
    frequency: str
    reason: str


@dataclass(frozen=True, slots=True)
class Suppress:
    """Never send it. opted_out: the person chose so."""

    reason: str
    opted_out: bool = False


@dataclass(frozen=True, slots=True)
class Expire:
    """Its time to live ended."""

    reason: str = "expires_at_passed"


Decision = Send | Defer | Digest | Suppress | Expire


@dataclass(frozen=True, slots=True)
class Contact:
    """The contact point that a channel would use."""

    address: str
    #: A state of ContactPoint.
    state: str = "active"
    suppressed: bool = False
    #: The devices that still need an attempt.
    targets: tuple[Target, ...] = ()
    #: A device accepted the message before.
    reached: bool = False


@dataclass(frozen=True, slots=True)
class Burst:
    """Messages of one person that follow unread ones and fall due together."""

    #: When the others are known.
    ends_at: datetime
    #: Their digest; empty while others may still join.
    period: str


class MessageFacts(NamedTuple):
    """All facts that a decision may depend on."""

    now: datetime
    #: The channel writes to an address.
    needs_contact: bool
    contact: Contact | None
    user_id: int | None = None
    user_active: bool = True
    #: The template has a text for the channel.
    supports_channel: bool = True
    expires_at: datetime | None = None
    #: The kill switch that covers the message.
    stopped_by: str = ""
    #: There is a newer message of the same collapse key.
    superseded: bool = False
    #: An earlier message of the same ordering key is open.
    earlier_open: bool = False
    channel: str = Channel.IN_APP
    priority: int = Priority.MEDIUM
    #: The person's, for this category and channel; None for an address that is no user.
    preferences: PreferenceState | None = None
    #: The category rests on consent.
    consent_needed: bool = False
    #: The person is on the mailing list that the message went to, if it went to one.
    on_list: bool = True
    #: It is a marketing category.
    marketing: bool = False
    #: The channel is a person's own (no webhook, no chat).
    personal: bool = True
    #: The sender may override preferences, and does.
    bypass: bool = False
    #: The message is a digest itself.
    is_digest: bool = False
    #: The limit that the person has reached, e.g. `frequency_cap:course`.
    spent_limit: str = ""
    #: It is a fallback, and the notification was read meanwhile.
    already_read: bool = False
    #: It follows an unread message, as others of its person do.
    burst: Burst | None = None
    #: The person is in the holdout of an A/B test, and gets nothing.
    held_out: bool = False
    #: The country of the address, where the service sends nothing to it.
    barred_country: str = ""
    #: Names of time zones; the first that exists counts.
    zones: tuple[str, ...] = ("UTC",)

    @property
    def applicable(self) -> PreferenceState | None:
        """The preferences that apply: none on channels of systems, or with `bypass`."""
        return self.preferences if self.personal and not self.bypass else None


def _check_expiry(facts: MessageFacts) -> Decision | None:
    return Expire() if facts.expires_at is not None and facts.now >= facts.expires_at else None


def _check_stops(facts: MessageFacts) -> Decision | None:
    if facts.stopped_by:
        return Defer(facts.now + STOP_RECHECK, f"kill_switch:{facts.stopped_by}")
    return None


def _check_collapse(facts: MessageFacts) -> Decision | None:
    return Suppress("collapsed_by_newer") if facts.superseded else None


def _check_read(facts: MessageFacts) -> Decision | None:
    return Suppress("already_read") if facts.already_read else None


def _check_user(facts: MessageFacts) -> Decision | None:
    return None if facts.user_active else Suppress("user_inactive")


def _check_template(facts: MessageFacts) -> Decision | None:
    return None if facts.supports_channel else Suppress("channel_not_in_template")


def _check_contact(facts: MessageFacts) -> Decision | None:
    if not facts.needs_contact:
        return None
    if facts.contact is None:
        return Suppress("no_contact_point")
    if facts.contact.suppressed:
        return Suppress("address_suppressed", opted_out=True)
    if facts.contact.state != "active":
        opted_out = facts.contact.state == "unsubscribed"
        return Suppress(f"contact_{facts.contact.state}", opted_out=opted_out)
    if facts.barred_country:
        return Suppress(f"country_not_allowed:{facts.barred_country}")
    return None


def _check_consent(facts: MessageFacts) -> Decision | None:
    """Consent is law and cannot be overridden. An address that is no user has consented to
    nothing."""
    if facts.consent_needed and not (facts.preferences and facts.preferences.consent):
        return Suppress("no_consent", opted_out=True)
    return None


def _check_list(facts: MessageFacts) -> Decision | None:
    return None if facts.on_list else Suppress("not_on_list", opted_out=True)


def _check_notifications(facts: MessageFacts) -> Decision | None:
    applicable = facts.applicable
    if applicable and not applicable.notifications_enabled and facts.priority > Priority.HIGH:
        return Suppress("notifications_off", opted_out=True)
    return None


def _check_channel(facts: MessageFacts) -> Decision | None:
    applicable = facts.applicable
    if applicable is None or applicable.channel_on or facts.priority == Priority.CRITICAL:
        return None
    if not applicable.notifications_enabled:
        return None  # urgent enough to override "notifications off", so it overrides channels too
    return Suppress("channel_off", opted_out=True)


def _check_category(facts: MessageFacts) -> Decision | None:
    applicable = facts.applicable
    if applicable is None or applicable.category_on or facts.priority == Priority.CRITICAL:
        return None
    if not applicable.notifications_enabled:
        return None
    return Suppress("category_channel_off", opted_out=True)


def _check_marketing(facts: MessageFacts) -> Decision | None:
    applicable = facts.applicable
    if facts.marketing and applicable and not applicable.marketing_enabled:
        return Suppress("marketing_off", opted_out=True)
    return None


def _check_holdout(facts: MessageFacts) -> Decision | None:
    return Suppress("held_out") if facts.held_out else None


def _check_digest(facts: MessageFacts) -> Decision | None:
    applicable = facts.applicable
    if applicable is None or applicable.digest == DigestFrequency.IMMEDIATE:
        return None
    if facts.priority <= Priority.HIGH or facts.is_digest:
        return None
    if applicable.digest == DigestFrequency.NEVER:
        inbox = facts.channel == Channel.IN_APP
        return None if inbox else Suppress("digest_never")
    zone, note = first_zone(applicable.zone, *facts.zones)
    bucket, closes_at = digest_period(frequency=applicable.digest, now=facts.now, zone=zone)
    return Digest(bucket, closes_at, applicable.digest, f"digest_{applicable.digest}{note}")


def _check_limit(facts: MessageFacts) -> Decision | None:
    if facts.spent_limit and not facts.is_digest and not facts.bypass:
        return Suppress(facts.spent_limit)
    return None


def _check_quiet_hours(facts: MessageFacts) -> Decision | None:
    if facts.priority <= Priority.HIGH or facts.applicable is None:
        return None
    until, reason = _muted(facts, facts.applicable)
    return Defer(until, reason) if until else None


def _muted(facts: MessageFacts, applicable: PreferenceState) -> tuple[datetime | None, str]:
    """Returns when the person can be disturbed again, and the reason; None when it is now."""
    if applicable.quiet is None and applicable.dnd_until is None:
        return None, ""
    zone, note = first_zone(applicable.zone, *facts.zones)
    return mute_ends(
        now=facts.now, quiet=applicable.quiet, dnd_until=applicable.dnd_until, zone=zone, note=note
    )


def _check_order(facts: MessageFacts) -> Decision | None:
    if facts.earlier_open:
        return Defer(facts.now + ORDER_RECHECK, "waiting_for_earlier_message")
    return None


def _check_burst(facts: MessageFacts) -> Decision | None:
    burst = facts.burst
    if burst is None:
        return None
    closes_at = max(facts.now, burst.ends_at) + BURST_GRACE
    if facts.expires_at is not None and facts.expires_at <= closes_at:
        return None
    if not burst.period:
        return Defer(burst.ends_at, BURST_WINDOW)
    return Digest(burst.period, closes_at, BURST, BURST)


CHECKS: tuple[tuple[str, Callable[[MessageFacts], Decision | None]], ...] = (
    ("expiry", _check_expiry),
    ("kill_switch", _check_stops),
    ("collapse", _check_collapse),
    ("read", _check_read),
    ("user", _check_user),
    ("template", _check_template),
    ("contact", _check_contact),
    ("list", _check_list),
    ("consent", _check_consent),
    ("notifications", _check_notifications),
    ("channel", _check_channel),
    ("category", _check_category),
    ("marketing", _check_marketing),
    ("holdout", _check_holdout),
    ("digest", _check_digest),
    ("frequency", _check_limit),
    ("quiet_hours", _check_quiet_hours),
    ("order", _check_order),
    ("burst", _check_burst),
)
_ALL_CHECKS = tuple(check for _, check in CHECKS)
_OF_PREFERENCES = frozenset({"notifications", "channel", "category", "digest", "quiet_hours"})
_CHECKS_WITHOUT_PREFERENCES = tuple(check for step, check in CHECKS if step not in _OF_PREFERENCES)
"""For the many people who restrict nothing: the other checks would pass, and double the cost."""


def decide(facts: MessageFacts) -> Decision:
    """Decides on one message. It reads only its argument."""
    allows_all = facts.preferences is None or facts.preferences.allows_all
    for check in _CHECKS_WITHOUT_PREFERENCES if allows_all else _ALL_CHECKS:
        decision = check(facts)
        if decision is not None:
            return decision
    recipient = facts.contact.address if facts.contact else str(facts.user_id)
    return Send(recipient, _override(facts))


def _override(facts: MessageFacts) -> str:
    """Returns why a message is sent against a preference; `allowed` when no preference objects."""
    chosen = facts.preferences
    if chosen is None or not facts.personal:
        return "allowed"
    if facts.bypass:
        return "preferences_bypassed"
    if chosen.allows_all:
        return "allowed"
    if not chosen.notifications_enabled:
        return "urgent_despite_notifications_off"
    if not (chosen.channel_on and chosen.category_on):
        return "critical_despite_channel_off"
    if facts.priority <= Priority.HIGH and _muted(facts, chosen)[0]:
        return "urgent_despite_quiet_hours"
    return "allowed"


_STEP_OF_REASON = {
    "expires_at_passed": "expiry",
    "kill_switch": "kill_switch",
    "collapsed_by_newer": "collapse",
    "already_read": "read",
    "user_inactive": "user",
    "channel_not_in_template": "template",
    "no_contact_point": "contact",
    "address_suppressed": "contact",
    "contact_bounced": "contact",
    "contact_expired": "contact",
    "contact_unsubscribed": "contact",
    "country_not_allowed": "contact",
    "no_consent": "consent",
    "not_on_list": "list",
    "notifications_off": "notifications",
    "channel_off": "channel",
    "category_channel_off": "category",
    "marketing_off": "marketing",
    "held_out": "holdout",
    **dict.fromkeys(("digest_never", "digest_hourly", "digest_daily", "digest_weekly"), "digest"),
    "frequency_cap": "frequency",
    "throttled": "frequency",
    "duplicate": "frequency",
    "quiet_hours": "quiet_hours",
    "do_not_disturb": "quiet_hours",
    "waiting_for_earlier_message": "order",
    BURST_WINDOW: "burst",
    BURST: "burst",
}


def steps_of(reason: str) -> list[tuple[str, str]]:
    """Returns the checks that led to a reason, in order: (step, `passed` or the reason itself).

    After a reason that no check gives, all checks passed.
    """
    last = _STEP_OF_REASON.get(reason.partition(":")[0])
    steps: list[tuple[str, str]] = []
    for step, _ in CHECKS:
        if step == last:
            return [*steps, (step, reason)]
        steps.append((step, "passed"))
    return steps
