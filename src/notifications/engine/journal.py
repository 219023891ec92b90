"""The journal: a message is named on the row of its batch before it is sent."""

from __future__ import annotations

from collections.abc import Sequence

from directory.addresses import normalise_address
from directory.models import Suppression
from directory.models.contact import ContactKind
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
    """One transaction that journals messages and records waiting outcomes.

    It counts frequency limits, once for each message. A message over its limit is decided again.
    It locks the batches: a cancellation comes before it, or fails with `already_sending`. It reads
    status, kill switches and suppressions once more.
    """

    def __init__(self, ready: Sequence[Ready], outcomes: Sequence[Outcome] = ()) -> None:
        self.recording = Recording(outcomes, list(dict.fromkeys(item.lease for item in ready)))
        #: The messages that may be sent once the transaction is committed.
        self.going: list[Ready] = []
        self._ready = ready

    def run(self, *, owner: str) -> None:
        """Records the outcomes and writes the journals of the batches."""
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
    """Journals messages and returns those that may be sent."""
    transaction = JournalTransaction(ready, outcomes)
    transaction.run(owner=owner)
    return transaction.going


def _still_allowed(ready: Sequence[Ready]) -> list[Ready]:
    """Returns the messages that may still be sent, by a fresh read of status, batch, kill switches
    and suppressions. A message that was moved to another batch is sent with that batch."""
    if not ready:
        return []
    kind = CONTACT_KIND_OF_CHANNEL.get(Channel(ready[0].message.channel), "")
    addresses = {item.outbound.recipient for item in ready}
    normal = {address: normalise_address(kind, address) for address in addresses}
    forms = Suppression.address_forms(set(normal.values())) if kind in ContactKind.values else {}
    now = hot().recheck([item.message.id for item in ready], kind, list(forms))
    suppressed = {forms[form] for form in now.suppressed}
    stops = Stops.of(now.stops)
    return [
        item
        for item in ready
        if now.pending.get(item.message.id) == item.lease.batch_id
        and normal[item.outbound.recipient] not in suppressed
        and not any(_covering_stop(stops, item, provider) for provider in _carriers(item))
    ]


def _carriers(item: Ready) -> set[str]:
    """Returns the providers that will carry a message."""
    return {target.provider for target in item.outbound.targets} or {item.provider}


def _covering_stop(stops: Stops, item: Ready, provider: str) -> str:
    return stops.covering(
        channel=item.message.channel,
        provider=provider,
        category=item.category.key,
        template=item.template,
        source=item.message.source,
        version=item.message.template_version_id,
    )


def _count_limits(going: list[Ready]) -> None:
    """Counts messages against their limits and removes those over a limit."""
    claims = [
        FrequencyClaim(item.message.id, item.message.user_id, item.limits)
        for item in going
        if item.limits and item.message.user_id is not None
    ]
    if claims:
        over = FrequencyCount.objects.claim(claims, at=database_now())
        going[:] = [item for item in going if item.message.id not in over]
