"""The settings of tracked mails."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from notifications.domain.settings import integer, one_of, setting, web_url

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def tracking_origin(text: str) -> str:
    """an https:// origin such as https://links.example.org (http only on this machine), or nothing"""
    if not text:
        return ""
    url = web_url(text)
    parts = urlsplit(url)
    plain = f"{parts.scheme}://{parts.netloc}"
    if url != plain or "@" in parts.netloc:
        raise ValueError
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise ValueError
    return url


@dataclass(frozen=True, kw_only=True)
class TrackingSettings:
    """Whether opens and clicks of mails are tracked, and what is stored."""

    # fmt: off
    track_opens: str = setting("asked", one_of("off", "asked", "on"), "Whether mails contain a picture that reports opens. `asked`: those whose send has `track_opens: true`. `on`: those whose send does not have `track_opens: false`. `off`: none.")
    track_clicks: str = setting("asked", one_of("off", "asked", "on"), "Whether links of mails lead through this service, which records clicks. The values mean the same, for `track_clicks`.")
    tracking_url: str = setting("", tracking_origin, "The origin of tracking links and pictures, such as `https://links.example.org`: another name of this service. Empty: `CARILLON_PUBLIC_URL`.")
    tracking_country_header: str = setting("", one_of("", "CF-IPCountry", "CloudFront-Viewer-Country", "X-Country-Code"), "The header in which a trusted proxy names the client's country. Empty: no country is stored.")
    tracking_event_retention_days: int = setting(90, integer(1, 396), "How many days the evidence of opens and clicks is stored. What was counted stays.")
    tracking_events_per_message: int = setting(200, integer(10, 10_000), "The most opens and clicks of one message that are stored.")
    # fmt: on
