"""Loads the facts that the decisions of a slice need, in at most four queries.

Mails to mailing lists need one more.

`message_facts` builds the facts of one message for `decide`.
"""

from __future__ import annotations

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
from notifications.domain.experiments.labels import is_held_out
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
    load_listed,
    load_people,
    load_subscribed,
    unique,
)
from notifications.models.delivery.hot_rows import PendingMessage
from notifications.policy.decide import Burst, Contact, MessageFacts
from notifications.policy.devices import load_push_contacts
from notifications.policy.options import list_of_message, options_of
from notifications.policy.preference_state import PreferenceState
from notifications.policy.preference_text import CategoryTerms, read_preference_state
from vault.cells import Key, KeyErased, key_id_of
from vault.store import load_data_keys

DIGEST_SOURCE = "digest"
"""The source of digests. No caller can have this name."""

RETRACTION_SOURCE = "retraction"
"""The source of messages that take back a push. No caller can have this name."""

TEST_PERIOD = "test:"
"""Begins the period of a digest of test messages, so that they are never sent with real ones."""

_ZONE = USER_COLUMNS.index("timezone")
_ACTIVE = len(USER_COLUMNS)
_NAMES = slice(USER_COLUMNS.index("username"), USER_COLUMNS.index("last_name") + 1)
_NO_CIRCUMSTANCES = Circumstances([], {}, {}, {})
TermsOf = Callable[[int], CategoryTerms]


@dataclass(frozen=True, slots=True)
class Stops:
    """The kill switches in force."""

    everything: bool = False
    by_scope: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Stops:
        """Builds stops from (scope, value) pairs."""
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
        """Returns the switch that covers a message, as `scope:value`; empty without one."""
        if self.everything:
            return "all"
        if not self.by_scope:
            return ""
        candidates = (
            ("channel", channel),
            ("provider", provider),
            ("category", category),
            ("template", template),
            ("source", source),
            ("version", str(version)),
            ("version", f"{version}@{source}"),
        )
        return next((":".join(pair) for pair in candidates if pair in self.by_scope), "")

    def values(self, scope: str) -> list[str]:
        """Returns the stopped values of one scope."""
        return [value for kind, value in self.by_scope if kind == scope]


@dataclass(slots=True)
class SliceFacts:
    """The facts of one slice."""

    #: Rows in the order of USER_COLUMNS, by user id.
    users: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    #: The data keys of people and addresses, by the key's id.
    keys: dict[int, Key] = field(default_factory=dict)
    #: The data keys of people, by user id.
    people_keys: dict[int, Key] = field(default_factory=dict)
    inactive: set[int] = field(default_factory=set)
    #: By message id.
    contacts: dict[int, Contact] = field(default_factory=dict)
    #: Ids of messages with a newer message of the same collapse key.
    superseded: set[int] = field(default_factory=set)
    #: Ids of messages with an open earlier message of the same ordering key.
    earlier_open: set[int] = field(default_factory=set)
    #: By message id.
    limits: dict[int, tuple[Limit, ...]] = field(default_factory=dict)
    #: By message id.
    bursts: dict[int, Burst] = field(default_factory=dict)
    #: Ids of messages to a mailing list whose person is not on it now.
    off_list: set[int] = field(default_factory=set)
    #: What is read again for every slice.
    here: Circumstances = _NO_CIRCUMSTANCES
    stops: Stops = field(default_factory=Stops)
    _preferences: dict[tuple[str, str, str, str], PreferenceState] = field(default_factory=dict)
    _service_zone: str = field(default_factory=lambda: environment().timezone)

    def key_of(self, message: PendingMessage) -> Key | None:
        """Returns the data key of a message's person or address; None if it was erased."""
        if message.user_id is None:
            return self.keys.get(key_id_of(message.address) or 0)
        return self.people_keys.get(message.user_id)

    def names_of(self, message: PendingMessage) -> tuple[str, ...]:
        """Returns the username, email and names of a message's person; empty without one."""
        row = self.users.get(message.user_id or 0)
        return row[_NAMES] if row else ()

    def preferences_for(self, user_id: int, channel: str, terms: CategoryTerms) -> PreferenceState:
        """Returns the preference state of a person; the defaults for a person without a choice."""
        general = self.here.preferences.get(user_id, "")
        own = (
            self.here.category_preferences.get((user_id, terms.key), "")
            if self.here.category_preferences
            else ""
        )
        key = (general, own, channel, terms.key)
        found = self._preferences.get(key)
        if found is None:
            found = read_preference_state(
                general, own, channel, terms, environment().default_consent
            )
            self._preferences[key] = found
        return found

    def zones(self, user_id: int | None) -> tuple[str, ...]:
        """Returns the time zones of a person, after the one chosen in their preferences."""
        row = self.users.get(user_id or 0)
        return (row[_ZONE], self._service_zone) if row else (self._service_zone,)

    def spent_limit(self, message: PendingMessage, now_ms: int) -> str:
        """Returns the reason of the limit that a message would exceed; empty without one."""
        for limit in self.limits.get(message.id, ()):
            name = f"{limit.scope}|{limit.channel}|{limit.window_s}"
            entries = self.here.counts.get((message.user_id or 0, name))
            if entries and is_spent(
                unpack_entries(entries), limit, now_ms=now_ms, message_id=message.id
            ):
                return limit.reason
        return ""


