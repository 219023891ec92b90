"""Outgoing HTTP: what was written, what may be called, and how much is read."""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.infra.http import client as http
from notifications.infra.http.client import (
    READ_LIMIT,
    AddressRefused,
    HttpClient,
    HttpFault,
    check_url,
    is_public,
    retry_after_s,
)
from notifications.testing.servers import Act, HTTPSink, Reply, SMTPSink

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e"],
)
def test_addresses_of_the_internet_are_public(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1",
        "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.8", "192.0.2.1", "192.88.99.1",
        "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1",
        "255.255.255.255", "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8",
        "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1",
        "2002:7f00:1::1", "2002:808:808::1", "3fff::1", "fc00::1", "fd12::1", "fe80::1",
        "fe80::1%eth0", "fec0::1", "ff02::1", "not an address", "",
    ],
)  # fmt: skip
def test_all_other_addresses_are_not(address):
    assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_no_private_address_is_public_in_any_notation(address):
    packed = int(address)
    disguises = [f"::ffff:{address}", f"64:ff9b::{packed >> 16:x}:{packed & 0xFFFF:x}"]
    disguises += [f"2002:{packed >> 16:x}:{packed & 0xFFFF:x}::1", f"::{address}"]

    assert not any(is_public(disguise) for disguise in disguises)
    if not address.is_global or address.is_multicast:
        assert not is_public(str(address))


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ftp://example.com/", "url_refused"),
        ("file:///etc/passwd", "url_refused"),
        ("gopher://example.com/", "url_refused"),
        ("//example.com/", "url_refused"),
        ("example.com", "url_refused"),
        ("http://", "url_refused"),
        ("", "url_refused"),
        ("http://example.com:22/", "url_refused"),
        ("http://example.com:99999/", "url_refused"),
        ("http://user@example.com/", "url_refused"),
        ("http://user:secret@example.com/", "url_refused"),
        ("http://example.com\\@127.0.0.1/", "url_refused"),
        ("http://example.com\r\n/", "url_refused"),
        ("http://exam ple.com/", "url_refused"),
        ("http://127.0.0.1%2f@example.com/", "url_refused"),
        ("http://%31%32%37.0.0.1/", "url_refused"),
        ("http://[fe80::1%25eth0]/", "url_refused"),
        ("http://127.0.0.1/", "address_refused"),
        ("http://169.254.169.254/latest/meta-data/", "address_refused"),
        ("http://[::1]/", "address_refused"),
        ("http://[::ffff:127.0.0.1]:8080/", "address_refused"),
        ("http://[::ffff:7f00:1]/", "address_refused"),
        ("http://[64:ff9b::a00:1]/", "address_refused"),
    ],
)
def test_a_url_that_may_not_be_called_is_refused(url, code):
    with pytest.raises(AddressRefused) as refusal:
        check_url(url, allow_private=False)

    assert refusal.value.code == code


@pytest.mark.parametrize(
    "url", ["https://example.com/hook?a=1#part", "http://example.com:8080/", "https://8.8.8.8/"]
)
def test_a_public_url_is_accepted_without_its_fragment(url):
    assert str(check_url(url, allow_private=False)) == url.partition("#")[0]


def test_a_setting_allows_private_addresses_but_never_user_names():
    assert check_url("http://127.0.0.1:9999/", allow_private=True).port == 9999
    with pytest.raises(AddressRefused, match="user name"):
        check_url("http://a@127.0.0.1:9999/", allow_private=True)


@pytest.fixture
async def guarded():
    client = HttpClient(timeout_s=5, guarded=True)
    yield client
    await client.close()


async def post(client, url):
    return await client.request("POST", url, headers={}, body=b"{}")


@pytest.mark.parametrize("host", ["localhost", "localhost.", "localtest"])
async def test_a_name_with_a_private_address_is_refused(guarded, host, monkeypatch):
    resolve_to(monkeypatch, ["93.184.216.34", "127.0.0.1"])

    with pytest.raises(AddressRefused, match="leads to an address that is not public"):
        await post(guarded, f"http://{host}/")


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.1"])
async def test_an_unusual_spelling_of_a_private_address_is_refused(guarded, host):
    with pytest.raises((AddressRefused, HttpFault)) as refusal:
        await post(guarded, f"http://{host}/")

    if isinstance(refusal.value, HttpFault):  # no resolver read it as an address
        assert (refusal.value.code, refusal.value.written) == ("dns", False)


