"""`/outbox/`: the messages that the sandbox provider stored, as the recipient would see them."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import split_domain_port
from django.shortcuts import render
from django.views.decorators.http import require_safe

from notifications.domain.channels import Channel
from notifications.domain.identifiers import parse_key
from notifications.features.access.principals import may_manage_staff, may_operate
from notifications.infra.conf import environment
from notifications.models import SandboxMessage

PAGE_SIZE = 20
LOOPBACK = ("127.0.0.1", "::1")
PROXY_HEADERS = (
    "Forwarded",
    "Via",
    "X-Real-Ip",
    "X-Client-Ip",
    "True-Client-Ip",
    "Cf-Connecting-Ip",
)
PROXY_PREFIX = "X-Forwarded-"
_SHAPES = {
    Channel.EMAIL: "mail",
    Channel.SMS: "bubble",
    Channel.TELEGRAM: "bubble",
    Channel.PUSH: "card",
    Channel.WEBSOCKET: "card",
    Channel.IN_APP: "card",
}
_SECURITY = "security"
"""The category of the service's own mails to staff, and of codes to people."""
_OWN_HEADERS = ("From", "To", "Subject")
View = Callable[..., HttpResponse]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxMessage:
    """One message as the page shows it.

    It has a value for everything the page shows: a failed lookup in the template would write the
    content of the message to the log.
    """

    number: int
    channel: str
    shape: str
    at: datetime
    sender: str
    recipient: str
    title: str
    body: str
    has_html: bool
    #: Without From, To and Subject.
    headers: list[tuple[str, str]]
    files: list[str]
    about: list[str]
    #: JSON text.
    data: str


def _mail_policy() -> str:
    """Returns the policy of a rendered mail: it runs no script and has its own origin.

    Of this host it loads static files alone: a tracking pixel would count the look as an opening.
    """
    return (
        "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none';"
        f" style-src 'unsafe-inline'; img-src data: {environment().public_url}/static/;"
        " frame-ancestors 'self'"
    )


def staff_or_loopback(view: View) -> View:
    """Admits operators and admins, and outside production also clients on this machine."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if is_at_this_machine(request) or may_operate(request.user):
            return view(request, *args, **kwargs)
        if request.user.is_staff:  # another sign-in would not help
            raise PermissionDenied
        return redirect_to_login(request.get_full_path(), login_url="/admin/login/")

    return guarded


def is_at_this_machine(request: HttpRequest) -> bool:
    """Returns whether the client of a development installation is on loopback and is not a proxy.

    The Host must be ours, too: a web page whose name resolves to 127.0.0.1 (DNS rebinding) could
    read the outbox otherwise.
    """
    return (
        not environment().production
        and request.META.get("REMOTE_ADDR") in LOOPBACK
        and not _came_by_proxy(request)
        and is_own_host(request.get_host())
    )


def _came_by_proxy(request: HttpRequest) -> bool:
    return any(
        name in PROXY_HEADERS or name.startswith(PROXY_PREFIX)
        for name in (given.title() for given in request.headers)
    )


def is_own_host(host: str) -> bool:
    """Returns whether a Host cannot be foreign: an address, a name without dots, or ours."""
    name = split_domain_port(host)[0].strip("[]").rstrip(".")
    if "." not in name or name.endswith(".localhost"):
        return True
    if name == urlsplit(environment().public_url).hostname:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


@require_safe
@staff_or_loopback
def outbox(request: HttpRequest) -> HttpResponse:
    """Shows the newest messages. `?before=` is the last key of a page; `?channel=` filters."""
    channel = request.GET.get("channel", "")
    rows = SandboxMessage.objects.order_by("-id")
    if channel in Channel.__members__.values():
        rows = rows.filter(channel=channel)
    before = parse_key(request.GET.get("before", ""))
    if before:
        rows = rows.filter(pk__lt=before)
    page = list(rows[: PAGE_SIZE + 1])
    may_see = _sight(request)
    shown = [_outbox_message(row) for row in page[:PAGE_SIZE] if may_see(row)]
    older = (
        {"channel": channel, "before": page[PAGE_SIZE - 1].pk} if len(page) > PAGE_SIZE else None
    )
    context = {
        "messages_shown": shown,
        "channels": list(Channel),
        "channel": channel,
        "newest": page[0].pk if page else 0,
        "older": urlencode(older) if older else "",
        "is_first": not before,
    }
    response = render(request, "carillon/outbox.html", context)
    response["Cache-Control"] = "no-store"
    return response


@require_safe
@staff_or_loopback
def mail_html(request: HttpRequest, number: int) -> HttpResponse:
    """Returns the HTML part of a mail, for the frame that shows it."""
    row = SandboxMessage.objects.filter(pk=number).first()
    if row is None or not row.content.get("html") or not _sight(request)(row):
        raise Http404
    response = HttpResponse(row.content["html"])
    response["Content-Security-Policy"] = _mail_policy()
    response["Cache-Control"] = "no-store"
    return response


def _sight(request: HttpRequest) -> Callable[[SandboxMessage], bool]:
    """Returns which messages a visitor sees.

    Security messages carry codes and links to new passwords: an operator who read one could become
    an administrator. So in production they are for administrators.
    """
    is_all = is_at_this_machine(request) or may_manage_staff(request.user)
    return lambda row: is_all or row.content.get("category") != _SECURITY


def _outbox_message(row: SandboxMessage) -> OutboxMessage:
    content: dict[str, Any] = row.content
    headers: dict[str, Any] = content.get("headers") or {}
    data = content.get("data")
    priority = f"priority {content['priority']}" if content.get("priority") else ""
    about = (content.get("category"), priority, content.get("provider"))
    return OutboxMessage(
        number=row.pk,
        channel=row.channel,
        shape=_SHAPES.get(Channel(row.channel), "plain"),
        at=row.at,
        sender=headers.get("From") or content.get("sender") or environment().email_from,
        recipient=str(content.get("recipient", "")),
        title=str(content.get("title", "")),
        body=str(content.get("body", "")),
        has_html=bool(content.get("html")),
        headers=[(name, str(headers[name])) for name in headers if name not in _OWN_HEADERS],
        files=[
            f"{each['filename']} ({each['content_type']}, {each['bytes']:,} bytes)"
            for each in content.get("attachments") or []
        ],
        about=[each for each in about if each],
        data=json.dumps(data, ensure_ascii=False, indent=2) if data else "",
    )
