"""The path of a message. Read it top to bottom; each step has a module of its own.

    load, decide, render    prepare.py; content.py builds what a message says
    admit                   admission.py checks rate limits, breakers and spend
    journal                 journal.py names the message on the row of its batch
    send                    dispatcher.py calls the provider
    settle                  settlement.py derives the next state from the result
    record                  recorder.py and recording/record.py write it once, under the fence

Messages for providers take `prepare_for_providers` and `dispatch`. Messages on row channels take
`deliver_row_slice`. runs.py calls these functions with the messages of leased batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from notifications.delivery.registry import is_row_provider
from notifications.delivery.vendors.simulator.addresses import simulated
from notifications.domain.channels import Channel, Lane
from notifications.domain.messages import SendResult, Verdict
from notifications.engine.dispatcher import Dispatcher, DispatchPermits
from notifications.engine.prepare import prepare
from notifications.engine.settlement import settle_safely
from notifications.engine.values import Ready, Slice
from notifications.infra.database.clock_bridge import database_now
from notifications.infra.database.errors import is_locked, is_unavailable
from notifications.queue.leases import Lease
from notifications.recording.outcomes import Outcome
from notifications.recording.poison import record_poison
from notifications.recording.record import record

_BY_CHANNEL = {
    Channel.IN_APP: SendResult(Verdict.DELIVERED),
    # A client acknowledges it when it has received it.
    Channel.WEBSOCKET: SendResult(Verdict.SENT),
}


def prepare_for_providers(
    lease_of: dict[int, Lease], owner: str
) -> tuple[list[Ready], list[Outcome]]:
    """Loads, decides and renders messages of one channel, on the database thread.

    Returns:
        the messages that may be sent, and the outcomes of the others.
    """
    if not lease_of:
        return [], []
    work = prepare(next(iter(lease_of.values())).channel, lease_of)
    record_poisoned(work, owner=owner)
    row_items = [item for item in work.ready if is_row_provider(item.provider)]
    network = [item for item in work.ready if not is_row_provider(item.provider)]
    at = database_now()
    return network, work.outcomes + [row_outcome(item, at=at) for item in row_items]


class NotDispatched(NamedTuple):
    """The messages of a dispatch that were not sent."""

    #: Not admitted: they wait for their services.
    held: list[Ready]
    #: Seconds until held messages are worth another attempt.
    wait_s: float
    #: To be decided again.
    again: list[Ready]
    #: Another transaction has locked their batches.
    locked: list[Ready]


async def dispatch(
    dispatcher: Dispatcher, permits: DispatchPermits, ready: Sequence[Ready], lane: Lane
) -> NotDispatched:
    """Admits, journals and sends messages. Results are settled and recorded as they arrive."""
    going, wait_s = await admit(dispatcher, ready, lane)
    admitted = {item.message.id for item in going}
    held = [item for item in ready if item.message.id not in admitted]
    again, locked = await permits.dispatch(going) if going else ([], [])
    return NotDispatched(held, wait_s, again, locked)


async def admit(
    dispatcher: Dispatcher, items: Sequence[Ready], lane: Lane
) -> tuple[list[Ready], float]:
    """Returns the messages that may be sent now, and how long (s) the others should wait.

    A message that makes admission fail becomes a dead letter; the others continue.
    """
    try:
        return await dispatcher.admission.admit(items, lane)
    except Exception as error:
        if is_unavailable(error):
            raise
        if len(items) == 1:
            await dispatcher.poison(items[0].lease, items[0].message.id, error)
            return [], 0.0
    middle = len(items) // 2
    first = await admit(dispatcher, items[:middle], lane)
    second = await admit(dispatcher, items[middle:], lane)
    return first[0] + second[0], max(first[1], second[1])


def deliver_row_slice(lease_of: dict[int, Lease], *, owner: str) -> None:
    """Delivers messages on a row channel. The record is the delivery, so all steps run at once."""
    channel = next(iter(lease_of.values())).channel
    work = prepare(channel, lease_of)
    record_poisoned(work, owner=owner)
    at = database_now()
    outcomes = work.outcomes + [row_outcome(item, at=at) for item in work.ready]
    if outcomes:
        _record_rows(outcomes, owner=owner)


def record_poisoned(work: Slice, *, owner: str) -> None:
    """Makes dead letters of the messages of a slice that our own code cannot process."""
    for key, lease, error in work.poisoned:
        record_poison(lease, key, error, owner=owner)


def _record_rows(outcomes: Sequence[Outcome], *, owner: str) -> None:
    """Records outcomes. After an error it records halves, down to the outcome that causes it."""
    try:
        record(outcomes, owner=owner)
    except Exception as error:
        if is_unavailable(error) and not (is_locked(error) and len(outcomes) > 1):
            raise
        if len(outcomes) == 1:
            record_poison(outcomes[0].lease, outcomes[0].message.id, error, owner=owner)
            return
    else:
        return
    middle = len(outcomes) // 2
    faults = []
    for part in (outcomes[:middle], outcomes[middle:]):
        try:
            _record_rows(part, owner=owner)
        except Exception as error:
            faults.append(error)
    if faults:
        raise faults[0]


def row_outcome(item: Ready, *, at: datetime) -> Outcome:
    """Returns the outcome on a row channel: recording it delivers the message."""
    if item.provider != "sandbox":
        return settle_safely(item, _BY_CHANNEL[Channel(item.message.channel)], at=at)
    name = f"sandbox-{item.outbound.reference}"
    result = simulated(item.outbound) or SendResult(Verdict.SENT, provider_message_id=name)
    return settle_safely(item, result, at=at)
