"""Every response of a real server has the security headers, and Chromium finds no violation."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from carillon.settings.headers import SHARED, security_headers
from notifications.api.permissions.urls import all_paths
from tests.functional.installation import Installation
from tests.functional.test_browser import CHROMIUM, QUIET
from tests.functional.web import SEND, Web, running

pytestmark = pytest.mark.processes
SESSION = """
from django.test import Client
from directory.models import User
client = Client()
client.force_login(User.objects.get(username="admin"))
print(client.cookies["sessionid"].value)
"""
LINK = """
from directory.models import User
from notifications.infra.links import preferences_url
user = User.objects.get(username="student1")
print(preferences_url(user.pk, user.email))
"""
OUTBOX_MAIL = re.compile(r"/outbox/\d+/html")
UNSAFE = ("/api/docs",)
"""Pages with inline styles. Mails in the outbox have them, too, in a sandbox."""
CACHED = ("/static/", "/carillon-sw.js", "/.well-known/security.txt")
ADMIN_PAGES = (
    "/admin/",
    "/admin/directory/user/",
    "/admin/directory/user/add/",
    "/admin/directory/user/1/change/",
    "/admin/notifications/notificationtemplate/",
    "/admin/password_change/",
    "/admin/nothing-here/",
)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    place = Installation(
        tmp_path_factory.mktemp("headers"),
        security_contact="mailto:security@example.org",
        allowed_hosts="127.0.0.1,localhost",
    )
    place.prepare(demo=True)
    with running(place) as found:
        yield found


def faults_of(path: str, headers: Mapping[str, str]) -> list[str]:
    """Returns what is wrong with the headers of a response."""
    policy = headers.get("Content-Security-Policy", "")
    found = [f"{name}: {headers.get(name)}" for name in SHARED if not headers.get(name)]
    styles = path.rstrip("/") in UNSAFE or OUTBOX_MAIL.fullmatch(path)
    if "unsafe" in policy.replace("style-src 'self' 'unsafe-inline'" if styles else "", ""):
        found.append(policy)
    if "default-src" not in policy or "frame-ancestors" not in policy:
        found.append(policy or "no policy")
    if not path.startswith(CACHED) and "no-store" not in headers.get("Cache-Control", ""):
        found.append(f"Cache-Control: {headers.get('Cache-Control')}")
    if headers.get("Server"):
        found.append(f"Server: {headers.get('Server')}")
    return [f"{path}: {fault}" for fault in found]


def every_path() -> list[str]:
    """Returns a path for each pattern, and some that match none."""
    known = [re.sub(r"<\w+:\w+>", "1", each) for each in sorted(all_paths())]
    plain = [re.sub(r"[\^$]|\(\?P<\w+>[^)]*\)", "", each) for each in known]
    others = ["static/admin/css/base.css", "static/nothing.css", "nothing", "api/v1/nothing"]
    others += ["api/v1/nothing/%00", ".well-known/security.txt", "admin/login/", "favicon.ico"]
    return [f"/{path}" for path in (*plain, *others)]


def test_every_url_answers_with_the_headers(web: Web) -> None:
    faults: list[str] = []
    for token in (web.token, ""):
        web.token, before = token, web.token
        for path in every_path():
            faults += faults_of(path, web.get(path).headers)
        web.token = before
    assert faults == []


def test_a_send_that_is_served_in_a_group_and_its_refusals_have_them(web: Web) -> None:
    asked: list[tuple[str, str, Any]] = [
        ("POST", SEND, {}),
        ("POST", SEND, {"user_id": 1, "context": "x" * 11_000_000}),
        ("DELETE", SEND, None),
        ("POST", "/", {}),
        ("PUT", "/api/v1/users", {}),
        ("POST", "/admin/login/", {}),
    ]
    found = [(path, web.request_path(method, path, body)) for method, path, body in asked]
    found.append((SEND, web.send()))
    statuses = [each.status for _, each in found]
    assert statuses == [400, 413, 405, 403, 405, 403, 201]
    assert [fault for path, each in found for fault in faults_of(path, each.headers)] == []


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"NONSENSE / HTTP/1.1\r\nhost: x\r\n\r\n", 405),
        (b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 40_000 + b"\r\n\r\n", 431),
        (b"\x16\x03\x01\x00", 405),
        (b"TRACE / HTTP/1.1\r\nhost: localhost\r\n\r\n", 405),
        (b"GET / HTTP/1.1\r\nhost: evil.example\r\n\r\n", 400),
    ],
)
def test_what_the_server_refuses_itself_has_them(web: Web, sent: bytes, status: int) -> None:
    with contextlib.closing(socket.create_connection(("127.0.0.1", web.port), 20)) as connection:
        connection.sendall(sent)
        head = b""
        while b"\r\n\r\n" not in head:
            part = connection.recv(65_536)
            assert part, head
            head += part
    lines = head.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    headers = {
        name.strip().title(): value.strip()
        for name, _, value in (x.partition(":") for x in lines[1:])
    }
    folded = {name: headers.get(name.title(), "") for name in (*SHARED, "Cache-Control", "Server")}
    folded["Content-Security-Policy"] = headers.get("Content-Security-Policy", "")
    assert int(lines[0].split()[1]) == status
    assert faults_of("/", folded) == []


def test_the_contact_is_published(web: Web) -> None:
    found = web.get("/.well-known/security.txt")
    lines = found.body.decode().splitlines()
    assert found.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert lines[0] == "Contact: mailto:security@example.org"
    assert re.fullmatch(r"Expires: \d{4}-\d\d-\d\dT00:00:00Z", lines[1])


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="browser tests need Chromium: make browser")
def test_chromium_finds_no_violation_on_any_page(web: Web) -> None:
    from playwright.sync_api import sync_playwright

    home = f"http://127.0.0.1:{web.port}"
    session, link = web.place.python(SESSION).strip(), web.place.python(LINK).strip()
    of_people = "/preferences/" + link.partition("/preferences/")[2]
    paths = [
        "/",
        "/outbox/",
        "/demo/",
        "/api/docs/",
        "/admin/login/",
        "/nothing",
        of_people,
        *ADMIN_PAGES,
    ]
    violations: list[str] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        context = browser.new_context()
        context.add_cookies([{"name": "sessionid", "value": session, "url": home}])
        page = context.new_page()
        page.on("console", lambda line: violations.append(line.text))
        seen = []
        for path in paths:
            page.goto(home + path, wait_until="load")
            seen.append(page.title())
        page.goto(f"{home}/")
        page.evaluate(
            "document.body.insertAdjacentHTML('beforeend', '<p style=\"color:red\">x</p>')"
        )
        planted = [line for line in violations if "Content Security Policy" in line]
        browser.close()
    assert all(seen), seen
    assert len(planted) == 1, violations  # the one that this test planted
    assert "style" in planted[0]


def test_hsts_is_sent_in_production_alone() -> None:
    assert "Strict-Transport-Security" not in security_headers("/", https_only=False)
    found = security_headers("/", https_only=True)["Strict-Transport-Security"]
    assert found == "max-age=31536000; includeSubDomains"
