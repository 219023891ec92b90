"""Slow and large requests over real sockets: each bound ends only their connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from carillon.serving.server.http_bounds import Bounds, bounded

SHORT_S = 0.15
LIMIT_S = 5.0
HEAD = b"POST /x HTTP/1.1\r\nhost: a\r\n"
Dial = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Reads the body, then responds with its length."""
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    content = b"x" * 8_000_000 if scope["path"] == "/long" else str(size).encode()
    headers = [(b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


@asynccontextmanager
async def serving(**chosen: Any) -> AsyncIterator[Dial]:
    """Runs a server with these bounds; yields a function that connects to it."""
    config = uvicorn.Config(app, http=bounded(Bounds(**chosen)), lifespan="off", log_config=None)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: config.http_protocol_class(config=config, server_state=state, app_state={}),
        "127.0.0.1",
        0,
    )
    port = server.sockets[0].getsockname()[1]
    opened: list[asyncio.StreamWriter] = []

    async def dial() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        opened.append(writer)
        return reader, writer

    try:
        yield dial
    finally:
        server.close()
        for writer in opened:
            writer.close()


async def received(dial: Dial, *parts: bytes, pause: float = 0.0) -> bytes:
    """Sends parts one by one; returns what arrives until the server closes."""
    reader, writer = await dial()

    async def write() -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)

    sending = asyncio.ensure_future(write())
    try:
        return await asyncio.wait_for(reader.read(), LIMIT_S)
    except ConnectionResetError:
        return b""
    finally:
        sending.cancel()


async def ask(dial: Dial) -> bytes:
    """Returns the response to a valid request."""
    reader, writer = await dial()
    writer.write(HEAD + b"content-length: 2\r\nconnection: close\r\n\r\nok")
    return await asyncio.wait_for(reader.read(), LIMIT_S)


@pytest.mark.parametrize(
    "parts",
    [[b"P"], [HEAD], [HEAD + b"x: "] + [b"y"] * 100],
    ids=["a byte", "half", "byte by byte"],
)
async def test_a_head_that_never_ends_is_given_up(parts: list[bytes]) -> None:
    async with serving(head_s=SHORT_S) as dial:
        response = await received(dial, *parts, pause=SHORT_S / 8)

    assert response.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in response


async def test_a_connection_without_a_request_is_closed_silently() -> None:
    async with serving(head_s=SHORT_S) as dial:
        assert await received(dial) == b""


async def test_a_body_that_never_ends_is_given_up() -> None:
    head = HEAD + b"content-length: 1000\r\n\r\n"
    async with serving(body_s=SHORT_S) as dial:
        response = await received(dial, head, *[b"x"] * 100, pause=SHORT_S / 8)
        well = await ask(dial)

    assert response.startswith(b"HTTP/1.1 408 ")
    assert well.endswith(b"2")


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"x: y\r\n" * 200 + b"\r\n",
        HEAD + b"x: " + b"y" * 5_000 + b"\r\n\r\n",
        HEAD + b"x: " + b"y" * 50_000,
        b"GET /" + b"x" * 5_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /" + b"x" * 50_000,
    ],
    ids=["many", "long", "endless", "long path", "endless path"],
)
async def test_a_head_that_is_too_large_is_refused(head: bytes) -> None:
    async with serving(max_header_bytes=4_000, max_headers=100) as dial:
        response = await received(dial, head)
        well = await ask(dial)

    assert response.startswith(b"HTTP/1.1 431 ")
    assert well.endswith(b"2")


@pytest.mark.parametrize("method", [b"FOO", b"get", b"PROPFINDX", b"\xff"])
async def test_an_unknown_method_is_a_405(method: bytes) -> None:
    async with serving() as dial:
        response = await received(dial, method + b" / HTTP/1.1\r\nhost: a\r\n\r\n")

    assert response.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nallow: GET" in response


@pytest.mark.parametrize(
    "nonsense", [b"\x16\x03\x01\x02\x00", b"GET / HTTP/9.9\r\n\r\n", b"GET\r\n\r\n"]
)
async def test_nonsense_is_a_4xx(nonsense: bytes) -> None:
    async with serving() as dial:
        assert (await received(dial, nonsense)).startswith(b"HTTP/1.1 40")


async def test_beyond_the_bound_a_new_request_takes_precedence() -> None:
    async with serving(connections=5) as dial:
        idle = [await dial() for _ in range(5)]
        responses = [await ask(dial) for _ in range(20)]
        reads = [asyncio.ensure_future(reader.read(12)) for reader, _ in idle]
        ended, others = await asyncio.wait(
            reads, timeout=LIMIT_S, return_when=asyncio.FIRST_COMPLETED
        )
        for read in others:
            read.cancel()

    assert all(response.endswith(b"2") for response in responses)
    assert {read.result() for read in ended} == {b"HTTP/1.1 503"}


async def test_beyond_the_bound_the_connection_that_is_idle_for_longest_is_closed() -> None:
    async with serving(connections=5) as dial:
        opened = [await dial() for _ in range(5)]
        for reader, writer in reversed(opened):  # the first one is served last
            writer.write(HEAD + b"content-length: 2\r\n\r\nok")
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n2"), LIMIT_S)
        fresh = [await dial() for _ in range(4)]
        ended = [await asyncio.wait_for(reader.read(12), LIMIT_S) for reader, _ in opened[1:]]
        assert ended == [b"HTTP/1.1 503"] * 4
        for reader, writer in [opened[0], *fresh]:
            writer.write(HEAD + b"content-length: 2\r\nconnection: close\r\n\r\nok")
            assert (await asyncio.wait_for(reader.read(), LIMIT_S)).endswith(b"2")


async def test_several_requests_on_one_connection_are_each_bounded() -> None:
    async with serving(head_s=SHORT_S, body_s=SHORT_S, max_header_bytes=200) as dial:
        reader, writer = await dial()
        for _ in range(10):
            writer.write(HEAD + b"content-length: 2\r\n\r\nok")
            response = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n2"), LIMIT_S)
            assert response.startswith(b"HTTP/1.1 200 ")
            await asyncio.sleep(SHORT_S / 5)


LONG = b"GET /long HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"


async def test_a_client_that_reads_nothing_is_cut_off() -> None:
    """Otherwise closing would wait for the client to read the rest."""
    async with serving(unread_s=SHORT_S) as dial:
        reader, writer = await dial()
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # of a transport that reads
        writer.write(LONG)
        await asyncio.sleep(SHORT_S * 3)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        read = await asyncio.wait_for(reader.read(), LIMIT_S)

    assert len(read) < 8_000_000, "what the network had taken, and no more"


async def test_a_client_that_reads_slowly_gets_the_whole_response() -> None:
    size = 0
    async with serving(unread_s=4 * SHORT_S) as dial:  # less than all of it takes
        reader, writer = await dial()
        writer.write(LONG)
        while part := await asyncio.wait_for(reader.read(200_000), LIMIT_S):
            size += len(part)
            await asyncio.sleep(SHORT_S / 6)

    assert size > 8_000_000
