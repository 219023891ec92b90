"""The hub of a web process: who is connected, and what each connection gets.

A wake-up names people. The hub reads what those who are connected have missed, with one statement
for all of them, encodes each frame once, and gives it to each connection. The database is the log:
each second the hub also looks for events that no wake-up announced.

A connection enters the table first and is read for afterwards, so that it misses nothing between.
Its position tells which frames it has, so that it gets none twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import structlog

from notifications.features.inbox.reading import InboxCursor, InboxState
from notifications.infra import clock
from notifications.infra.database.errors import is_unavailable
from notifications.infra.process.inbox_listener import InboxListener
from notifications.infra.process.inbox_wakeups import (
    EVERYBODY,
    PEOPLE,
    decode_people,
    frame_in,
)
from notifications.realtime import metrics
from notifications.realtime.frames import Frame, FrameGroup, read_groups, resync_frame
from notifications.realtime.gathered import BURST
from notifications.realtime.members import Member, Watcher
from notifications.realtime.threads import Threads

log = structlog.get_logger("carillon.realtime")
LIVE_AT_ONCE = 500
"""People who are read with one statement."""
JOINS_AT_ONCE = 25
"""Connections that are read together: more would occupy the event loop for longer at a time."""
RETRY_S = 0.5
BROKEN = 1011
"""The close code where a person's inbox cannot be read."""


class Person:
    """Someone with connections."""

    __slots__ = ("is_behind", "members", "position")

    def __init__(self) -> None:
        self.members: list[Member] = []
        #: Where the live frames go on; None until the first connection was read for.
        self.position: InboxCursor | None = None
        #: Whether something happened while the position was unknown.
        self.is_behind = False


class _Join:
    """A connection that waits for its first group."""

    __slots__ = ("is_drop", "member", "place")

    def __init__(self, member: Member, place: InboxCursor | None, *, is_drop: bool) -> None:
        self.member = member
        self.place = place
        self.is_drop = is_drop


