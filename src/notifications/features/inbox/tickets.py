"""Tickets: signed texts that open one person's stream, for clients that can send no header.

A browser's `EventSource` sends no Authorization header, and a token in a URL ends in logs. A ticket
opens the stream of its person for ten minutes, reconnects included, and nothing else. It ends
earlier with the token that issued it: with its sign-in, with its row, or with all tokens of the
person.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.core import signing

from notifications.domain.callers import TokenOrigin
from notifications.features.access.authentication import Unauthenticated
from notifications.features.access.socket_tokens import SocketToken
from notifications.infra import clock

LIFE = timedelta(minutes=10)
_SALT = "carillon.inbox.ticket"
_LONGEST = 1_000


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket and its end."""

    text: str
    expires_at: datetime


def issue_ticket(user_id: int, origin: TokenOrigin | None = None) -> Ticket:
    """Returns a ticket for the stream of a person.

    origin: the sign-in that asks for it, with which the ticket ends.
    """
    now = clock.now()
    origin = origin or TokenOrigin(user_id, now.timestamp(), None)
    if origin.token_hash:  # a stored token is never too old: what it issues has a time of its own
        origin = replace(origin, issued=now.timestamp())
    fields = [user_id, round(now.timestamp(), 3), origin.issued, origin.family, origin.token_hash]
    text = signing.dumps(fields, salt=_SALT, compress=False)
    return Ticket(text, now + LIFE)


def open_ticket(text: str) -> SocketToken:
    """Returns what a ticket opens. It says nothing of whether its person is still active.

    Raises:
        Unauthenticated: invalid_token, expired_token.
    """
    try:
        if len(text) > _LONGEST:
            raise signing.BadSignature
        fields: Any = signing.loads(text, salt=_SALT)
        user_id, begun, issued, family, token_hash = fields
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise Unauthenticated("this is no ticket of this service", code="invalid_token") from error
    expires = float(begun) + LIFE.total_seconds()
    if clock.now().timestamp() >= expires:
        raise Unauthenticated("the ticket has expired: get a new one", code="expired_token")
    return SocketToken(user_id, expires, TokenOrigin(user_id, issued, family, token_hash))
