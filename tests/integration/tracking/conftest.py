"""Tracked mails, their links, and requests for them."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client

from directory.models import User
from notifications.domain.callers import SYSTEM
from notifications.engine.runs import deliver_rows
from notifications.features.tracking.service import COLLECTOR
from notifications.models import NotificationMessage, SandboxMessage
from notifications.queue import batches
from notifications.services import NotificationService
from tests.integration.api.conftest import as_user, user, with_key
from tests.integration.factories import make_template, make_user

__all__ = ["as_user", "user", "with_key"]

BROWSER = {
    "user-agent": (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
        " Chrome/141.0.0.0 Safari/537.36"
    ),
    "accept-language": "en-GB,en;q=0.8",
    "sec-fetch-mode": "navigate",
    "sec-fetch-dest": "document",
    "sec-fetch-site": "cross-site",
    "sec-fetch-user": "?1",
}
"""What a browser sends with a click in a mail."""
SCANNER = {"user-agent": "python-requests/2.31"}
HTML = (
    '<html><body><p>Hello {{ user.first_name }}</p><a href="https://shop.example/{{ amount }}">'
    'Shop</a> <a href="https://news.example/?a=1&amp;b=2">News</a>'
    ' <a href="{{ preferences_url }}">Choose</a></body></html>'
)


class SentMail:
    """A mail as it was sent: its links in their order, and its pixel."""

    def __init__(self, row: SandboxMessage, message: NotificationMessage) -> None:
        self.html = str(row.content.get("html", ""))
        self.text = str(row.content["body"])
        self.message = message
        hrefs = [unescape(each) for each in re.findall(r'href="([^"]*)"', self.html)]
        self.hrefs = hrefs
        self.links = [_path(each) for each in hrefs if "/track/click" in each]
        pixels = re.findall(r'src="([^"]*/track/open/[^"]*)"', self.html)
        self.pixel = _path(pixels[0]) if pixels else ""


def _path(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


@pytest.fixture
def person(db: None) -> User:
    return make_user(first_name="Ada")


@pytest.fixture
def send_mail(person: User) -> Callable[..., SentMail]:
    """Sends a mail to the person and returns what arrived."""

    def send(html: str = HTML, *, path: str = "test.tracked", **more: Any) -> SentMail:
        options = more.pop("options", {"track_opens": True, "track_clicks": True})
        template = more.pop("template", {})
        make_template(path, email_html_template=html, email_body_template="", **template)
        body = {
            "template_path": path,
            "user_id": person.pk,
            "channel": "email",
            "context": {"amount": 5},
            "options": options,
            **more,
        }
        answer = NotificationService().send(body=body, caller=SYSTEM)
        for lane in ("default", "critical", "high", "bulk"):
            while leases := batches.lease(owner="w", lane=lane, seconds=60):
                deliver_rows(leases, owner="w")
        message = NotificationMessage.objects.get(notification__uuid=answer.id)
        row = SandboxMessage.objects.get(message_id=message.pk)
        return SentMail(row, message)

    return send


@pytest.fixture
def reader() -> Client:
    """A browser without a session."""
    return Client(headers=BROWSER, enforce_csrf_checks=True)


@pytest.fixture
def scanner() -> Client:
    return Client(headers=SCANNER)


def written() -> int:
    """Writes the hits that wait; returns their number."""
    return COLLECTOR.write_now()