class Hub:
    """The table of a process. All state belongs to the event loop of the first connection."""

    def __init__(
        self, listener: Callable[[Callable[[str], None]], InboxListener] = InboxListener
    ) -> None:
        self.people: dict[int, Person] = {}
        self.count = 0
        self.watcher: Watcher | None = None
        self._behind: dict[int, None] = {}
        self._joins: deque[_Join] = deque()
        self._make_listener = listener
        self._listener: InboxListener | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._live = Threads("live", 1, waiting=1)
        self._joining = Threads("joins", 1, waiting=1)
        self._running: set[asyncio.Task[None]] = set()
        self._reads_live = False
        self._reads_joins = False
        self._epoch = ""

    def enter(self, member: Member, place: InboxCursor | None) -> None:
        """Adds a connection, which gets what it missed since `place`, or a snapshot, then live."""
        self._begin()
        person = self.people.get(member.user_id)
        if person is None:
            person = self.people[member.user_id] = Person()
            metrics.PEOPLE.inc()
        person.members.append(member)
        self.count += 1
        metrics.CONNECTIONS.labels(member.transport).inc()
        if self.watcher is not None:
            self.watcher.entered(member)
        self.read_for(member, place)

    def leave(self, member: Member) -> None:
        """Removes a connection."""
        member.leave()
        person = self.people.get(member.user_id)
        if person is None or member not in person.members:
            return
        person.members.remove(member)
        self.count -= 1
        metrics.CONNECTIONS.labels(member.transport).dec()
        if not person.members:
            del self.people[member.user_id]
            self._behind.pop(member.user_id, None)
            metrics.PEOPLE.dec()
        if self.watcher is not None:
            self.watcher.left(member)

    def read_for(self, member: Member, place: InboxCursor | None, *, is_drop: bool = False) -> None:
        """Sends a connection what it missed since `place`, or a snapshot.

        Args:
            is_drop: frames were dropped, so the client must begin anew.
        """
        member.is_live = False
        member.pending = join = _Join(member, place, is_drop=is_drop)
        self._joins.append(join)
        if not self._reads_joins:
            self._reads_joins = True
            self._run(self._read_joins())

    def dropped(self, member: Member) -> None:
        """Begins anew with a connection whose frames were dropped."""
        metrics.RESYNCS.labels("slow").inc()
        self.read_for(member, None, is_drop=True)

    def wake(self, user_ids: Iterable[int]) -> None:
        """Reads for those of these people who are connected."""
        people = self.people
        for user_id in user_ids:
            person = people.get(user_id)
            if person is None:
                continue
            if person.position is None:
                person.is_behind = True
            else:
                self._behind[user_id] = None
        if self._behind and not self._reads_live:
            self._reads_live = True
            self._run(self._read_live())

    def places(self) -> dict[int, int]:
        """Returns the live positions of all who are connected."""
        return {
            user_id: person.position.seq
            for user_id, person in self.people.items()
            if person.position is not None
        }

    def catch_up(self, epoch: str, newest: Mapping[int, int]) -> int:
        """Reads for people whose events no wake-up announced; returns their number.

        Args:
            epoch: the present one. Who follows another begins anew.
            newest: the positions of people's newest events.
        """
        late = [
            user_id
            for user_id, seq in newest.items()
            if (place := self._position(user_id)) is not None and place.seq < seq
        ]
        if epoch != self._epoch:
            self._epoch = epoch
            late += [
                user_id
                for user_id in self.people
                if (place := self._position(user_id)) is not None and place.epoch != epoch
            ]
        self.wake(late)
        return len(late)

    def members(self) -> list[Member]:
        """Returns all connections."""
        return [member for person in self.people.values() for member in person.members]

    def rest(self) -> None:
        """Stops listening, because nothing is connected."""
        if self._listener is not None:
            self._listener.stop()
            self._listener = None

    def shutdown(self) -> None:
        """Ends the threads."""
        self.rest()
        self._live.shutdown()
        self._joining.shutdown()

    def _position(self, user_id: int) -> InboxCursor | None:
        person = self.people.get(user_id)
        return None if person is None else person.position

    def _begin(self) -> None:
        self._loop = asyncio.get_running_loop()
        if self._listener is None:
            self._listener = self._make_listener(self._on_payload)
            self._listener.start()

    def _on_payload(self, payload: str) -> None:
        """Takes a wake-up, in any thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._on_wakeup, payload)

    def _on_wakeup(self, payload: str) -> None:
        metrics.WAKEUPS.inc()
        if payload == EVERYBODY:
            self.wake(list(self.people))
        elif payload.startswith(PEOPLE):
            try:
                self.wake(decode_people(payload))
            except ValueError:
                log.warning("inbox.wakeup_unreadable")
        elif (text := frame_in(payload)) is not None and self.watcher is not None:
            self.watcher.take(text)

    def _run(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]  # a coroutine
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _read_live(self) -> None:
        try:
            while self._behind:
                places: dict[int, InboxCursor | None] = {}
                while self._behind and len(places) < LIVE_AT_ONCE:
                    user_id = next(iter(self._behind))
                    del self._behind[user_id]
                    person = self.people.get(user_id)
                    if person is not None and person.position is not None:
                        places[user_id] = person.position
                if not places:
                    continue
                found = await self._read(self._live, places)
                if found is None:
                    self._behind.update(dict.fromkeys(places))
                    await asyncio.sleep(RETRY_S)
                    continue
                for user_id, group in found.items():
                    self._deliver(user_id, group)
        finally:
            self._reads_live = False

    async def _read_joins(self) -> None:
        try:
            while self._joins:
                joins = self._next_joins()
                if not joins:
                    continue
                places = {user_id: join.place for user_id, join in joins.items()}
                found = await self._read(self._joining, places)
                if found is None:
                    self._joins.extendleft(reversed(joins.values()))
                    await asyncio.sleep(RETRY_S)
                    continue
                for number, (user_id, join) in enumerate(joins.items(), 1):
                    if number % BURST == 0:
                        await asyncio.sleep(0)
                    if user_id in found:
                        self._welcome(join, found[user_id])
        finally:
            self._reads_joins = False

    def _next_joins(self) -> dict[int, _Join]:
        """Takes connections of different people. A person's further ones go to the queue's end."""
        group: dict[int, _Join] = {}
        again: list[_Join] = []
        while self._joins and len(group) < JOINS_AT_ONCE:
            join = self._joins.popleft()
            if join.member.pending is not join or join.member.closed:
                continue
            if join.member.user_id in group:
                again.append(join)
            else:
                group[join.member.user_id] = join
        self._joins.extend(again)
        return group

    async def _read(
        self, threads: Threads, places: Mapping[int, InboxCursor | None]
    ) -> dict[int, FrameGroup] | None:
        """Reads for some people; None where the database does not answer.

        Whose inbox cannot be read is closed, so that the others go on.
        """
        try:
            return await threads.run(partial(read_groups, places))
        except Exception as error:
            metrics.FAILURES.inc()
            log.warning("inbox.read_failed", error=type(error).__name__, records=len(places))
            if is_unavailable(error):
                return None
        found: dict[int, FrameGroup] = {}
        for user_id, place in places.items():
            try:
                found |= await threads.run(partial(read_groups, {user_id: place}))
            except Exception as error:
                if is_unavailable(error):
                    return None
                self._close_broken(user_id)
        return found

    def _close_broken(self, user_id: int) -> None:
        log.error("inbox.unreadable", row=user_id)
        for member in self.people[user_id].members if user_id in self.people else ():
            member.close(BROKEN, "this inbox cannot be read")

    def _deliver(self, user_id: int, group: FrameGroup) -> None:
        """Gives what was read to the live connections of a person."""
        person = self.people.get(user_id)
        if person is None or person.position is None:
            return
        state, frames, unread = group
        place = person.position
        if place.epoch == state.position.epoch and place.seq >= state.position.seq:
            return  # a wake-up that came twice, or all connections changed meanwhile
        resync = None if state.continues else resync_frame(state.position)
        if resync is not None:
            metrics.RESYNCS.labels("behind").inc(len(person.members))
        _observe_lag(state)
        for member in person.members:
            if not member.is_live or _has(member, state):
                continue
            if resync is not None:
                member.put([resync, *frames, unread])
            else:
                member.put([*_after(member, frames, state), unread])
            member.position = state.position
        person.position = state.position

    def _welcome(self, join: _Join, group: FrameGroup) -> None:
        """Gives a connection its first group, or what it missed."""
        member, person = join.member, self.people.get(join.member.user_id)
        if member.closed or person is None or member.pending is not join:
            return
        member.pending = None
        state = group.state
        frames = [*group.frames, group.end]
        if join.is_drop or (join.place is not None and not state.continues):
            if not join.is_drop:
                metrics.RESYNCS.labels("resume").inc()
            frames.insert(0, resync_frame(state.position))
        first = join.place.seq if join.place and state.continues else _before(state)
        if member.position is None:
            member.acked = first
        member.position = state.position
        member.is_live = True
        member.put(frames)
        self._join_live(join, person, state)

    def _join_live(self, join: _Join, person: Person, state: InboxState) -> None:
        """Lets a connection go on live, from where all others of its person are."""
        if person.position is None:
            person.position = state.position
        elif person.position.epoch != state.position.epoch:
            self.wake([join.member.user_id])
        elif person.position.seq > state.position.seq:
            self.read_for(join.member, state.position)  # others got these while it was read
        if person.is_behind:
            person.is_behind = False
            self.wake([join.member.user_id])


def _has(member: Member, state: InboxState) -> bool:
    """Whether a connection has all that was read: it was read for later."""
    had = member.position
    return had is not None and had.epoch == state.position.epoch and had.seq >= state.position.seq


def _after(member: Member, frames: list[Frame], state: InboxState) -> list[Frame]:
    """Returns the frames that a connection does not have yet."""
    had = member.position
    if not frames or had is None or frames[0].seq > had.seq:
        return frames
    return [frame for frame in frames if frame.seq > had.seq]


def _before(state: InboxState) -> int:
    """Returns the position before the events of a snapshot."""
    return state.events[0].seq - 1 if state.events else state.position.seq


def _observe_lag(state: InboxState) -> None:
    newest = state.events[-1] if state.events and state.continues else None
    at = getattr(newest, "arrived_at", None)
    if at is not None:
        metrics.LAG.observe(max(0.0, (clock.now() - at).total_seconds()))
