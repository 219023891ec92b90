"""A real server, a real mail, a real click: the redirect, and the evidence that follows."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from html import unescape
from typing import Any

import pytest

from tests.functional.installation import Installation, free_port, wait_until
from tests.functional.test_browser import _ready

pytestmark = pytest.mark.processes
TARGET = "https://shop.example/lessons?id=7&from=mail"
TEMPLATE = f"""
from notifications.models import Category, NotificationTemplate
NotificationTemplate.objects.create(
    path="user.offer.lesson", name="Offer", category=Category.objects.get(key="course"),
    supported_channels=["email"], required_variables=[],
    email_subject_template="A lesson",
    email_html_template='<html><body><a href="{TARGET.replace("&", "&amp;")}">Go</a></body></html>')
"""
STATE = """
import json
from notifications.models import NotificationAnalytics, SandboxMessage, TrackingEvent
mails = [row.content["html"] for row in SandboxMessage.objects.filter(channel="email")]
rows = TrackingEvent.objects.order_by("id")
events = [[row.kind, row.method, row.verdict, row.facts["agent"]] for row in rows]
flags = list(NotificationAnalytics.objects.values_list("flags", "channel"))
print(json.dumps({"mails": mails, "events": events, "flags": flags}))
"""


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def state(place: Installation) -> Any:
    return json.loads(place.python(STATE))


def fetch(url: str, *, method: str = "GET", agent: str = "curl/8.5") -> tuple[int, str]:
    """Returns the status and where it leads."""
    request = urllib.request.Request(url, method=method, headers={"User-Agent": agent})
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=20) as response:
            return response.status, response.headers.get("Content-Type", "")
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Location", "")


def test_a_click_leads_on_and_is_stored(tmp_path):
    place = Installation(tmp_path, track_clicks="on", track_opens="on")
    place.prepare(demo=True)
    place.python(TEMPLATE)
    port = free_port()
    with place.running("serve", "--port", str(port)):
        here = f"http://127.0.0.1:{port}"
        wait_until(lambda: _ready(f"{here}/health/ready"))
        sent = place.carillon("send", "user.offer.lesson", "--to", "student1", "--channel", "email")
        assert sent.returncode == 0, sent.stderr
        wait_until(lambda: place.statuses().get("sent") == 1)
        (html,) = state(place)["mails"]
        link = unescape(re.findall(r'href="([^"]+)"', html)[0])
        pixel = re.findall(r'src="([^"]+)"', html)[0]
        assert link.startswith(f"{here}/api/v1/track/click?")
        assert fetch(link) == (302, TARGET)
        assert fetch(link, method="HEAD") == (302, TARGET)
        assert fetch(link.replace("shop.example", "evil.example"))[0] == 400
        assert fetch(pixel) == (200, "image/gif")
        wait_until(lambda: len(state(place)["events"]) == 3)
        found = state(place)
        assert [event[:3] for event in found["events"]] == [
            ["click", "GET", "machine"],
            ["click", "HEAD", "machine"],
            ["open", "GET", "machine"],
        ]
        assert {event[3] for event in found["events"]} == {"curl/8.5"}
        assert found["flags"] == [[2 | 16, "email"]]
        judged = place.carillon("tracking", "classify")
        assert judged.returncode == 0, judged.stderr
        # Another program, because an equal click within seconds is no event of its own.
        assert fetch(link, agent="curl/9.0") == (302, TARGET)
    assert len(state(place)["events"]) == 4, "the process writes what waits before it ends"
