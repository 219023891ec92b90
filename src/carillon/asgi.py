"""One port for HTTP (Django's WSGI handler in threads) and websockets (ASGI)."""

from __future__ import annotations

from django.db import close_old_connections

from carillon.serving.body_limits import body_limit
from carillon.serving.bridge import Bridge, BridgeLimits
from carillon.serving.grouped_routes import GroupedRoutes
from carillon.serving.realtime import Realtime
from carillon.serving.refusals import refuse
from carillon.wsgi import application as wsgi
from notifications.infra.conf import environment

_LIMITS = BridgeLimits(
    waiting=environment().max_queued_requests,
    patience=environment().queue_timeout_seconds,
)

realtime = Realtime()
application = Bridge(
    wsgi,
    max_body_bytes=body_limit,
    limits=_LIMITS,
    refuse=refuse,
    websocket=realtime.websocket,
    streams=realtime.streams,
    after_part=close_old_connections,
    grouped=GroupedRoutes(waiting=_LIMITS.waiting, patience=_LIMITS.patience),
)
