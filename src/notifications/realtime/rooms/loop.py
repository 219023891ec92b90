"""What rooms and presence do each second.

Nothing is written while nothing changes, except the lease of the process each minute. While no
socket is in a room, nothing is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from concurrent.futures import Future, wait
from functools import partial

import structlog

from notifications.features.rooms.access import forbidden
from notifications.features.rooms.presence import RENEW_S
from notifications.realtime import metrics
from notifications.realtime.frames import error_frame
from notifications.realtime.hub import Hub
from notifications.realtime.rooms.presence import PresenceRows, RoomFindings, RoomPlan
from notifications.realtime.rooms.table import RoomTable
from notifications.realtime.threads import Threads

log = structlog.get_logger("carillon.realtime")
PERIOD_S = 1.0
RECONCILE_S = 30.0
"""Each room is read as a whole so often: a lost message about presence costs at most this."""
RECHECK_S = 10.0
"""So often it is checked who may still be in which room, by one statement for all."""
_NEVER = float("-inf")
MOST_CHANGED = 5_000
"""When more people change within a round, rooms are read as a whole."""


class RoomLoop:
    """The loop. It ends with the last connection."""

    def __init__(self, hub: Hub, table: RoomTable, threads: Threads) -> None:
        self._hub = hub
        self._table = table
        self._threads = threads
        self._rows = PresenceRows()
        self._task: asyncio.Task[None] | None = None
        self._ending: Future[object] | None = None
        #: People whose state here may have changed.
        self._dirty: set[int] = set()
        #: What the rows of this process say: user id -> whether active.
        self._written: dict[int, bool] = {}
        #: People whose state has changed at any process.
        self._changed: set[int] = set()
        self._processes: frozenset[int] = frozenset()
        self._renewed_at = 0.0
        self._reconciled_at = self._checked_at = _NEVER

    def note(self, user_id: int) -> None:
        """Notes that the state of a person here may have changed."""
        self._dirty.add(user_id)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def note_change(self, user_ids: Collection[int] | None) -> None:
        """Notes that the state of people has changed at some process; None: of many."""
        if user_ids is None:
            self._reconciled_at = _NEVER
        elif self._table.rooms:
            self._changed.update(user_ids)

    def end(self) -> None:
        """Removes the rows of this process at once, because it ends."""
        self._ending = self._threads.begin(self._rows.end)

    def await_end(self, seconds: float) -> None:
        """Waits until `end` has removed the rows, at most so many seconds."""
        if self._ending is not None:
            wait([self._ending], seconds)

    def shutdown(self) -> None:
        """Ends the loop and its threads, and removes the rows of this process."""
        if self._task is not None:
            self._task.cancel()
        self._threads.finish(self._rows.end)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        self._renewed_at = loop.time()
        while self._dirty or self._written:
            began = loop.time()
            try:
                await self._round(began)
            except Exception:
                log.exception("rooms.round_failed")
            await asyncio.sleep(max(0.0, PERIOD_S - (loop.time() - began)))

    async def _round(self, now: float) -> None:
        plan = self._plan(now)
        if plan.has_work:
            try:
                found = await self._threads.run(partial(self._rows.run, plan))
                self._keep_written(plan, found, now)
                self._keep_read(plan, found)
                self._keep_checked(plan, found, now)
            except Exception:
                self._dirty.update(plan.states)
                self._changed.update(plan.changed)
                self._reconciled_at = _NEVER
                raise
        self._table.catch_up()

    def _plan(self, now: float) -> RoomPlan:
        states = self._states()
        renews = bool(self._written) and now - self._renewed_at >= RENEW_S
        changed, self._changed = self._changed, set()
        rooms = self._table.rooms
        if rooms:
            changed |= states.keys()
        is_due = now - self._reconciled_at >= RECONCILE_S or len(changed) > MOST_CHANGED
        if is_due:  # before it is read: what asks for it meanwhile must be read once more
            self._reconciled_at = now
        whole = {room for room, joined in rooms.items() if is_due or joined.is_fresh}
        left = sum(state is None for state in states.values())
        came = sum(user_id not in self._written for user_id in states)
        seen = {user_id for user_id, state in states.items() if self._is_seen(user_id, state)}
        if renews:
            seen.update(user_id for user_id, is_active in self._written.items() if is_active)
        return RoomPlan(
            states=states,
            seen=seen,
            is_occupied=len(self._written) + came > left,
            renews=renews,
            whole=whole,
            partly=rooms.keys() - whole,
            changed=changed,
            pairs=self._table.pairs() if now - self._checked_at >= RECHECK_S else (),
            processes=self._processes,
        )

    def _states(self) -> dict[int, bool | None]:
        """Returns the people whose rows must change."""
        dirty, self._dirty = self._dirty, set()
        states = {user_id: self._state(user_id) for user_id in dirty}
        return {
            user_id: state
            for user_id, state in states.items()
            if state is not self._written.get(user_id)
        }

    def _state(self, user_id: int) -> bool | None:
        """Whether a person has a visible client here; None where they have no client."""
        person = self._hub.people.get(user_id)
        members = [each for each in person.members if each.transport != "poll"] if person else []
        return any(each.is_visible for each in members) if members else None

    def _is_seen(self, user_id: int, state: bool | None) -> bool:
        """Whether somebody is seen now: has come, or has or had a visible client."""
        return user_id not in self._written or bool(state) or self._written[user_id]

    def _keep_written(self, plan: RoomPlan, found: RoomFindings, now: float) -> None:
        if found.lost_lease:
            self._written.clear()
            self._dirty.update(self._hub.people)
        elif not found.is_written:
            self._dirty.update(plan.states)
        else:
            for user_id, state in plan.states.items():
                if state is None:
                    self._written.pop(user_id, None)
                else:
                    self._written[user_id] = state
            if plan.renews:
                self._renewed_at = now

    def _keep_read(self, plan: RoomPlan, found: RoomFindings) -> None:
        if found.whole is None or found.partly is None or found.processes is None:
            self._changed.update(plan.changed)
            if plan.whole:
                self._reconciled_at = _NEVER
            return
        self._processes = found.processes
        self._table.apply(found.whole, None, is_whole=True)
        self._table.apply(found.partly, plan.changed)

    def _keep_checked(self, plan: RoomPlan, found: RoomFindings, now: float) -> None:
        """Removes sockets from rooms that their people may not be in any more."""
        if found.good is None:
            return
        self._checked_at = now
        for user_id, room in set(plan.pairs) - found.good:
            joined = self._table.rooms.get(room)
            refusal = forbidden()
            for member in tuple(joined.members) if joined else ():
                if member.user_id == user_id:
                    self._table.remove(member, room)
                    metrics.JOINS_REFUSED.labels(refusal.code).inc()
                    member.put([error_frame(refusal.code, refusal.detail, room=room.name)])
