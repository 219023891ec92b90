"""SSRF: no URL of a caller leads inside, by whatever spelling, name, redirect or lying resolver."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from carillon.settings.environment import Environment
from directory.models import User
from notifications.api.routes import ROUTES
from notifications.infra.http import client as http
from notifications.infra.http.client import AddressRefused, HttpClient, HttpFault, check_url
from notifications.models import ApiKey
from tests.attacks.conftest import person, quiet

V1 = "/api/v1"
INSIDE = [
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://0/",
    "http://0.0.0.0/",
    "http://10.1.2.3/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b:1::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:7f00:1::]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fd00::1]/",
    "http://[fec0::1]/",
    "http://[fd00:ec2::254]/",
    "http://[ff02::1]/",
    "http://user@93.184.216.34/",
    "http://user:password@93.184.216.34/",
    "http://93.184.216.34@127.0.0.1/",
    "http://93.184.216.34:22/",
    "http://93.184.216.34:6379/",
    "http://93.184.216.34:0/",
    "http://\u2460\u2461\u2466.0.0.1/",
    "http://127\u30020\u30020\u30021/",
    "http://\uff11\uff12\uff17.0.0.1/",
    "http://127.0.0.1\\@93.184.216.34/",
    "http://93.184.216.34\t.evil/",
    "http://93.184.216.34%2f@127.0.0.1/",
    "http:///127.0.0.1/",
    "//127.0.0.1/",
    "http:127.0.0.1",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_x",
    "ftp://127.0.0.1/",
    "dict://127.0.0.1:11211/",
    "javascript:alert(1)",
    "data:text/plain,x",
    "unix:///run/docker.sock",
    "jar:http://127.0.0.1!/",
    "http://",
    "http://.",
    "http://a..b/",
]
"""URLs that lead inside, and URLs that readers understand in different ways."""
NAMES_OF_INSIDE = ("127.1", "0177", "0x7f", "2130706433", "017700000001", "http://0/")
"""Spellings that only a resolver reads as an address: they are refused at the call."""


def is_refused_at_once(url: str) -> bool:
    try:
        check_url(url, allow_private=False)
    except AddressRefused:
        return True
    return False


@pytest.mark.parametrize("url", INSIDE)
async def test_no_spelling_leads_inside(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused at once, or at the call: a resolver may read more spellings than we do."""
    opened: list[Any] = []

    async def connect(*given: Any, **_: Any) -> Any:
        opened.append(given)
        raise OSError("a connection was attempted")

    monkeypatch.setattr(http.aiohappyeyeballs, "start_connection", connect)
    client = HttpClient(timeout_s=5, guarded=True)
    try:
        with pytest.raises((AddressRefused, HttpFault)) as refusal:
            await client.request("POST", url, headers={}, body=b"{}")
    finally:
        await client.close()
    assert opened == []
    if isinstance(refusal.value, HttpFault):  # the resolver knows no such name
        assert refusal.value.code == "dns"


WEBHOOK = {"events": ["message.failed"], "name": "ours"}


@pytest.mark.django_db
@pytest.mark.once
@pytest.mark.parametrize("url", INSIDE)
def test_no_webhook_is_made_for_what_is_refused_at_once(url: str) -> None:
    client = quiet(ApiKey.make(name="hooks", scopes=["webhooks:write"])[1])
    made = client.post(f"{V1}/webhooks", {**WEBHOOK, "url": url}, format="json")
    assert (made.status_code == 400) is is_refused_at_once(url), made.content
    if made.status_code == 201:  # a name, as far as this machine knows: refused at the call
        assert any(each in url for each in NAMES_OF_INSIDE), url
        answer = client.post(f"{V1}/webhooks/{made.json()['id']}/test", {}, format="json")
        assert answer.status_code == 200, answer.content
        assert (answer.json()["taken"], answer.json()["http_status"]) == (False, None)


