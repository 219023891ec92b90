"""What a User-Agent says of who asks: a program, a mail service's proxy, or a browser. Pure.

Sources: the vendors' own descriptions of their agents; Mautic and jdavidbakr/mail-tracker issues
on scanners (2021 to 2026); Apple's Mail Privacy Protection as its users measured it (2021).
"""

from __future__ import annotations

import re

_PROGRAMS = re.compile(
    r"(?<!cu)bot(?:\b|/)|crawler|spider|scan|preview|fetch|monitor|check(?:er|link)|validator|headless"
    r"|phantomjs|puppeteer|playwright|selenium|curl/|wget/|libwww|python|aiohttp|httpx|go-http"
    r"|okhttp|java/|apache-http|jakarta|node-fetch|axios|undici|ruby|perl|php/|guzzle|winhttp|dart/"
    r"|barracuda|proofpoint|mimecast|symantec|messagelabs|fireeye|trellix|trend ?micro|\btmes\b"
    r"|sophos|forti|cisco|ironport|avanan|check ?point|safelinks|cloudmark|zscaler|hornetsecurity"
    r"|facebookexternalhit|^whatsapp|slack-imgproxy|skypeuri|embedly|vkshare"
    r"|google-safety|google-read-aloud|urldefense|virustotal|antivirus|kaspersky|bitdefender",
    re.IGNORECASE,
)
_APPLE_PROXY = "Mozilla/5.0"
_PROXIES = ("GoogleImageProxy", "YahooMailProxy")
_TEXT_BROWSERS = ("w3m/", "Lynx/", "Links (", "ELinks/")
_VERSION = re.compile(r"\b(Chrome|Firefox|CriOS|FxiOS|Version)/(\d{1,4})")
_BROWSER = re.compile(r"^Mozilla/5\.0 \(.{3,}\) .*(?:Gecko|AppleWebKit)")
_SENDS_FETCH_METADATA = {"Chrome": 80, "Firefox": 90, "Version": 17}
"""From which version a browser sends Sec-Fetch-* on every request by https (MDN); Safari since
16.4, of which an agent says only 16."""
_SENDS_USER = ("Chrome", "Firefox")
"""Browsers that send Sec-Fetch-User. Safari never does (MDN, browser-compat-data issue 27928)."""


def is_program(agent: str) -> bool:
    """Returns whether an agent names a program, or nothing."""
    return len(agent.strip()) < 8 or _PROGRAMS.search(agent) is not None


def is_prefetching_proxy(agent: str) -> bool:
    """Returns whether it is Apple's proxy, which loads pictures of mails that no one opened."""
    return agent.strip() == _APPLE_PROXY


def is_reading_proxy(agent: str) -> bool:
    """Returns whether it is a proxy that loads the pictures of a mail when it is shown."""
    return any(name in agent for name in _PROXIES)


def is_browser(agent: str) -> bool:
    """Returns whether an agent has the form of a browser's."""
    return _BROWSER.search(agent) is not None


def is_text_browser(agent: str) -> bool:
    """Returns whether it is a browser of terminals, which sends few headers."""
    return agent.startswith(_TEXT_BROWSERS)


def sends_user(agent: str) -> bool:
    """Returns whether this browser says by Sec-Fetch-User that a person went to a page."""
    found = _VERSION.search(agent)
    return found is not None and found[1] in _SENDS_USER


def is_chromium(agent: str) -> bool:
    """Returns whether it is a Chrome, or a relative, that cannot leave out Sec-Fetch-Mode."""
    found = _VERSION.search(agent)
    return found is not None and found[1] == "Chrome" and sends_fetch_metadata(agent)


def sends_fetch_metadata(agent: str) -> bool:
    """Returns whether this browser sends Sec-Fetch-* headers by https."""
    found = _VERSION.search(agent)
    if found is None:
        return False
    return int(found[2]) >= _SENDS_FETCH_METADATA.get(found[1], 10_000)
