"""The journal: messages are named on their batches' rows before they leave."""

from __future__ import annotations

from collections.abc import Sequence

from directory.addresses import normalise_address
from notifications.domain.channels import CONTACT_KIND_OF_CHANNEL, Channel
from notifications.engine.admission import pay
from notifications.engine.values import Ready
from notifications.infra.database.clock_bridge import database_now
from notifications.models.delivery.frequency import FrequencyClaim, FrequencyCount
from notifications.models.delivery.hot import hot
from notifications.policy.facts import Stops
from notifications.queue.leases import Lease
from notifications.recording.outcomes import Outcome
from notifications.recording.record import Recording


class JournalTransaction:
    """Messages that are about to leave, and outcomes that wait: one transaction for both.

    Frequency limits are counted in it, once a message; what would break one is decided anew. It
    holds the batches' locks: who cancels comes before it, or is told `already_sending`. Status,
    kill switches and suppressions are read once more inside it.
    """

    def __init__(self, ready: Sequence[Ready], outcomes: Sequence[Outcome] = ()) -> None:
        self.recording = Recording(outcomes, list(dict.fromkeys(item.lease for item in ready)))
        #: Those of the messages that may leave, once the transaction is committed.
        self.going: list[Ready] = []
        self._ready = ready

    def run(self, *, owner: str) -> None:
        """Records the outcomes and names what leaves on its batches' journals."""
        with self.recording.transaction(owner=owner):
            living = self.recording.living
            self.going = _still_allowed([i for i in self._ready if i.lease.batch_id in living])
            _count_limits(self.going)
            pay(self.going)
            keys: dict[Lease, set[int]] = {}
            for item in self.going:
                keys.setdefault(item.lease, set()).add(item.message.id)
            self.recording.journal(keys)


def journal(ready: Sequence[Ready], *, owner: str, outcomes: Sequence[Outcome] = ()) -> list[Ready]:
    """Journals messages that are about to leave; returns those that may."""
    departure = JournalTransaction(ready, outcomes)
    departure.run(owner=owner)
    return departure.going


def _still_allowed(ready: Sequence[Ready]) -> list[Ready]:
    """The messages that nothing stops at this moment: status, batch, kill switches and suppressions
    are read afresh. One that was moved to another batch is that one's to send."""
    if not ready:
        return []
    kind = CONTACT_KIND_OF_CHANNEL.get(Channel(ready[0].message.channel), "")
    addresses = {item.outbound.recipient for item in ready}
    normal = {address: normalise_address(kind, address) for address in addresses}
    now = hot().recheck([item.message.id for item in ready], kind, list(normal.values()))
    stops = Stops.of(now.stops)
    return [
        item
        for item in ready
        if now.pending.get(item.message.id) == item.lease.batch_id
        and normal[item.outbound.recipient] not in now.suppressed
        and not any(_stopped(stops, item, provider) for provider in _carriers(item))
    ]


def _carriers(item: Ready) -> set[str]:
    """The providers that a message is about to go to."""
    return {target.provider for target in item.outbound.targets} or {item.provider}


def _stopped(stops: Stops, item: Ready, provider: str) -> str:
    return stops.covering(
        channel=item.message.channel,
        provider=provider,
        category=item.category.key,
        template=item.template,
        source=item.message.source,
        version=item.message.template_version_id,
    )


def _count_limits(going: list[Ready]) -> None:
    """Counts those that stand under limits, and takes those out that would be one too many."""
    claims = [
        FrequencyClaim(item.message.id, item.message.user_id, item.limits)
        for item in going
        if item.limits and item.message.user_id is not None
    ]
    if claims:
        over = FrequencyCount.objects.claim(claims, at=database_now())
        going[:] = [item for item in going if item.message.id not in over]
