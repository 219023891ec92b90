"""What the hub does each second while something is connected.

It finds events without a wake-up, ends connections whose token has ended, writes what clients
received and showed, and keeps streams alive. One thread does it, with a few statements for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import structlog

from notifications.features.access.socket_tokens import SocketToken, find_ended
from notifications.features.inbox.epochs import EpochCheck
from notifications.features.inbox.marks import Received, mark_all_seen, mark_received
from notifications.features.inbox.reading import read_newer
from notifications.infra import clock
from notifications.realtime import metrics
from notifications.realtime.frames import Frame
from notifications.realtime.hub import Hub
from notifications.realtime.members import Member
from notifications.realtime.threads import Threads

log = structlog.get_logger("carillon.realtime")
T = TypeVar("T")
PERIOD_S = 1.0
TOKEN_NOTICE_S = 60.0
"""So long before its end a client is asked for another token."""
MOST_MARKS = 100_000
"""Further marks are dropped while the database is away."""
TOKEN_ENDED = 4401


@dataclass(slots=True)
class _Findings:
    """What a round read. None: that part failed."""

    newest: tuple[str, dict[int, int]] | None = None
    ended: set[SocketToken] = field(default_factory=set)
    failed: bool = False
    #: Marks that could not be written.
    unwritten: list[Received] = field(default_factory=list)
    unseen: list[tuple[int, int]] = field(default_factory=list)


class Rounds:
    """The loop. It ends when nothing is connected any more."""

    def __init__(self, hub: Hub, *, heartbeat_s: float) -> None:
        self._hub = hub
        self._heartbeat_s = heartbeat_s
        self._threads = Threads("rounds", 1, waiting=0)
        self._epochs = EpochCheck()
        self._task: asyncio.Task[None] | None = None
        self._received: dict[tuple[int, int], int] = {}
        self._seen: dict[tuple[int, int], None] = {}
        self._beat_at = 0.0

    def begin(self) -> None:
        """Starts the loop, unless it runs."""
        if self._task is None or self._task.done():
            self._beat_at = asyncio.get_running_loop().time()
            self._task = asyncio.create_task(self._run())

    def add_received(self, member: Member, seq: int) -> None:
        """Notes that a connection received all up to a position."""
        had = member.position
        seq = seq if had is None else min(seq, had.seq)
        if seq > member.acked and len(self._received) < MOST_MARKS:
            span = (member.user_id, member.acked)
            self._received[span] = max(seq, self._received.get(span, 0))
            member.acked = seq

    def add_seen(self, user_id: int, keys: list[int]) -> None:
        """Notes that a person's document showed notifications."""
        if len(self._seen) < MOST_MARKS:
            self._seen.update(dict.fromkeys((user_id, key) for key in keys))

    @property
    def has_marks(self) -> bool:
        """Whether marks wait to be written."""
        return bool(self._received or self._seen)

    def shutdown(self) -> None:
        """Ends the loop and its thread."""
        if self._task is not None:
            self._task.cancel()
        self._threads.shutdown()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._hub.count or self._received or self._seen:
            began = loop.time()
            try:
                await self._round()
            except Exception:
                log.exception("realtime.round_failed")
            await asyncio.sleep(max(0.0, PERIOD_S - (loop.time() - began)))
        self._hub.rest()

    async def _round(self) -> None:
        members = self._hub.members()
        tokens = [member.token for member in members]
        places = self._hub.places()
        received, self._received = self._received, {}
        seen, self._seen = self._seen, {}
        spans = [Received(user, after, up_to) for (user, after), up_to in received.items()]
        found = await self._threads.run(lambda: self._read(places, tokens, spans, seen))
        if found.newest is not None:
            metrics.SWEPT.inc(self._hub.catch_up(*found.newest))
        for member in members if found.ended else ():
            if member.token in found.ended:
                member.close(TOKEN_ENDED, "the token has ended")
        self._keep_marks(found)
        self._announce_ends(members)
        self._keep_alive(members)

    def _read(
        self,
        places: dict[int, int],
        tokens: list[SocketToken],
        received: list[Received],
        seen: dict[tuple[int, int], None],
    ) -> _Findings:
        """Reads and writes, in the thread. A part that fails costs the others nothing."""
        found = _Findings()

        def attempt(work: Callable[[], T]) -> T | None:
            try:
                return work()
            except Exception as error:
                found.failed = True
                log.warning("realtime.round_part_failed", error=type(error).__name__)
                return None

        attempt(self._epochs.run)
        found.newest = attempt(lambda: read_newer(places))
        found.ended = attempt(lambda: find_ended(tokens, now=clock.now())) or set()
        if received and attempt(lambda: mark_received(received)) is None:
            found.unwritten = received
        if seen and attempt(lambda: mark_all_seen(seen)) is None:
            found.unseen = list(seen)
        if found.failed:
            self._epochs.repeat()
        return found

    def _keep_marks(self, found: _Findings) -> None:
        """Tries marks again that could not be written."""
        for span in found.unwritten:
            if len(self._received) < MOST_MARKS:
                place = (span.user_id, span.after)
                self._received[place] = max(span.up_to, self._received.get(place, 0))
        if len(self._seen) < MOST_MARKS:
            self._seen.update(dict.fromkeys(found.unseen))

    def _announce_ends(self, members: list[Member]) -> None:
        limit = clock.now().timestamp() + TOKEN_NOTICE_S
        for member in members:
            if member.token.expires <= limit and not member.token_announced:
                member.token_announced = True
                end = datetime.fromtimestamp(member.token.expires, UTC)
                member.put([Frame("token", {"expires_at": end})])

    def _keep_alive(self, members: list[Member]) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._beat_at >= self._heartbeat_s:
            self._beat_at = now
            for member in members:
                member.beat()
