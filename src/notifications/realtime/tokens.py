"""Authenticates connections: the tokens that arrive meanwhile are verified together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import structlog

from notifications.api.errors import RestoreUnfinished, Unavailable
from notifications.domain.errors import CarillonError
from notifications.features.access.authentication import Unauthenticated
from notifications.features.access.socket_tokens import (
    SocketToken,
    find_ended,
    persons_of_tokens,
)
from notifications.features.inbox.tickets import open_ticket
from notifications.infra import clock
from notifications.infra.database.errors import is_unavailable
from notifications.realtime.gathered import Gathered
from notifications.realtime.threads import Threads

log = structlog.get_logger("carillon.realtime")
AT_ONCE = 25
"""Tokens of one group. After a restart thousands wait, and requests are answered between groups."""
_RESTORED_S = 10


class Tokens:
    """Verifies tokens in groups, one group at a time."""

    def __init__(self, *, waiting: int, may_serve: Callable[[], bool]) -> None:
        """Creates it.

        Args:
            waiting: the most tokens that wait for their group.
            may_serve: whether the database may be used: not while it is being restored.
        """
        self._threads = Threads("tokens", 1, waiting=1)
        self._may_serve = may_serve
        self._gathered = Gathered(self._found, at_once=AT_ONCE, waiting=waiting)

    async def find(self, text: str, *, is_ticket: bool = False) -> SocketToken:
        """Returns whom a JWT, or a ticket, stands for.

        Raises:
            Unauthenticated, KeysUnreachable: as `persons_of_tokens` and `open_ticket`.
            Overloaded, Unavailable, RestoreUnfinished: this process cannot say it now.
        """
        return await self._gathered.answer((text, is_ticket))

    def shutdown(self) -> None:
        """Ends the thread."""
        self._threads.shutdown()

    async def _found(self, texts: list[tuple[str, bool]]) -> Sequence[SocketToken | CarillonError]:
        """Returns the results of a group. A token that cannot be read costs no other one."""
        try:
            return await self._threads.run(partial(self._read, texts))
        except Exception as error:
            if is_unavailable(error):
                return [Unavailable() for _ in texts]
            if len(texts) == 1:
                log.warning("realtime.token_failed", error=type(error).__name__)
                return [Unauthenticated("this token cannot be read", code="invalid_token")]
        return [(await self._found([each]))[0] for each in texts]

    def _read(self, texts: list[tuple[str, bool]]) -> list[SocketToken | CarillonError]:
        """Verifies a group, in the thread."""
        if not self._may_serve():
            return [RestoreUnfinished(retry_after=_RESTORED_S) for _ in texts]
        now = clock.now()
        jwts = [text for text, is_ticket in texts if not is_ticket]
        of_jwts = iter(persons_of_tokens(jwts, now=now) if jwts else ())
        found = [_open(text) if is_ticket else next(of_jwts) for text, is_ticket in texts]
        tickets = {
            each
            for each, (_, is_ticket) in zip(found, texts, strict=True)
            if is_ticket and isinstance(each, SocketToken)
        }
        ended = find_ended(tickets, now=now) if tickets else set()
        return [
            Unauthenticated("the ticket has ended: get a new one", code="invalid_token")
            if each in ended
            else each
            for each in found
        ]


def _open(text: str) -> SocketToken | CarillonError:
    try:
        return open_ticket(text)
    except CarillonError as error:
        return error
