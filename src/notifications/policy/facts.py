"""Loads every fact that a slice's decisions need, in at most four queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Exists, OuterRef, Q

from directory.models import ContactPoint, Device, Suppression, User, normalise_address
from notifications.domain.channels import ADDRESS_CHANNELS, CONTACT_KIND_OF_CHANNEL, Channel
from notifications.domain.lifecycle import UNSETTLED
from notifications.infra.crypto import unseal_json
from notifications.models import KillSwitch, Notification, NotificationMessage
from notifications.models.hot_rows import PendingMessage
from notifications.policy.decide import Contact

USER_COLUMNS = (
    "id",
    "uuid",
    "username",
    "email",
    "first_name",
    "last_name",
    "locale",
    "timezone",
    "avatar_url",
    "subscription_tier",
    "date_joined",
    "last_login",
    "role",
)


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
        self, *, channel: str, provider: str, category: str, template: str, source: str
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
        )
        return next((":".join(pair) for pair in tried if pair in self.by_scope), "")

    def values(self, scope: str) -> list[str]:
        """The stopped values of one scope."""
        return [value for kind, value in self.by_scope if kind == scope]


@dataclass(slots=True)
class SliceFacts:
    """Facts of one slice. users holds rows in the order of USER_COLUMNS."""

    users: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    inactive: set[int] = field(default_factory=set)
    contacts: dict[int, Contact] = field(default_factory=dict)  # by message id
    superseded: set[int] = field(default_factory=set)
    elder_open: set[int] = field(default_factory=set)
    stops: Stops = field(default_factory=Stops)


def load_stops() -> Stops:
    """The kill switches, read afresh: a stop is honoured by the very next slice."""
    return Stops.of(KillSwitch.objects.values_list("scope", "value"))


def load_facts(messages: Sequence[PendingMessage], channel: str) -> SliceFacts:
    """The facts for messages of one channel."""
    facts = SliceFacts(stops=load_stops())
    user_ids = {message.user_id for message in messages if message.user_id is not None}
    if user_ids:
        _load_users(facts, user_ids)
    kind = CONTACT_KIND_OF_CHANNEL.get(Channel(channel))
    if kind:
        _load_contacts(facts, messages, channel, kind)
    _load_keys(facts, messages)
    return facts


def _load_users(facts: SliceFacts, user_ids: Iterable[int]) -> None:
    rows = User.objects.filter(pk__in=list(user_ids)).values_list(*USER_COLUMNS, "is_active")
    for row in rows:
        facts.users[row[0]] = row[:-1]
        if not row[-1]:
            facts.inactive.add(row[0])


def _load_contacts(
    facts: SliceFacts, messages: Sequence[PendingMessage], channel: str, kind: str
) -> None:
    by_user = _contacts_of_users({m.user_id for m in messages if m.user_id}, kind)
    strangers: dict[int, str] = {}
    for message in messages:
        if message.address:
            strangers[message.id] = stranger_address(unseal_json(message.address), channel)
        elif message.user_id in by_user:
            facts.contacts[message.id] = by_user[message.user_id]
    if strangers:
        stopped = suppressed_addresses(kind, strangers.values())
        for key, address in strangers.items():
            if address:
                facts.contacts[key] = Contact(address, suppressed=address in stopped)


def stranger_contact(given: Mapping[str, str], channel: str) -> Contact | None:
    """The contact of a send to no user, on this channel."""
    address = stranger_address(given, channel)
    if not address:
        return None
    kind = CONTACT_KIND_OF_CHANNEL[Channel(channel)]
    return Contact(address, suppressed=bool(suppressed_addresses(kind, [address])))


def stranger_address(given: Mapping[str, object], channel: str) -> str:
    """The address that is given for this channel, in its one spelling; empty when there is none."""
    names = [name for name, served in ADDRESS_CHANNELS.items() if served == channel]
    kind = CONTACT_KIND_OF_CHANNEL[Channel(channel)]
    return next((normalise_address(kind, str(given[name])) for name in names if name in given), "")


def suppressed_addresses(kind: str, addresses: Iterable[str]) -> set[str]:
    """Which of these addresses are on the suppression list."""
    found = Suppression.objects.filter(kind=kind, address__in=list(addresses))
    return set(found.values_list("address", flat=True))


def _contacts_of_users(user_ids: set[int], kind: str) -> dict[int, Contact]:
    if not user_ids:
        return {}
    if kind == "push":
        devices = Device.objects.live().filter(user_id__in=user_ids).order_by("last_seen", "id")
        return {user: Contact(token) for user, token in devices.values_list("user_id", "token")}
    listed = Suppression.objects.filter(kind=kind, address=OuterRef("address"))
    points = ContactPoint.objects.filter(user_id__in=user_ids, kind=kind)
    rows = points.values_list("user_id", "address", "state", Exists(listed))
    return {user: Contact(address, state, stop) for user, address, state, stop in rows}


def _load_keys(facts: SliceFacts, messages: Sequence[PendingMessage]) -> None:
    for message in messages:
        if message.collapse_key and _newer_exists(message):
            facts.superseded.add(message.id)
        if message.ordering_key and _elder_open(message):
            facts.elder_open.add(message.id)


def _same_person(message: PendingMessage) -> Q:
    return Q(user_id=message.user_id) if message.user_id else Q(pk__isnull=True)


def _after(message: PendingMessage) -> Q:
    own = Notification.objects.filter(pk=message.notification_id)
    made = own.values_list("created_at", flat=True).get()
    return Q(created_at__gt=made) | Q(created_at=made, id__gt=message.notification_id)


def _newer_exists(message: PendingMessage) -> bool:
    same = Notification.objects.filter(_same_person(message), collapse_key=message.collapse_key)
    newer = same.filter(_after(message), messages__channel=message.channel)
    return newer.exclude(messages__status="cancelled").exists()


def _elder_open(message: PendingMessage) -> bool:
    same = Notification.objects.filter(_same_person(message), ordering_key=message.ordering_key)
    elders = same.exclude(_after(message)).exclude(pk=message.notification_id)
    return NotificationMessage.objects.filter(
        notification__in=elders, channel=message.channel, status__in=list(UNSETTLED)
    ).exists()
