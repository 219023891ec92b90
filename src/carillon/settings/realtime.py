"""The settings of the live inbox: its bounds, and which pages may open sockets."""

from __future__ import annotations

import re
from dataclasses import dataclass

from notifications.domain.settings import integer, setting, words


def origins(text: str) -> tuple[str, ...]:
    """origins separated by commas, such as https://app.example.org, or *"""
    found = tuple(word.rstrip("/").lower() for word in words(text))
    for each in found:
        scheme, _, host = each.partition("://")
        if each != "*" and (scheme not in ("http", "https") or not host or "/" in host):
            raise ValueError
    return found


_EXACT = re.compile(r"https://([a-z0-9-]+\.)*[a-z0-9-]+(:[0-9]{1,5})?")
_LOCAL = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?")
_MOST_ORIGINS = 50


def exact_origins(text: str) -> tuple[str, ...]:
    """up to 50 origins separated by commas: https://app.example.org, or http on localhost"""
    found = tuple(word.lower().removesuffix("/") for word in words(text))
    for each in found:
        if not (_EXACT.fullmatch(each) or _LOCAL.fullmatch(each)):
            raise ValueError
        port = each.rpartition(":")[2]
        if port.isdigit() and not 0 < int(port) < 1 << 16:
            raise ValueError
    if len(found) > _MOST_ORIGINS:
        raise ValueError
    return tuple(_as_spelled(each) for each in found)


def _as_spelled(origin: str) -> str:
    """Returns an origin as a browser spells it: without the port that its scheme has anyway."""
    usual = ":443" if origin.startswith("https:") else ":80"
    return origin.removesuffix(usual)


@dataclass(frozen=True, kw_only=True)
class RealtimeSettings:
    """How clients follow an inbox."""

    # fmt: off
    realtime_origins: tuple[str, ...] = setting((), origins, "The origins of web pages that may open sockets, such as `https://app.example.org`, separated by commas. `*` allows all. Empty: this service's own pages, and those at `CARILLON_PUBLIC_URL` and `CARILLON_APP_URL`.")
    inbox_origins: tuple[str, ...] = setting((), exact_origins, "The exact origins of other web pages that may use an inbox: its routes, its streams and its sockets. Scripts of such a page act with the token that it has of the person; no cookie is accepted from there. Empty: none.")
    realtime_max_connections: int = setting(20_000, integer(1, 1_000_000), "The most sockets, streams and long polls of a web process. Further ones are refused.")
    realtime_person_connections: int = setting(10, integer(1, 1_000), "The most sockets, streams and long polls of one person in a web process.")
    realtime_max_frame_bytes: int = setting(65_536, integer(1_024, 16_777_216), "The most bytes of a frame that a client sends.")
    realtime_messages_per_second: int = setting(20, integer(1, 10_000), "The most frames that a socket may send in a second.")
    realtime_queue: int = setting(256, integer(64, 100_000), "The most frames that wait for a client that reads slowly. Then they are dropped, and the client begins anew.")
    realtime_rooms: int = setting(50, integer(1, 1_000), "The most rooms that a socket may be in.")
    realtime_heartbeat_seconds: int = setting(25, integer(1, 3_600), "How often the service sends a ping to a socket, and a comment to a stream.")
    realtime_idle_seconds: int = setting(60, integer(2, 7_200), "After how many seconds without an answer a socket is closed. It must be longer than the heartbeat.")
    # fmt: on


def realtime_faults(settings: RealtimeSettings) -> list[str]:
    """Returns what is wrong with the settings together, each with how to correct it."""
    if settings.realtime_idle_seconds > settings.realtime_heartbeat_seconds:
        return []
    return [
        "CARILLON_REALTIME_IDLE_SECONDS is not longer than CARILLON_REALTIME_HEARTBEAT_SECONDS:"
        " set it to more than twice the heartbeat"
    ]
