"""One port for everything: HTTP by Django's WSGI handler in threads, websockets by ASGI."""

from __future__ import annotations

from carillon.bridge import Bridge
from carillon.wsgi import application as wsgi
from notifications.conf import environment

application = Bridge(wsgi, max_body_bytes=environment().max_body_bytes)