def load_stops() -> Stops:
    """Reads the kill switches, so that a stop applies to the next slice.

    Broadcasts that are paused, or cancelled and not cleared yet, are stopped sources.
    """
    return Stops.of(hot_facts.load_stops())


def load_facts(messages: Sequence[PendingMessage], channel: str, terms_of: TermsOf) -> SliceFacts:
    """Loads the facts for messages of one channel."""
    facts = SliceFacts()
    user_ids = unique(message.user_id for message in messages)
    for message in messages:
        limits = limits_of(message, terms_of(message.category_id))
        if limits and message.user_id is not None:
            facts.limits[message.id] = limits
    facts.here = load_circumstances(user_ids, counts=bool(facts.limits))
    facts.stops = Stops.of(facts.here.stops)
    _load_people(facts, messages, user_ids)
    facts.inactive.update(user_id for user_id in user_ids if user_id not in facts.users)
    kind = CONTACT_KIND_OF_CHANNEL.get(Channel(channel))
    if kind == "push":
        facts.contacts = load_push_contacts(
            messages, facts.stops.values("provider"), facts.people_keys
        )
    elif kind:
        _load_contacts(facts, messages, channel, kind)
    _check_lists(facts, messages)
    keyed = [m.id for m in messages if m.collapse_key or m.ordering_key]
    if keyed:
        facts.superseded, facts.earlier_open = load_keys(keyed)
    return facts


def _load_people(
    facts: SliceFacts, messages: Sequence[PendingMessage], user_ids: Sequence[int]
) -> None:
    """Loads people, and the keys of people and addresses. A person without a key was erased."""
    people = load_people(user_ids)
    for user_id, row in people.rows.items():
        facts.users[user_id] = row[:_ACTIVE]
        if not row[_ACTIVE] or user_id not in people.keys:
            facts.inactive.add(user_id)
    facts.people_keys = people.keys
    facts.keys = {key.id: key for key in people.keys.values()}
    strangers = [m.address for m in messages if m.user_id is None and m.address]
    if strangers:
        facts.keys |= load_data_keys(map(key_id_of, strangers))


def _check_lists(facts: SliceFacts, messages: Sequence[PendingMessage]) -> None:
    """Finds the messages whose person left the list since they were accepted."""
    named = {
        message.id: (list_id, message.user_id)
        for message in messages
        if (list_id := list_of_message(message.options)) is not None
    }
    if named:
        lists, people = (unique(ids) for ids in zip(*named.values(), strict=True))
        subscribed = load_subscribed(lists, people)
        facts.off_list = {key for key, pair in named.items() if pair not in subscribed}


def limits_of(message: PendingMessage, terms: CategoryTerms) -> tuple[Limit, ...]:
    """Returns the limits of a message: the caps of its category, and those of its sender.

    A retraction shows nothing, so nothing limits it.
    """
    if message.source == RETRACTION_SOURCE:
        return ()
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


def message_facts(
    message: PendingMessage,
    facts: SliceFacts,
    terms: CategoryTerms,
    *,
    at: datetime,
    supports_channel: bool,
    stopped_by: str,
) -> MessageFacts:
    """Returns all facts that the decision on one message may depend on."""
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
        on_list=message.id not in facts.off_list,
        marketing=terms.marketing,
        personal=channel in PERSON_CHANNELS,
        bypass=bool(options.get("bypass_preferences")),
        is_digest=message.source == DIGEST_SOURCE,
        already_read=bool(message.is_read) and channel in options.get("fallback", ()),
        burst=facts.bursts.get(message.id),
        held_out=is_held_out(message.variant),
        spent_limit=facts.spent_limit(message, epoch_ms(at)) if facts.limits else "",
        barred_country=_barred(facts.contacts.get(message.id)) if channel == Channel.SMS else "",
        zones=facts.zones(user_id),
    )


def _barred(contact: Contact | None) -> str:
    """Returns the country of a number where it may receive no SMS; empty where it may."""
    allowed = environment().sms_countries
    if not allowed or contact is None:
        return ""
    country = country_of(contact.address)
    return "" if country in allowed else country


def _given_address(message: PendingMessage, channel: str, keys: Mapping[int, Key]) -> str:
    """Returns the address that a send named; empty where its key was erased."""
    try:
        return given_address(unseal_json(message.address, keys), channel)
    except KeyErased:
        return ""


def _load_contacts(
    facts: SliceFacts, messages: Sequence[PendingMessage], channel: str, kind: str
) -> None:
    given = {
        message.id: _given_address(message, channel, facts.keys)
        for message in messages
        if message.address
    }
    people = unique(m.user_id for m in messages if m.id not in given)
    points = load_contacts(people, kind, facts.people_keys)
    by_user = {p.user_id: Contact(p.address, p.state, p.listed) for p in points if p.address}
    normal = {normalise_address(kind, address) for address in given.values() if address}
    stopped = load_listed(kind, normal) if normal else set()
    for message in messages:
        address = given.get(message.id)
        if address:
            listed = normalise_address(kind, address) in stopped
            facts.contacts[message.id] = Contact(address, suppressed=listed)
        elif address is None and message.user_id in by_user:
            facts.contacts[message.id] = by_user[message.user_id]


def given_address(values: Mapping[str, object], channel: str) -> str:
    """Returns the address given for this channel, as it was spelled; empty without one."""
    names = [name for name, served in ADDRESS_CHANNELS.items() if served == channel]
    return next((str(values[name]).strip() for name in names if name in values), "")
