"""Predicts the decision about each message of a broadcast, by the code that the delivery uses.

Nothing is written. One page of the audience is in memory at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from notifications.delivery.registry import provider_keys_for
from notifications.domain.errors import TemplateFault
from notifications.engine.content import content_of
from notifications.engine.prepare import facts_of, route, terms_of
from notifications.features.broadcasts.delivery.intents import build_intent, shared_context
from notifications.features.sending.refusal import draft_of
from notifications.features.sending.simulate import shown_text
from notifications.infra.crypto import seal_json
from notifications.intake.accept import SendTarget
from notifications.models import Broadcast
from notifications.models.delivery.hot_rows import PendingMessage
from notifications.policy.decide import Decision, Defer, Digest, Send, decide
from notifications.policy.facts import SliceFacts, load_facts
from notifications.rendering.versions import version_of

SAMPLES = 3


@dataclass(slots=True)
class ChannelTally:
    """The counts of one channel."""

    send_now: int = 0
    #: Messages that are not sent, by reason.
    exclusions: Counter[str] = field(default_factory=Counter)
    #: Messages that are sent later, by reason.
    delays: Counter[str] = field(default_factory=Counter)
    #: Calls by provider.
    calls: Counter[str] = field(default_factory=Counter)

    @property
    def messages(self) -> int:
        """How many messages are sent, now or later."""
        return self.send_now + self.delays.total()


@dataclass(frozen=True, slots=True)
class Sample:
    """What one person would receive on one channel."""

    user_id: int
    user_name: str
    channel: str
    decision: str
    reason: str
    title: str
    body: str


@dataclass(slots=True)
class _Page:
    """The decisions about the people of one page, by user id."""

    #: The first reason not to send.
    refused: dict[int, str] = field(default_factory=dict)
    #: The first reason to send later.
    delayed: dict[int, str] = field(default_factory=dict)
    #: People who receive a message now.
    sent: set[int] = field(default_factory=set)


class Survey:
    """Counts over all examined people.

    A person counts as sent to now if any channel sends now, else as delayed if any sends later,
    else as excluded, for the reason of the first channel.
    """

    def __init__(self, broadcast: Broadcast, *, at: datetime) -> None:
        self.examined = self.send_now = 0
        self.exclusions: Counter[str] = Counter()
        self.delays: Counter[str] = Counter()
        self.delayed_until: datetime | None = None
        self.channels = {channel: ChannelTally() for channel in broadcast.channels}
        self.samples: list[Sample] = []
        self._at = at
        self._in_order = broadcast.delivery == Broadcast.Delivery.FIRST
        self._version_id = broadcast.template_version_id
        self._text = seal_json(shared_context(broadcast))
        intent = build_intent(broadcast, tuple(broadcast.channels), {}, calls=1)
        self._drafts = {
            channel: draft_of(intent, SendTarget(0, (channel,)), channel)
            for channel in broadcast.channels
        }
        carriers = {channel: provider_keys_for(channel) for channel in broadcast.channels}
        self._only_carrier = {
            channel: keys[0] for channel, keys in carriers.items() if len(keys) == 1
        }
        if broadcast.is_test:
            self._only_carrier = {}
        self._quota = -(-SAMPLES // len(self.channels))

    def add_page(self, people: Sequence[int]) -> None:
        """Examines one page of people, given by user id."""
        page = _Page()
        for channel in self.channels:
            examined = people
            if self._in_order:  # the next channel is for those whom the previous did not accept
                examined = [p for p in people if p not in page.sent and p not in page.delayed]
            if examined:
                self._add_channel(channel, examined, page)
        for person in people:
            if person in page.sent:
                self.send_now += 1
            elif person in page.delayed:
                self.delays[page.delayed[person]] += 1
            else:
                self.exclusions[page.refused[person]] += 1
        self.examined += len(people)

    def _add_channel(self, channel: str, people: Sequence[int], page: _Page) -> None:
        draft = self._drafts[channel]
        drafts = [draft._replace(id=-1 - n, user_id=person) for n, person in enumerate(people)]
        facts = load_facts(drafts, channel, terms_of)
        tally = self.channels[channel]
        sampled = 0
        decisions = _Decisions(facts, at=self._at)
        for each in drafts:
            decision = decisions.decide(each)
            person = each.user_id or 0
            reason = decision.reason.partition(":unknown_zone:")[0]
            if isinstance(decision, Send):
                tally.send_now += 1
                page.sent.add(person)
            elif isinstance(decision, Defer | Digest):
                tally.delays[reason] += 1
                page.delayed.setdefault(person, reason)
                self._note_until(decision)
            else:
                tally.exclusions[reason] += 1
                page.refused.setdefault(person, reason)
                continue
            self._add_calls(tally.calls, each, facts)
            if sampled < self._quota and len(self.samples) < SAMPLES:
                sampled += 1
                self.samples.append(self._sample(each, decision, facts))

    def _add_calls(self, calls: Counter[str], draft: PendingMessage, facts: SliceFacts) -> None:
        """Counts the calls of one message: a push needs one for each device."""
        contact = facts.contacts.get(draft.id)
        if contact is not None and contact.targets:
            for target in contact.targets:
                calls[target.provider] += 1
        else:
            calls[self._only_carrier.get(draft.channel) or route(draft, contact)] += 1

    def _note_until(self, decision: Defer | Digest) -> None:
        until = decision.until if isinstance(decision, Defer) else decision.closes_at
        self.delayed_until = max(until, self.delayed_until or until)

    def _sample(self, draft: PendingMessage, decision: Decision, facts: SliceFacts) -> Sample:
        title, body = self._shown(draft, facts)
        row = facts.users.get(draft.user_id or 0)
        return Sample(
            user_id=draft.user_id or 0,
            user_name=(f"{row[4]} {row[5]}".strip() or row[2]) if row else "",
            channel=draft.channel,
            decision=type(decision).__name__.lower(),
            reason=decision.reason,
            title=title,
            body=body,
        )

    def _shown(self, draft: PendingMessage, facts: SliceFacts) -> tuple[str, str]:
        """Returns the title and the body for one person. For a template that fails, the error."""
        if self._version_id is None:
            text = content_of(draft._replace(text=self._text), None, facts, at=self._at)
            return text.title, text.body
        version = version_of(self._version_id)
        try:
            draft = draft._replace(context=self._text)
            shown = shown_text(draft, version, facts, self._at, draft.source)
        except TemplateFault as fault:
            return "", fault.detail
        return shown.title, shown.body


class _Decisions:
    """Decides the messages of one page.

    People with the same facts get the same decision, so that most decisions are looked up.
    """

    def __init__(self, facts: SliceFacts, *, at: datetime) -> None:
        self._facts, self._at = facts, at
        # Limits differ by person, and a stopped provider may concern only a share of the messages.
        self._alike = not facts.limits and not facts.stops.values("provider")
        self._known: dict[object, Decision] = {}
        self._with_own = {person for person, _ in facts.here.category_preferences}

    def decide(self, draft: PendingMessage) -> Decision:
        facts, person = self._facts, draft.user_id or 0
        if not self._alike or person in self._with_own:
            return decide(facts_of(draft, facts, None, at=self._at))
        contact = facts.contacts.get(draft.id)
        key = (
            contact and (contact.state, contact.suppressed),
            facts.here.preferences.get(person, ""),
            person in facts.inactive,
            facts.zones(person),
        )
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = decide(facts_of(draft, facts, None, at=self._at))
        return found
