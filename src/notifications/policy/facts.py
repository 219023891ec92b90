"""Loads every fact that a slice's decisions need, in at most four queries, and lays out one
message's facts for `decide`."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from directory.models import normalise_address
from notifications.domain.channels import (
    ADDRESS_CHANNELS,
    CONTACT_KIND_OF_CHANNEL,
    PERSON_CHANNELS,
    Channel,
)
from notifications.domain.limits import Limit, caps_of, is_spent, limits_of_options, unpack_entries
from notifications.infra.clock import epoch_ms
from notifications.infra.conf import environment
from notifications.infra.crypto import unseal_json
from notifications.infra.phone_numbers import country_of
from notifications.models.delivery import hot_facts
from notifications.models.delivery.hot_facts import (
    USER_COLUMNS,
    Circumstances,
    load_circumstances,
    load_contacts,
    load_keys,
    load_users,
    unique,
)
from notifications.models.delivery.hot_rows import PendingMessage
from notifications.policy.decide import Contact, MessageFacts
from notifications.policy.devices import load_push_contacts
from notifications.policy.preference_state import PreferenceState
from notifications.policy.preference_text import CategoryTerms, read_preference_state

DIGEST_SOURCE = "digest"
"""The source of digests themselves: no caller can have this name."""

TEST_PERIOD = "test:"
"""What the period of a digest of test messages begins with: they never leave with real ones."""

_ZONE = USER_COLUMNS.index("timezone")
_ACTIVE = len(USER_COLUMNS)
_NOBODY = Circumstances([], {}, {}, {})
TermsOf = Callable[[int], CategoryTerms]


@dataclass(frozen=True, slots=True)
class Stops:
    """The kill switches in force."""

    everything: bool = False
    by_scope: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Stops:
        """From (scope, value) pairs."""
        rows = frozenset(pairs)
        return cls(any(scope == "all" for scope, _ in rows), rows)

    def covering(
        self,
        *,
        channel: str,
        provider: str,
        category: str,
        template: str,
        source: str,
        version: int | None = None,
    ) -> str:
        """The switch that covers a message, as `scope:value`; empty when none does."""
        if self.everything:
            return "all"
        if not self.by_scope:
            return ""
        tried = (
            ("channel", channel),
            ("provider", provider),
            ("category", category),
            ("template", template),
            ("source", source),
            ("version", str(version)),
            ("version", f"{version}@{source}"),
        )
        return next((":".join(pair) for pair in tried if pair in self.by_scope), "")

    def values(self, scope: str) -> list[str]:
        """The stopped values of one scope."""
        return [value for kind, value in self.by_scope if kind == scope]


@dataclass(slots=True)
class SliceFacts:
    """Facts of one slice. users holds rows in the order of USER_COLUMNS.

    contacts, superseded, earlier_open and limits are by message id. here is what was read afresh.
    """

    users: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    inactive: set[int] = field(default_factory=set)
    contacts: dict[int, Contact] = field(default_factory=dict)
    superseded: set[int] = field(default_factory=set)
    earlier_open: set[int] = field(default_factory=set)
    limits: dict[int, tuple[Limit, ...]] = field(default_factory=dict)
    here: Circumstances = _NOBODY
    stops: Stops = field(default_factory=Stops)
    _preferences: dict[tuple[str, str, str, str], PreferenceState] = field(default_factory=dict)
    _service_zone: str = field(default_factory=lambda: environment().timezone)

    def preferences_for(self, user_id: int, channel: str, terms: CategoryTerms) -> PreferenceState:
        """A person's stance; that of the defaults for whoever has said nothing."""
        wishes = self.here.preferences.get(user_id, "")
        own = (
            self.here.category_preferences.get((user_id, terms.key), "")
            if self.here.category_preferences
            else ""
        )
        key = (wishes, own, channel, terms.key)
        found = self._preferences.get(key)
        if found is None:
            found = read_preference_state(
                wishes, own, channel, terms, environment().default_consent
            )
            self._preferences[key] = found
        return found

    def zones(self, user_id: int | None) -> tuple[str, ...]:
        """The zones of a person's wall clock after the one that they chose for preferences."""
        row = self.users.get(user_id or 0)
        return (row[_ZONE], self._service_zone) if row else (self._service_zone,)

    def spent_limit(self, message: PendingMessage, now_ms: int) -> str:
        """The reason of the limit that a message would break; empty when there is none."""
        for limit in self.limits.get(message.id, ()):
            name = f"{limit.scope}|{limit.channel}|{limit.window_s}"
            entries = self.here.counts.get((message.user_id or 0, name))
            if entries and is_spent(
                unpack_entries(entries), limit, now_ms=now_ms, message_id=message.id
            ):
                return limit.reason
        return ""


def load_stops() -> Stops:
    """The kill switches, read afresh: a stop is honoured by the very next slice. Broadcasts that
    are paused, or cancelled and not cleared yet, are stopped sources."""
    return Stops.of(hot_facts.load_stops())


