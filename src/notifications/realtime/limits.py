"""The bounds of connections, from the settings."""

from __future__ import annotations

from dataclasses import dataclass

from notifications.infra.conf import environment


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """What connections may use."""

    #: Connections of a process.
    connections: int = 20_000
    #: Connections of one person.
    of_person: int = 10
    #: Bytes of a frame that a client sends.
    frame_bytes: int = 65_536
    #: Frames that a socket may send in a second.
    messages_per_s: int = 20
    #: Frames that wait for a client.
    queue: int = 256
    #: Rooms that a socket may be in.
    rooms: int = 50
    #: Seconds between two signs of life of the service.
    heartbeat_s: float = 25.0
    #: Origins of pages that may open sockets; `*` allows all.
    origins: frozenset[str] = frozenset()


def limits_of_settings() -> ConnectionLimits:
    """Returns the bounds that the settings name."""
    given = environment()
    own = (given.public_url, given.app_url)
    origins = frozenset(given.realtime_origins or map(_origin, own))
    return ConnectionLimits(
        connections=given.realtime_max_connections,
        of_person=given.realtime_person_connections,
        frame_bytes=given.realtime_max_frame_bytes,
        messages_per_s=given.realtime_messages_per_second,
        queue=given.realtime_queue,
        rooms=given.realtime_rooms,
        heartbeat_s=given.realtime_heartbeat_seconds,
        origins=origins | frozenset(given.inbox_origins),
    )


def _origin(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}".lower()


def may_open(origin: str, host: str, limits: ConnectionLimits) -> bool:
    """Returns whether a page may open a socket.

    Args:
        origin: its Origin header; empty for a client that is no browser.
        host: the Host header: pages of the same host may.
    """
    if not origin or "*" in limits.origins or origin.lower() in limits.origins:
        return True
    return bool(host) and origin.lower().partition("://")[2] == host.lower()
