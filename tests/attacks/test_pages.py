"""Pages: no redirect elsewhere, no change by a form of another site, no frame, no cached secret."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from django.test import Client

from directory.models import User
from notifications.api.permissions.urls import all_paths
from notifications.domain.redaction import LINK_PAGES
from notifications.infra.links import preferences_url
from tests.attacks.conftest import person

pytestmark = [pytest.mark.django_db, pytest.mark.once]
HOST = "http://testserver"
ELSEWHERE = [
    "https://evil.example/",
    "//evil.example/",
    "///evil.example/",
    "////evil.example",
    "/\\evil.example/",
    "\\\\evil.example/",
    "https:evil.example",
    "https:/evil.example",
    "http:///evil.example",
    "/%09/evil.example",
    "\t//evil.example",
    "//evil.example@testserver/",
    "https://testserver@evil.example/",
    "https://testserver.evil.example/",
    "//\u3002evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "/admin/\r\nLocation: https://evil.example/",
]
PARAMETERS = (
    "next",
    "return",
    "return_to",
    "redirect",
    "redirect_uri",
    "url",
    "to",
    "lang",
    "data",
)
SIGNED = r"(?:account|inbound|sms|api)/"


def page_paths() -> list[str]:
    """Returns a path for each page: no call of the API."""
    found = sorted(all_paths())
    plain = [re.sub(r"<\w+:\w+>", "1", each) for each in found if not each.startswith("api/")]
    return [f"/{re.sub(r'[$^]', '', path)}" for path in plain if "(?P" not in path]


def stays_here(location: str, path: str) -> bool:
    """Whether a browser that follows this header stays on our host."""
    browser = re.sub(r"[\t\r\n]", "", location).replace("\\", "/")
    target = urlsplit(urljoin(f"{HOST}{path}", browser))
    return target.scheme in ("http", "https") and target.netloc == "testserver"


@pytest.mark.parametrize("path", page_paths())
def test_no_parameter_leads_a_visitor_to_another_host(client: Client, path: str) -> None:
    for target in ELSEWHERE:
        answer = client.get(path, dict.fromkeys(PARAMETERS, target))
        assert answer.status_code < 500
        assert stays_here(answer.headers.get("Location", "/"), path), (path, target)


@pytest.mark.parametrize("target", ELSEWHERE)
def test_no_sign_in_ends_on_another_host(client: Client, staff: User, target: str) -> None:
    staff.set_password("correct horse battery")
    staff.save()
    form = {"login": staff.username, "password": "correct horse battery", "next": target}
    answer = client.post("/account/login", form)
    assert answer.status_code == 302
    assert stays_here(answer.headers["Location"], "/account/login"), answer.headers


@pytest.mark.parametrize("target", ELSEWHERE)
def test_no_form_of_a_link_ends_on_another_host(client: Client, ada: User, target: str) -> None:
    path = "/preferences/" + preferences_url(ada.pk, ada.email).partition("/preferences/")[2]
    form = dict.fromkeys(PARAMETERS, target) | {"shown": ""}
    answer = client.post(f"{path}?lang={target}", form)
    assert stays_here(answer.headers.get("Location", "/"), path), answer.headers


@pytest.mark.parametrize("host", ["evil.example", "testserver.evil.example", "evil.example:80"])
def test_a_host_header_makes_no_link(client: Client, settings: Any, host: str) -> None:
    settings.ALLOWED_HOSTS = ["testserver"]
    for path in ("/", "/admin/", "/preferences", "/api/schema"):
        assert client.get(path, headers={"Host": host}).status_code == 400
        answer = client.get(path, headers={"X-Forwarded-Host": host, "Forwarded": f"host={host}"})
        assert host not in answer.headers.get("Location", "")
        assert answer.streaming or host.encode() not in answer.content


WITHOUT_TOKEN = {
    "confirm/<str:token>": "the address is a credential that no other site has",
    "preferences/<str:token>": "the address is a credential that no other site has",
    "your-data/<str:token>": "the address is a credential that no other site has",
    "your-data/<str:token>/<str:form>": "the address is a credential that no other site has",
    "unsubscribe/<str:token>": "RFC 8058: mail programs post without a page",
    "inbound/<str:provider>": "the vendor's signature",
    "sms/twilio": "the vendor's signature",
}
"""Pages whose forms need no CSRF token, and what they need instead."""
WITH_TOKEN = {"invitation", "new-password"}
"""Pages of links whose forms need a CSRF token as well: what they set is a password."""


def posted(client: Client, path: str, **more: Any) -> Any:
    return client.post(path, {"shown": "", "marketing_enabled": "on"}, **more)


def test_no_form_is_taken_from_another_site(ada: User) -> None:
    """Each page is posted to with the cookies of a session and the Origin of another site."""
    browser = Client(enforce_csrf_checks=True, raise_request_exception=False)
    browser.force_login(ada)
    open_pages = []
    for pattern in sorted(all_paths()):
        if pattern.startswith("api/") or "(?P" in pattern:
            continue
        path = "/" + re.sub(r"<\w+:\w+>", "1", pattern)
        for origin in ({}, {"Origin": "https://evil.example"}):
            answer = posted(browser, path, headers=origin)
            if answer.status_code not in (403, 405):
                open_pages.append(pattern)
    assert {each for each in open_pages if each not in WITHOUT_TOKEN} == set()


def test_pages_without_a_token_have_an_address_that_is_a_credential() -> None:
    by_link = {each.partition("/")[0] for each in WITHOUT_TOKEN if "token>" in each}
    assert by_link == set(LINK_PAGES) - WITH_TOKEN


@pytest.mark.parametrize("page", LINK_PAGES)
def test_a_made_up_link_changes_nothing(ada: User, page: str) -> None:
    browser = Client(enforce_csrf_checks=True)
    for token in ("1", "p.1.", f"p.{ada.pk}..{'a' * 22}", f"u.{ada.pk}.course.{'A' * 22}"):
        assert posted(browser, f"/{page}/{token}").status_code in (
            (403,) if page in WITH_TOKEN else (400, 404, 405, 410)
        )


def test_a_session_is_no_credential_of_the_api(staff: User) -> None:
    """So no form of another site reaches a call with the cookies of its visitor."""
    browser = Client()
    browser.force_login(staff)
    for method in ("get", "post", "put", "delete"):
        for path in ("/api/v1/users", "/api/v1/api-keys", "/api/v1/kill-switch"):
            answer = getattr(browser, method)(path)
            assert answer.status_code in (401, 405), (method, path, answer.status_code)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_a_form_is_no_body_of_the_api(ada: User, kind: str) -> None:
    """What a form of another site can send without a preflight is refused: 415."""
    answer = person(ada).generic(
        "POST", "/api/v1/devices", b'{"token": "t", "platform": "ios"}', content_type=kind
    )
    assert answer.status_code in (400, 415), answer.content
    assert ada.devices.count() == 0


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://testserver.evil.example"]
)
def test_no_origin_may_read_a_response(client: Client, ada: User, origin: str) -> None:
    for path in ("/api/v1/preferences", "/api/v1/auth/token", "/", "/health", "/api/schema"):
        for method in ("GET", "OPTIONS"):
            asked = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
            answer = person(ada).generic(method, path, headers=asked)
            found = [name for name in answer.headers if name.lower().startswith("access-control")]
            assert found == [], (path, method)


def test_no_method_but_posts_changes_a_page(client: Client, ada: User) -> None:
    path = "/preferences/" + preferences_url(ada.pk, ada.email).partition("/preferences/")[2]
    before = client.get(path).content
    for method in ("GET", "HEAD"):
        client.generic(method, f"{path}?notifications_enabled=on&shown=&marketing_enabled=on")
    for method in ("PUT", "PATCH", "DELETE", "TRACE"):
        assert client.generic(method, path).status_code == 405
    assert client.get(path).content == before


def test_an_overriding_method_is_not_read(client: Client, ada: User) -> None:
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        answer = person(ada).get("/api/v1/preferences", headers={name: "PUT"})
        assert answer.status_code == 200
    answer = person(ada).get("/api/v1/preferences?_method=PUT")
    assert answer.status_code in (200, 400)
