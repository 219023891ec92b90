"""What a web process has of the realtime: the hub, its rounds, its threads and its bounds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from notifications.features.access.socket_tokens import SocketToken
from notifications.features.inbox.reading import InboxCursor
from notifications.realtime.hub import Hub
from notifications.realtime.limits import ConnectionLimits, limits_of_settings
from notifications.realtime.members import Member, Out
from notifications.realtime.rooms.dispatcher import RoomDispatcher
from notifications.realtime.rounds import Rounds
from notifications.realtime.threads import Threads
from notifications.realtime.tokens import Tokens

ACTION_THREADS = 2
ACTIONS_WAITING = 256


class TooMany(Exception):
    """The process, or the person, has as many connections as they may."""


class Center:
    """The parts that the transports share."""

    def __init__(
        self,
        limits: ConnectionLimits,
        *,
        may_serve: Callable[[], bool] = lambda: True,
        note_refusal: Callable[[Mapping[str, Any], int, str], None] = lambda *_: None,
    ) -> None:
        """Creates the threads, which start with the first call.

        Args:
            may_serve: whether the database may be used, asked in a thread.
            note_refusal: called with the scope, the close code and the reason of a refused socket.
        """
        self.limits = limits
        self.note_refusal = note_refusal
        self.hub = Hub()
        self.rooms = RoomDispatcher(self.hub, limits)
        self.rounds = Rounds(self.hub, heartbeat_s=limits.heartbeat_s)
        self.tokens = Tokens(waiting=limits.connections, may_serve=may_serve)
        self.actions = Threads("actions", ACTION_THREADS, waiting=ACTIONS_WAITING)
        #: Whether the process ends: it takes no connection any more.
        self.is_closing = False

    def enter(
        self, token: SocketToken, out: Out, place: InboxCursor | None, *, transport: str
    ) -> Member:
        """Adds a connection to the hub.

        Raises:
            TooMany: the person, or the process, has as many as allowed.
        """
        person = self.hub.people.get(token.user_id)
        if person is not None and len(person.members) >= self.limits.of_person:
            raise TooMany
        if self.hub.count >= self.limits.connections:
            raise TooMany
        member = Member(
            token, out, transport=transport, queue=self.limits.queue, on_drop=self._dropped
        )
        self.hub.enter(member, place)
        self.rounds.begin()
        return member

    def _dropped(self, member: Member) -> None:
        self.hub.dropped(member)
        self.rooms.dropped(member)

    def shutdown(self) -> None:
        """Ends the threads."""
        self.hub.shutdown()
        self.rooms.shutdown()
        self.rounds.shutdown()
        self.tokens.shutdown()
        self.actions.shutdown()


@functools.cache
def process_center() -> Center:
    """Returns the hub of this process, with the bounds of the settings."""
    return Center(limits_of_settings())


def read_place(text: str) -> InboxCursor | None:
    """Returns the position of a cursor `<epoch>.<seq>`; None for an empty text.

    A text that is no cursor is a position that no counter has: its client begins anew.
    """
    if not text:
        return None
    epoch, _, seq = text.rpartition(".")
    if not (epoch and seq.isascii() and seq.isdigit() and len(seq) < 19):
        return InboxCursor("", 0)
    return InboxCursor(epoch[:64], int(seq))
