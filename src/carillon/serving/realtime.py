"""Plugs the realtime hub into the web process: its socket, its streams, and its end."""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings
from django.http import HttpResponse
from django.http.request import split_domain_port, validate_host

from carillon.serving import cors
from carillon.serving.bridge import (
    Application,
    Response,
    Scope,
    Send,
    encode_headers,
    refuse_socket,
)
from carillon.serving.middleware import REQUEST_ID, harden, request_id_of
from carillon.serving.pools import Receive
from carillon.serving.security_log import REFUSALS, note_refused_connection
from carillon.serving.server.held import Held, held
from carillon.serving.settled import CHECK
from notifications.realtime.center import Center
from notifications.realtime.consumers import NotificationConsumer, close_all
from notifications.realtime.limits import limits_of_settings
from notifications.realtime.streams import PATHS, Streams

SOCKET_PATH = "/ws/notifications"
_SPARE = 1_000
"""So many connections may wait for their token, or for the end of their close."""


class Realtime:
    """The applications of this process."""

    def __init__(self) -> None:
        self.center = Center(
            limits_of_settings(),
            may_serve=CHECK.is_settled,
            note_refusal=note_refused_connection,
        )
        self._streams = Streams(self.center, complete)
        self.streams: Mapping[str, Application] = dict.fromkeys(PATHS, self._stream)

    async def websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a websocket."""
        if Held.count > self.center.limits.connections + _SPARE:
            await _refuse_at_once(receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", "")).removesuffix("/")
        if path == SOCKET_PATH and _is_ours(scope):
            await NotificationConsumer(center=self.center)(scope, receive, send)
        else:
            await refuse_socket(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        with held():  # it has a bound of its own, and takes no place of a request
            await self._streams(scope, receive, send)

    def close(self) -> None:
        """Ends all connections: this process is about to end. Called on the event loop."""
        close_all(self.center)

    def await_end(self, seconds: float) -> None:
        """Waits for the last write after `close`, at most so many seconds. Blocks."""
        self.center.rooms.await_end(seconds)


def complete(scope: Scope, response: HttpResponse) -> Response:
    """Adds the headers of every response; returns it in ASGI's form."""
    sent = dict(scope["headers"])
    given = sent.get(REQUEST_ID.lower().encode(), b"")
    response[REQUEST_ID] = request_id_of(given.decode("latin-1"))
    harden(response, scope["path"])
    origin = sent.get(b"origin", b"").decode("latin-1")
    cors.allow(response, scope["path"].removesuffix("/"), origin)
    if response.status_code in REFUSALS:
        code = getattr(response, "error_code", "")
        note_refused_connection(scope, response.status_code, code)
    headers = encode_headers(response.items(), response.content)
    return response.status_code, headers, response.content


async def _refuse_at_once(receive: Receive, send: Send) -> None:
    """Refuses a websocket with 403 instead of an upgrade, which costs the least."""
    await receive()
    await send({"type": "websocket.close"})


def _is_ours(scope: Scope) -> bool:
    """Whether the service is reached by this host (CARILLON_ALLOWED_HOSTS)."""
    host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)