@pytest.mark.django_db
@pytest.mark.once
def test_a_key_changes_no_webhook_to_an_address_inside() -> None:
    client = quiet(ApiKey.make(name="hooks", scopes=["webhooks:write"])[1])
    body = {**WEBHOOK, "url": "https://example.com/hook"}
    made = client.post(f"{V1}/webhooks", body, format="json").json()
    changed = client.put(
        f"{V1}/webhooks/{made['id']}", {**body, "url": "http://169.254.169.254/"}, format="json"
    )
    assert changed.status_code == 400
    assert client.get(f"{V1}/webhooks/{made['id']}").json()["url"] == body["url"]


class LyingResolver:
    """Answers with a public address first and with one inside from then on."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def getaddrinfo(self, _loop: Any, host: str, port: int, **_: Any) -> list[Any]:
        self.asked += 1
        found = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (address, port),
            )
            for address in found
        ]

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def getaddrinfo(loop: Any, host: str, port: int, **more: Any) -> list[Any]:
            return await self.getaddrinfo(loop, host, port, **more)

        monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize("inside", ["127.0.0.1", "169.254.169.254", "::1", "fd00::1", "10.0.0.1"])
async def test_a_resolver_that_lies_later_changes_no_connection(
    monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    """Rebinding: what was checked is connected to; each further call is checked anew."""
    resolver = LyingResolver(["93.184.216.34"], [inside])
    resolver.install(monkeypatch)
    tried: list[str] = []

    async def connect(addresses: Any, **_: Any) -> Any:
        tried.extend(each[4][0] for each in addresses)
        raise OSError("nothing listens")

    monkeypatch.setattr(http.aiohappyeyeballs, "start_connection", connect)
    for _ in range(3):
        client = HttpClient(timeout_s=5, guarded=True)
        with pytest.raises((HttpFault, AddressRefused)):
            await client.request("POST", "https://rebind.example/hook", headers={}, body=b"{}")
        await client.close()
    assert set(tried) <= {"93.184.216.34"}
    assert resolver.asked >= 1


@pytest.mark.parametrize("inside", ["127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1"])
async def test_one_address_inside_among_public_ones_refuses_the_name(
    monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    LyingResolver(["93.184.216.34", inside]).install(monkeypatch)
    client = HttpClient(timeout_s=5, guarded=True)
    with pytest.raises(AddressRefused):
        await client.request("POST", "https://mixed.example/", headers={}, body=b"{}")
    await client.close()


@pytest.mark.django_db
@pytest.mark.once
def test_no_stored_setting_of_a_provider_is_a_url() -> None:
    """A destination comes from the environment, never from a row that a weaker right may write."""
    client = quiet(ApiKey.make(name="settings", scopes=["providers:write"])[1])
    vendors = {name.split("_")[0] for name in _url_settings()}
    for vendor in vendors - {"public", "app"}:
        for name in _url_settings():
            body = {"settings": {name: "http://169.254.169.254/"}}
            answer = client.put(f"{V1}/providers/{vendor}", body, format="json")
            assert answer.status_code in (400, 404), (vendor, name, answer.content)


def _url_settings() -> list[str]:
    return [name for name in Environment.__dataclass_fields__ if name.endswith(("_url", "_host"))]


@pytest.mark.django_db
@pytest.mark.once
def test_a_browser_names_no_push_service_without_tls(ada: User) -> None:
    """A name or address inside is refused at each call: tests/unit/delivery/test_web_push.py."""
    keys = {"p256dh": "B" * 87, "auth": "a" * 22}
    for url in ("http://127.0.0.1/p", "file:///etc/passwd", "gopher://10.0.0.1/", "//10.0.0.1/"):
        body = {"platform": "web", "endpoint": url, "keys": keys}
        answer = person(ada).post(f"{V1}/devices", body, format="json")
        assert answer.status_code == 400, (url, answer.content)
    assert ada.devices.count() == 0


def test_every_body_with_a_url_is_known() -> None:
    """A new field for a URL: say here whether the service itself calls it."""
    found = {
        (route.name, name)
        for route in ROUTES
        if route.body is not None
        for name in route.body.__struct_fields__
        if "url" in name or name in ("link", "image", "icon", "endpoint", "callback")
    }
    called = {
        ("create_webhook", "url"),
        ("replace_webhook", "url"),
        ("register_device", "endpoint"),
    }
    shown = {each for each in found if each[1] in ("link", "image", "icon", "avatar_url")}
    assert found - called - shown == set()