def load_facts(messages: Sequence[PendingMessage], channel: str, terms_of: TermsOf) -> SliceFacts:
    """The facts for messages of one channel."""
    facts = SliceFacts()
    user_ids = unique(message.user_id for message in messages)
    for message in messages:
        limits = limits_of(message, terms_of(message.category_id))
        if limits and message.user_id is not None:
            facts.limits[message.id] = limits
    facts.here = load_circumstances(user_ids, counts=bool(facts.limits))
    facts.stops = Stops.of(facts.here.stops)
    for row in load_users(user_ids) if user_ids else ():
        facts.users[row[0]] = row[:_ACTIVE]
        if not row[_ACTIVE]:
            facts.inactive.add(row[0])
    facts.inactive.update(user_id for user_id in user_ids if user_id not in facts.users)
    kind = CONTACT_KIND_OF_CHANNEL.get(Channel(channel))
    if kind == "push":
        facts.contacts = load_push_contacts(messages, facts.stops.values("provider"))
    elif kind:
        _load_contacts(facts, messages, channel, kind)
    keyed = [m.id for m in messages if m.collapse_key or m.ordering_key]
    if keyed:
        facts.superseded, facts.earlier_open = load_keys(keyed)
    return facts


def limits_of(message: PendingMessage, terms: CategoryTerms) -> tuple[Limit, ...]:
    """The limits that a message stands under: its category's caps, and those of its sender."""
    caps = (
        tuple(cap for cap in caps_of(terms.key, terms.caps) if cap.channel in ("", message.channel))
        if terms.caps
        else ()
    )
    if not message.options:
        return caps
    return caps + limits_of_options(
        options_of(message.options), channel=message.channel, collapse_key=message.collapse_key
    )


@functools.lru_cache(maxsize=1024)
def options_of(text: str) -> Mapping[str, Any]:
    """A message's options; not to be changed."""
    options: dict[str, Any] = json.loads(text)
    return options


def message_facts(
    message: PendingMessage,
    facts: SliceFacts,
    terms: CategoryTerms,
    *,
    at: datetime,
    supports_channel: bool,
    stopped_by: str,
) -> MessageFacts:
    """All that the decision on one message may depend on."""
    user_id, channel = message.user_id, message.channel
    options = options_of(message.options) if message.options else {}
    return MessageFacts(
        now=at,
        needs_contact=channel in CONTACT_KIND_OF_CHANNEL,
        contact=facts.contacts.get(message.id),
        user_id=user_id,
        user_active=user_id not in facts.inactive,
        supports_channel=supports_channel,
        expires_at=message.expires_at,
        stopped_by=stopped_by,
        superseded=message.id in facts.superseded,
        earlier_open=message.id in facts.earlier_open,
        channel=channel,
        priority=message.priority,
        preferences=None if user_id is None else facts.preferences_for(user_id, channel, terms),
        consent_needed=terms.consent_needed,
        marketing=terms.marketing,
        personal=channel in PERSON_CHANNELS,
        bypass=bool(options.get("bypass_preferences")),
        is_digest=message.source == DIGEST_SOURCE,
        already_read=message.is_read and channel in options.get("fallback", ()),
        spent_limit=facts.spent_limit(message, epoch_ms(at)) if facts.limits else "",
        barred_country=_barred(facts.contacts.get(message.id)) if channel == Channel.SMS else "",
        zones=facts.zones(user_id),
    )


def _barred(contact: Contact | None) -> str:
    """The country of a number, where no SMS may go to it."""
    allowed = environment().sms_countries
    if not allowed or contact is None:
        return ""
    country = country_of(contact.address)
    return "" if country in allowed else country


def _load_contacts(
    facts: SliceFacts, messages: Sequence[PendingMessage], channel: str, kind: str
) -> None:
    strangers = {
        message.id: stranger_address(unseal_json(message.address), channel)
        for message in messages
        if message.address
    }
    points = load_contacts(
        unique(m.user_id for m in messages if m.id not in strangers),
        kind,
        [normalise_address(kind, address) for address in strangers.values() if address],
    )
    by_user = {p.user_id: Contact(p.address, p.state, p.listed) for p in points if p.user_id}
    stopped = {point.address for point in points if point.user_id is None}
    for message in messages:
        address = strangers.get(message.id)
        if address:
            listed = normalise_address(kind, address) in stopped
            facts.contacts[message.id] = Contact(address, suppressed=listed)
        elif address is None and message.user_id in by_user:
            facts.contacts[message.id] = by_user[message.user_id]


def stranger_address(given: Mapping[str, object], channel: str) -> str:
    """The address that is given for this channel, as it was spelled; empty when there is none."""
    names = [name for name, served in ADDRESS_CHANNELS.items() if served == channel]
    return next((str(given[name]).strip() for name in names if name in given), "")
