"""The path of a message. Read it top to bottom; each step has a module of its own.

    load, decide, render    prepare.py; content.py says what a message says
    admit                   admission.py: limits and breakers of its service
    journal                 journal.py: named on its batch's row, or it may not leave
    send                    dispatcher.py: into a provider's hands
    settle                  settlement.py: what the answer means
    record                  recorder.py, recording/record.py: written once, under the fence

`prepared` and `leave` are the path of what providers carry; `rows` is that of channels that are
rows of our own. runs.py takes the messages of leased batches along it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from notifications.delivery.registry import is_row_provider
from notifications.delivery.vendors.simulator.addresses import simulated
from notifications.domain.channels import Lane
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


def prepare_for_providers(
    lease_of: dict[int, Lease], owner: str
) -> tuple[list[Ready], list[Outcome]]:
    """Load, decide, render: what may leave, and the outcomes of what goes no further. Runs on the
    database thread."""
    if not lease_of:
        return [], []
    work = prepare(next(iter(lease_of.values())).channel, lease_of)
    record_poisoned(work, owner=owner)
    rows = [item for item in work.ready if is_row_provider(item.provider)]
    leaving = [item for item in work.ready if not is_row_provider(item.provider)]
    at = database_now()
    return leaving, work.outcomes + [row_outcome(item, at=at) for item in rows]


class NotDispatched(NamedTuple):
    """Messages that did not leave: held by their services for wait_s seconds, to be decided anew,
    and those whose rows another transaction has locked."""

    held: list[Ready]
    wait_s: float
    again: list[Ready]
    locked: list[Ready]


async def dispatch(
    dispatcher: Dispatcher, permits: DispatchPermits, ready: Sequence[Ready], lane: Lane
) -> NotDispatched:
    """Admit, journal, send. Answers are settled and recorded as they come in."""
    going, wait_s = await admit(dispatcher, ready, lane)
    admitted = {item.message.id for item in going}
    held = [item for item in ready if item.message.id not in admitted]
    again, locked = await permits.dispatch(going) if going else ([], [])
    return NotDispatched(held, wait_s, again, locked)


async def admit(
    dispatcher: Dispatcher, taken: Sequence[Ready], lane: Lane
) -> tuple[list[Ready], float]:
    """Those of messages that may leave now, and how long (s) the others should wait. What raises
    because of one message is narrowed down to it."""
    try:
        return await dispatcher.admission.admit(taken, lane)
    except Exception as error:
        if is_unavailable(error):
            raise
        if len(taken) == 1:
            await dispatcher.poison(taken[0].lease, taken[0].message.id, error)
            return [], 0.0
    middle = len(taken) // 2
    first = await admit(dispatcher, taken[:middle], lane)
    second = await admit(dispatcher, taken[middle:], lane)
    return first[0] + second[0], max(first[1], second[1])


def deliver_row_slice(lease_of: dict[int, Lease], *, owner: str) -> None:
    """The path on a channel that is a row: all of it at once, for the delivery is the record."""
    channel = next(iter(lease_of.values())).channel
    work = prepare(channel, lease_of)
    record_poisoned(work, owner=owner)
    at = database_now()
    outcomes = work.outcomes + [row_outcome(item, at=at) for item in work.ready]
    if outcomes:
        _record_rows(outcomes, owner=owner)


def record_poisoned(work: Slice, *, owner: str) -> None:
    """Makes dead letters of the messages of a slice that our own code cannot work on."""
    for key, lease, error in work.poisoned:
        record_poison(lease, key, error, owner=owner)


def _record_rows(outcomes: Sequence[Outcome], *, owner: str) -> None:
    """Records; what is refused because of one message is narrowed down to it."""
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
    """The outcome on a row channel: it is delivered by being recorded."""
    told = simulated(item.outbound) if item.provider == "sandbox" else None
    if told is not None:
        return settle_safely(item, told, at=at)
    verdict = Verdict.SENT if item.provider == "sandbox" else Verdict.DELIVERED
    name = f"sandbox-{item.outbound.reference}" if item.provider == "sandbox" else ""
    return settle_safely(item, SendResult(verdict, provider_message_id=name), at=at)
