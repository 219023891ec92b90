"""TrackingService: takes requests for pixels and links. It makes no query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from notifications.domain.engagement import EventKind
from notifications.domain.tracking.evidence import AGENT_LENGTH, clean, reduced, stored_headers
from notifications.features.tracking.collector import Hit, HitCollector
from notifications.features.tracking.recording import write_hits
from notifications.infra import clock
from notifications.infra.telemetry import TRACKING
from notifications.infra.tracking.links import read_click, read_open

COLLECTOR = HitCollector(write_hits)
"""The hits of this process."""


@dataclass(frozen=True, slots=True)
class Requester:
    """What is known of who asks."""

    method: str
    #: The client's address.
    address: str
    #: By lower-case name.
    headers: Mapping[str, str]
    #: The country that a trusted proxy names; empty for none.
    country: str = ""


class TrackingService:
    """Verifies links and hands what was requested to the collector."""

    def open(self, *, token: str, by: Requester) -> bool:
        """Takes the request for a pixel; returns whether its token is genuine."""
        message_id = read_open(token)
        if message_id is None:
            TRACKING.labels(EventKind.OPEN, "forged").inc()
            return False
        COLLECTOR.add(_hit(message_id, EventKind.OPEN, None, by))
        return True

    def click(self, *, query: Mapping[str, str], by: Requester) -> str | None:
        """Takes a click; returns where it leads, or None for a link that was in no mail.

        query: `m`, `s` and `url`; what mail programs add to it is ignored.
        """
        found = read_click(query.get("m", ""), query.get("s", ""), query.get("url", ""))
        if found is None:
            TRACKING.labels(EventKind.CLICK, "forged").inc()
            return None
        COLLECTOR.add(_hit(found.message_id, found.kind, found.place, by))
        return found.url


def _hit(message_id: int, kind: EventKind, link: int | None, by: Requester) -> Hit:
    return Hit(
        message_id=message_id,
        kind=kind,
        link=link,
        at=clock.now(),
        method=clean(by.method, 8),
        agent=clean(by.headers.get("user-agent", ""), AGENT_LENGTH),
        network=reduced(by.address),
        headers=stored_headers(by.headers),
        country=by.country,
    )
