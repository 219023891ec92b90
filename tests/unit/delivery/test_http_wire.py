"""The responses of one connection: framing, reuse, and refused forms."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from notifications.infra.http import client as http
from notifications.infra.http import pool as http_pool
from notifications.infra.http.client import HttpClient, HttpFault
from notifications.infra.http.wire import READ_LIMIT, Headers
from notifications.testing.servers import Act, HTTPSink, Reply


async def post(client, url, **headers):
    return await client.request("POST", url + "/", headers=headers, body=b"{}")


@asynccontextmanager
async def scripted(*raws, **options):
    """A server that sends these responses, one a request (the last one repeats), and a client."""
    replies = [Reply(raw=raw) for raw in raws]

    def script(_request):
        return replies.pop(0) if len(replies) > 1 else replies[0]

    async with HTTPSink(script=script) as sink:
        client = HttpClient(timeout_s=5, **options)
        yield sink, client
        await client.close()


PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    ("raw", "status", "body", "reused"),
    [
        (PLAIN, 200, b"{}", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n3\r\nabc\r\n0\r\n\r\n",
         200, b"{}abc", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN, 200, b"{}", True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: 1"
         b"\r\n\r\nx", 503, b"x", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}", False),
        (PLAIN + b"HTTP/1.1 500 Not asked\r\nContent-Length: 0\r\n\r\n", 200, b"{}", False),
    ],
)  # fmt: skip
async def test_a_response_is_read_and_the_connection_reused_if_allowed(raw, status, body, reused):
    async with scripted(raw) as (sink, client):
        first = await post(client, sink.url)
        second = await post(client, sink.url)

    assert (first.status, first.body, first.complete) == (status, body, True)
    assert second == first or second.body == first.body
    assert sink.connections == (1 if reused else 2)


async def test_a_body_without_a_length_ends_with_the_connection():
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = HttpClient(timeout_s=5)
    response = await post(client, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await client.close()
    server.close()

    assert (response.body, response.complete) == (b"all of it", True)


@asynccontextmanager
async def secure_server(context):
    async def serve(reader, writer):
        while await reader.read(1000):
            writer.write(PLAIN)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def test_tls_is_used(certificate, monkeypatch):
    server, trusting = certificate
    monkeypatch.setattr(http, "_tls", lambda: trusting)
    async with secure_server(server) as url:
        client = HttpClient(timeout_s=5)
        responses = [await post(client, url) for _ in range(2)]
        await client.close()

    assert [response.status for response in responses] == [200, 200]


async def test_an_untrusted_server_was_not_written_to(certificate):
    async with secure_server(certificate[0]) as url:
        client = HttpClient(timeout_s=5)
        with pytest.raises(HttpFault) as fault:
            await post(client, url)
        await client.close()

    assert (fault.value.code, fault.value.written) == ("tls", False)


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    ],
)
async def test_what_is_not_http_is_garbage(raw):
    async with scripted(raw) as (sink, client):
        with pytest.raises(HttpFault) as fault:
            await post(client, sink.url)

    assert (fault.value.code, fault.value.written) == ("invalid_response", True)


async def test_an_unreadable_chunk_does_not_change_the_status():
    broken = b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"
    async with scripted(broken) as (sink, client):
        response = await post(client, sink.url)

    assert (response.status, response.complete) == (503, False)


async def test_unrequested_bytes_end_the_connection_and_are_no_response():
    """A late response would otherwise be read as that of the next request."""
    async with scripted(PLAIN) as (sink, client):
        await post(client, sink.url)
        (transport,) = sink._connections
        transport.write(b"HTTP/1.1 500 Too late\r\nContent-Length: 0\r\n\r\n")
        for _ in range(20):
            await asyncio.sleep(0.001)
        response = await post(client, sink.url)

    assert response.status == 200
    assert sink.connections == 2


async def test_a_silent_server_times_out_and_loses_the_connection():
    async with HTTPSink(script=lambda _: Act.HANG) as sink:
        client = HttpClient(timeout_s=0.1)
        with pytest.raises(HttpFault) as fault:
            await post(client, sink.url)
        sink.script = None
        assert (await post(client, sink.url)).status == 200
        await client.close()

    assert (fault.value.code, fault.value.written) == ("timeout", True)
    assert sink.connections == 2


async def test_a_cancelled_call_closes_its_connection():
    received = asyncio.Event()

    def stay_silent(_request):
        received.set()
        return Act.HANG

    async with HTTPSink(script=stay_silent) as sink:
        client = HttpClient(timeout_s=5)
        call = asyncio.create_task(post(client, sink.url))
        await received.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        sink.script = None
        await post(client, sink.url)
        await client.close()

    assert sink.connections == 2


async def test_connections_are_limited_and_calls_wait_for_them():
    async with HTTPSink() as sink:
        client = HttpClient(timeout_s=5, connections=3)
        responses = await asyncio.gather(*(post(client, sink.url) for _ in range(30)))
        await client.close()

    assert [response.status for response in responses] == [200] * 30
    assert sink.connections == 3


async def test_another_host_replaces_an_idle_connection():
    async with HTTPSink() as one, HTTPSink() as other:
        client = HttpClient(timeout_s=5, connections=1)
        for sink in (one, other, one):
            await post(client, sink.url)
        await client.close()

    assert (one.connections, other.connections) == (2, 1)


async def test_a_long_idle_connection_is_not_used(monkeypatch):
    async with HTTPSink() as sink:
        client = HttpClient(timeout_s=5)
        await post(client, sink.url)
        monkeypatch.setattr(http_pool, "IDLE_S", -1.0)
        await post(client, sink.url)
        await client.close()

    assert sink.connections == 2


async def test_a_connection_that_the_server_closed_is_not_used_again():
    async with HTTPSink() as sink:
        client = HttpClient(timeout_s=5)
        await post(client, sink.url)
        for transport in list(sink._connections):
            transport.close()
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert (await post(client, sink.url)).status == 200
        await client.close()

    assert sink.connections == 2


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b"])
async def test_a_header_cannot_contain_another(value):
    async with HTTPSink() as sink:
        client = HttpClient(timeout_s=5)
        with pytest.raises(ValueError, match="line break"):
            await post(client, sink.url, Name=value)
        await client.close()

    assert sink.count == 0


async def test_the_bytes_of_a_request():
    async with HTTPSink() as sink:
        client = HttpClient(timeout_s=5)
        await client.request("POST", sink.url + "/a b?q=ä", headers={"X": "ö"}, body=b"{}")
        await client.request("GET", sink.url, headers={}, body=b"")
        await client.close()

    posted, got = sink.requests
    assert (posted.method, posted.path, posted.body) == ("POST", "/a%20b?q=%C3%A4", b"{}")
    assert posted.headers == {
        "host": f"{sink.host}:{sink.port}",
        "user-agent": "Carillon",
        "accept": "*/*",
        "accept-encoding": "identity",
        "x": "ö".encode().decode("latin-1"),
        "content-length": "2",
    }
    assert (got.method, got.path, got.body) == ("GET", "/", b"")
    assert "content-length" not in got.headers


async def test_a_response_of_exactly_the_limit_is_complete():
    async with HTTPSink(script=lambda _: Reply(body=b"x" * READ_LIMIT)) as sink:
        client = HttpClient(timeout_s=5)
        response = await post(client, sink.url)
        await client.close()

    assert (len(response.body), response.complete) == (READ_LIMIT, True)


def test_headers_are_found_in_any_case():
    headers = Headers([(b"Retry-After", b"5"), (b"X", b"1"), (b"x", b"2"), (b"B", b"\xff")])

    assert (headers["retry-after"], headers.get("RETRY-AFTER"), headers.get("none")) == (
        "5", "5", None,
    )  # fmt: skip
    assert dict(headers) == {"retry-after": "5", "x": "2", "b": "�"}
    assert len(headers) == 3