def resolve_to(monkeypatch, addresses):
    resolved = []

    async def getaddrinfo(_self, host, port, **_):
        resolved.append(host)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses
        ]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    return resolved


async def test_the_connection_uses_the_checked_address(guarded, monkeypatch):
    """DNS rebinding: the name is never resolved a second time."""
    async with HTTPSink() as sink:
        resolved = resolve_to(monkeypatch, [sink.host])
        monkeypatch.setattr(http, "is_public", lambda address: address == sink.host)
        monkeypatch.setattr(http, "PORTS", {sink.port})

        response = await post(guarded, f"http://rebind.example:{sink.port}/hook")

    assert response.status == 200
    assert set(resolved) == {"rebind.example"}
    assert resolved.count("rebind.example") == 1
    assert sink.requests[0].headers["host"] == f"rebind.example:{sink.port}"


async def test_a_name_that_cannot_be_resolved_was_not_written(guarded, monkeypatch):
    async def getaddrinfo(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)

    with pytest.raises(HttpFault) as fault:
        await post(guarded, "http://nowhere.example/")

    assert (fault.value.code, fault.value.written) == ("dns", False)
    assert (
        fault.value.detail == "the host's name cannot be resolved (before the request was written)"
    )


async def test_a_host_that_accepts_nothing_was_not_written():
    """The backlog is full: the connect hangs until its share of the timeout ends."""

    class Blackhole:
        async def resolve(self, host, port):
            await asyncio.Event().wait()

    client = HttpClient(timeout_s=0.15, resolver=Blackhole())

    with pytest.raises(HttpFault) as fault:
        await post(client, "http://slow.example/")

    await client.close()
    assert (fault.value.code, fault.value.written) == ("timeout", False)


async def test_plain_http_in_place_of_tls_was_not_written():
    async with SMTPSink() as sink:  # a server that sends first, without TLS
        client = HttpClient(timeout_s=5)
        with pytest.raises(HttpFault) as fault:
            await post(client, f"https://{sink.host}:{sink.port}/")
        await client.close()

    assert (fault.value.code, fault.value.written) == ("tls", False)


@pytest.mark.parametrize("act", [Act.RESET, Act.DROP])
async def test_a_request_without_a_response_may_have_been_written(act):
    async with HTTPSink(script=lambda _: act) as sink:
        client = HttpClient(timeout_s=5)
        with pytest.raises(HttpFault) as fault:
            await post(client, sink.url + "/")
        await client.close()

    assert (fault.value.code, fault.value.written) == ("connection", True)


async def test_reads_at_most_the_limit_and_closes_the_connection():
    async with HTTPSink(script=lambda _: Reply(body=b"x" * 5_000_000)) as sink:
        client = HttpClient(timeout_s=5)
        first = await post(client, sink.url + "/")
        await post(client, sink.url + "/")
        await client.close()

    assert (first.status, len(first.body), first.complete) == (200, READ_LIMIT, False)
    assert sink.connections == 2


async def test_a_status_with_a_cut_body_is_returned():
    async with HTTPSink(script=lambda _: Reply(503, body=b"y" * 1000, cut=True)) as sink:
        client = HttpClient(timeout_s=5)
        response = await post(client, sink.url + "/")
        await client.close()

    assert (response.status, response.complete) == (503, False)


async def test_redirects_proxies_and_cookies_are_ignored(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    headers = {"Location": "/elsewhere", "Set-Cookie": "a=b; Path=/"}
    async with HTTPSink(script=lambda _: Reply(307, headers=headers)) as sink:
        client = HttpClient(timeout_s=5)
        response = await post(client, sink.url + "/here")
        await post(client, sink.url + "/here")
        await client.close()

    assert response.status == 307
    assert [request.path for request in sink.requests] == ["/here", "/here"]
    assert "cookie" not in sink.requests[1].headers
    assert sink.connections == 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Sun, 01 Mar 2026 12:02:00 GMT", 120.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("99999999999999999999", 999_999_999.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("Sun, 01 Mar 2026 12:02:00 -0000", None),
        ("", None),
        ("²", None),
    ],
)
def test_reads_both_forms_of_retry_after(value, seconds):
    assert retry_after_s({"Retry-After": value}, NOW) == seconds


def test_without_retry_after_there_is_no_delay():
    assert retry_after_s({}, NOW) is None
