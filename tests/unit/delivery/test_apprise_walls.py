"""Any caller may register an Apprise URL, so it may call listed hosts only."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from apprise.manager_plugins import NotificationManager

from notifications.delivery.vendors.apprise.send import AppriseChatProvider
from notifications.delivery.vendors.apprise.services import SERVICES
from notifications.domain.messages import Content, OutboundMessage, Verdict
from notifications.infra.http.connection_guard import guard_connections
from notifications.testing.servers import HTTPSink

SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/"
DISCORD = "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js/"
FLOW = "workflows://prod-12.westus.logic.azure.com:443/643e69f83c8944/iUNqS84f/"
GRAM = "tgram://123456789:abcdefghijklmnopqrstuvwxyz123456789/12345/"


def plugins():
    """Returns the plugins of the library by URL scheme. It loads them when they are first used."""
    manager = NotificationManager()
    manager.load_modules()
    return manager._schema_map


@pytest.fixture
async def inner():
    """A server of the private network, which may never be called."""
    async with HTTPSink() as sink:
        yield sink


@pytest.fixture
def guarded(settings):
    def override(**values):
        settings.CARILLON = dataclasses.replace(
            settings.CARILLON, webhook_allow_private=False, **values
        )

    override()
    return override


@pytest.fixture
def names(monkeypatch):
    """Names that resolve to addresses of the test."""
    real, known = socket.getaddrinfo, {}

    def resolve(host, *args, **kwargs):
        return real(known.get(host, host), *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return known


async def sent(url):
    provider = AppriseChatProvider()
    try:
        message = OutboundMessage(1, "0190aa.chat", "chat", url, Content("Paid", "We got it"))
        (result,) = await provider.send_batch([message])
        return result
    finally:
        await provider.close()


@pytest.mark.parametrize(
    "url",
    [
        "mailto://u:p@ntfy.sh?smtp=127.0.0.1",
        "mailtos://u:p@ntfy.sh?smtp=127.0.0.1&mode=ssl",
        "mailto://ntfy.sh/?to=a@example.com&pgppub=/etc/passwd&pgp=yes",
        "fcm://project/token/?keyfile=/etc/passwd",
        "fcm://project/token/?keyfile=http://127.0.0.1:{port}/key",
        "fcm://apikey/token",
        "vapid://me@example.com/token?keyfile=http://127.0.0.1:{port}/k&subfile=/etc/passwd",
        "vapid://me@example.com",
        DISCORD + "?template=/etc/passwd",
        DISCORD + "?template=http://127.0.0.1:{port}/t.json",
        DISCORD + "?Template=/etc/passwd",
        DISCORD + "?%74emplate=/etc/passwd",
        DISCORD + "?tts=no&template=/etc/passwd",
        DISCORD + "?avatar_url=http://127.0.0.1:{port}/a.png",
        SLACK + "?template=/etc/passwd",
        FLOW + "?template=/etc/passwd",
        FLOW + "?template=file:///etc/passwd",
        GRAM + "?template=/etc/passwd",
        GRAM + "?content=/etc/passwd",
        SLACK + "?verify=no",
        SLACK + "?cto=3600&rto=3600",
        SLACK + "?redirect=yes",
        SLACK + "?store=no",
        "json://ntfy.sh/?+Host=127.0.0.1",
        "json://ntfy.sh/?-x=1",
        "json://ntfy.sh/?:type=message",
        "form://ntfy.sh/?attach-as=file",
        "ntfy://ntfy.sh/topic?attach=file:///etc/passwd",
        "ntfy://ntfy.sh/topic?email=me@evil.example",
        "ntfy://ntfy.sh/topic?click=http://127.0.0.1:{port}/",
        "ntfy://127.0.0.1:{port}/topic",
        "ntfy://ntfy.sh@127.0.0.1:{port}/topic",
        "ntfy://127.0.0.1:{port}/ntfy.sh",
        "ntfy://ntfy.sh.evil.example/topic",
        "workflows://evil.example/.logic.azure.com/iUNqS84f/",
        "workflows://logic.azure.com.evil.example:443/643e69f83c8944/iUNqS84f/",
        "gotify://127.0.0.1:{port}/token",
        "matrix://user:pass@127.0.0.1:{port}/#chat",
        "mmost://127.0.0.1:{port}/3ccdd113474722377935511fc85d3dd4",
        "rocket://user:pass@127.0.0.1:{port}/#general",
        "nctalk://u:p@127.0.0.1:{port}/chat",
        "apprise://127.0.0.1:{port}/token",
        "mqtt://127.0.0.1/topic",
        "amqp://127.0.0.1/queue",
        "irc://127.0.0.1/#channel",
        "xmpp://u:p@127.0.0.1",
        "smpp://u:p@127.0.0.1:2775/15555550100/15555550101",
        "rsyslog://127.0.0.1",
        "syslog://",
        "nostr://key?relay=127.0.0.1",
        "ses://me@example.com/AKIA/secret/evil.example/x@example.com",
        "sns://AKIA/secret/us-east-1/+15005550006",
        "kodi://127.0.0.1:{port}",
        "emby://u:p@127.0.0.1:{port}",
        "enigma2://127.0.0.1:{port}",
        "growl://127.0.0.1",
        "synology://127.0.0.1:{port}/token?file_url=http://127.0.0.1:{port}/x",
        "https://127.0.0.1:{port}/workflows/x/triggers/manual/paths/invoke?sig=y",
        "https://discord.com/api/webhooks/4174216298/JHMHI8qBe7bk2ZwO5U711?template=/etc/passwd",
        "https://discord.com.evil.example/api/webhooks/4174216298/JHMHI8qBe7bk2ZwO5U711",
        "windows://",
        "file:///etc/passwd",
        "https://[/x",
        "slack://\x00",
    ],
)
async def test_no_parameter_of_a_url_selects_another_host(guarded, inner, url):
    url = url.format(port=inner.port)
    provider = AppriseChatProvider()

    assert await provider.validate_recipient(url) is False
    await provider.close()
    result = await sent(url)

    assert (result.verdict, result.error_code) == (Verdict.FAILED, "invalid_recipient")
    assert inner.count == 0


@pytest.mark.parametrize(
    "url",
    [
        SLACK + "?footer=no&blocks=yes",
        DISCORD + "?tts=yes&thread=4174216298",
        GRAM + "?silent=yes",
        FLOW,
        "ntfy://ntfy.sh/topic?priority=high",
        "https://discord.com/api/webhooks/4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
        "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "https://prod-12.westus.logic.azure.com:443/workflows/643e69f83c8944/triggers/manual/paths/"
        "invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=iUNqS84f",
        "pover://abcdefghijklmnopqrstuvwxyz1234@abcdefghijklmnopqrstuvwxyz1234?priority=high",
    ],
)
async def test_listed_services_and_parameters_may_be_called(guarded, url):
    provider = AppriseChatProvider()

    assert await provider.validate_recipient(url) is True
    await provider.close()


async def test_a_listed_name_with_a_private_address_is_refused(guarded, inner, names):
    names["ntfy.sh"] = "127.0.0.1"

    result = await sent(f"ntfy://ntfy.sh:{inner.port}/topic")

    assert (result.verdict, result.error_code) == (Verdict.FAILED, "address_refused")
    assert inner.count == 0


async def test_a_vendors_name_with_a_private_address_is_refused(guarded, names):
    names["discord.com"] = "127.0.0.1"

    result = await sent(DISCORD)

    assert (result.verdict, result.error_code) == (Verdict.FAILED, "address_refused")


async def test_a_private_address_is_called_if_the_operator_lists_it(guarded, inner, names):
    names["chat.intern"] = "127.0.0.1"
    guarded(apprise_hosts=("chat.intern",))
    assert (await sent(f"json://chat.intern:{inner.port}/")).verdict is Verdict.FAILED
    assert inner.count == 0

    guarded(apprise_hosts=("chat.intern", "127.0.0.1"))

    assert (await sent(f"json://chat.intern:{inner.port}/")).verdict is Verdict.SENT
    assert inner.requests[0].headers["host"] == f"chat.intern:{inner.port}"


async def test_a_call_of_the_library_to_another_host_is_blocked(guarded, inner, monkeypatch):
    """Hosts are enforced when a connection is made, even for a parameter that was overlooked."""
    plugin = plugins()["discord"]
    monkeypatch.setattr(plugin, "notify_url", f"http://127.0.0.1:{inner.port}/steal")

    result = await sent(DISCORD)

    assert (result.verdict, result.error_code) == (Verdict.FAILED, "address_refused")
    assert inner.count == 0


async def test_other_calls_are_not_blocked(inner):
    def call():
        return requests.get(f"http://127.0.0.1:{inner.port}/", timeout=5).status_code

    def walled_call():
        with (
            guard_connections(lambda _host, _port: None) as walled,
            pytest.raises(requests.ConnectionError),
        ):
            call()
        return walled.refused

    def call_beside_a_walled_one():
        with guard_connections(lambda _host, _port: None), ThreadPoolExecutor(1) as threads:
            return threads.submit(call).result()

    assert await asyncio.to_thread(walled_call) is True
    assert await asyncio.to_thread(call_beside_a_walled_one) == 200
    assert await asyncio.to_thread(call) == 200


def test_the_table_lists_only_http_services_of_apprise():
    known = plugins()
    for scheme, service in SERVICES.items():
        source = inspect.getsource(inspect.getmodule(known[scheme]))
        assert "import requests" in source, scheme
        other = r"^\s*(import|from) (socket|smtplib|ssl|subprocess|asyncio|websocket|paho)"
        assert not re.search(other, source, re.M), scheme
        names_a_host = any("{host" in form for form in known[scheme].templates)
        assert names_a_host is not bool(service.hosts), scheme


def test_no_listed_parameter_names_a_host_a_file_or_a_guard():
    words = r"url|uri|href|host|file|path|attach|template|smtp|proxy|relay|verify|cert|pgp|ima|icon"
    harmless = {"profile"}  # of Telnyx: an id
    for scheme, service in SERVICES.items():
        for name in service.parameters:
            assert name in harmless or not re.search(words, name), (scheme, name)


def test_no_parameter_that_apprise_reads_as_a_file_is_listed():
    known = plugins()
    for scheme, service in SERVICES.items():
        source = inspect.getsource(inspect.getmodule(known[scheme]))
        read = set(re.findall(r"self\.(\w+) = AppriseAttachment\(", source))
        assert not read & service.parameters, scheme
        assert json.dumps(sorted(service.parameters)).isascii()
