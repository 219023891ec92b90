"""Servers that answer slowly, endlessly or elsewhere hold no request for longer than its bound."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from notifications.features.access.platform_keys import TIMEOUT_S as KEYS_S
from notifications.features.access.platform_keys import KeySet, KeysUnreachable
from notifications.features.signing_in.sign_on_adapter import TIMEOUT_S as PROVIDER_S
from notifications.features.signing_in.sign_on_adapter import ProviderSession
from tests.pace import pace

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


class Server:
    """Sends what a test says, byte by byte where it says so."""

    def __init__(self, first: bytes, drip: bytes = b"") -> None:
        self.first, self.drip, self.calls = first, drip, 0
        self._ends = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._ends.is_set():
            try:
                there, _ = self._socket.accept()
            except OSError:
                return
            self.calls += 1
            threading.Thread(target=self._answer, args=(there,), daemon=True).start()

    def _answer(self, there: socket.socket) -> None:
        with there:
            try:
                there.recv(65_536)
                there.sendall(self.first)
                while self.drip and not self._ends.wait(0.2):
                    there.sendall(self.drip)
            except OSError:
                return

    def close(self) -> None:
        self._ends.set()
        self._socket.close()


SERVERS = {
    "a slow head": (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "a slow body": (HEAD + b"Content-Length: 100000\r\n\r\n", b" "),
    "no answer": (b"", b""),
    "too long": (HEAD + b"Content-Length: 3000000\r\n\r\n" + b" " * 3_000_000, b""),
    "endless": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"a\r\n0123456789\r\n"),
    "elsewhere": (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\n\r\n", b""),
    "a page": (HEAD + b"Content-Length: 6\r\n\r\n<html>", b""),
    "deep": (HEAD + b"Content-Length: 60000\r\n\r\n" + b"[" * 60_000, b""),
    "an error": (b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\n{}", b""),
    "no key": (HEAD + b'Content-Length: 11\r\n\r\n{"keys":[]}', b""),
    "keys of another shape": (HEAD + b'Content-Length: 12\r\n\r\n{"keys":[7]}', b""),
}


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    made = Server(*SERVERS[request.param])
    yield made
    made.close()


def test_keys_of_the_platform_are_unreachable(server: Server) -> None:
    keys = KeySet(server.url)
    began = time.monotonic()
    with pytest.raises(KeysUnreachable):
        keys.find("k1", "RS256")
    with pytest.raises(KeysUnreachable):
        keys.find("k1", "RS256")
    assert time.monotonic() - began < KEYS_S * 1.5 * pace()
    assert server.calls == 1


def test_those_that_wait_for_keys_do_not_each_wait_anew() -> None:
    server = Server(*SERVERS["a slow body"])
    keys = KeySet(server.url)

    def find(_: int) -> str:
        try:
            keys.find("k1", "RS256")
        except KeysUnreachable as error:
            return error.code
        return "found"

    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(find, range(8))) == ["keys_unreachable"] * 8
    assert time.monotonic() - began < KEYS_S * 1.5 * pace()
    server.close()


@pytest.mark.parametrize("name", ["a slow head", "a slow body", "too long", "endless", "elsewhere"])
def test_a_call_of_the_provider_fails_in_time(name: str, override_environment: object) -> None:
    server = Server(*SERVERS[name])
    override_environment(oidc_issuer=server.url)  # type: ignore[operator]
    began = time.monotonic()
    with ProviderSession() as session, pytest.raises(requests.RequestException):
        session.get(f"{server.url}/jwks")
    assert time.monotonic() - began < PROVIDER_S * 1.5 * pace()
    server.close()


def test_another_host_of_the_provider_is_a_public_one(override_environment: object) -> None:
    override_environment(oidc_issuer="http://login.example")  # type: ignore[operator]
    server = Server(*SERVERS["no key"])
    with ProviderSession() as session, pytest.raises(requests.RequestException):
        session.get(f"{server.url}/jwks")
    assert server.calls == 0
    server.close()
