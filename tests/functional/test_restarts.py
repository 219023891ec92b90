"""Web processes that are replaced refuse no client and cut no connection."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from carillon.serving.server.listening import place_of
from tests.functional.installation import Installation, children, free_port, wait_until
from tests.pace import within

pytestmark = pytest.mark.processes
PATIENCE_S = 120
"""A client waits while a process starts, which takes long on a busy machine."""


class Clients:
    """Threads that send requests all the time: some reuse a connection, others do not."""

    def __init__(self, port: int) -> None:
        self.responses = 0
        self.faults: list[str] = []
        self._port = port
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._fresh) for _ in range(3)]
        self._threads += [threading.Thread(target=self._lasting) for _ in range(2)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def _fresh(self) -> None:
        while not self._ended.is_set():
            self._request(http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S))

    def _lasting(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
        while not self._ended.is_set():
            self._request(connection, lasting=True)
        connection.close()

    def _request(self, connection: http.client.HTTPConnection, *, lasting: bool = False) -> None:
        try:
            connection.request("GET", "/health/live")
            with connection.getresponse() as response:
                response.read()
                if response.status != 200:
                    self.faults.append(str(response.status))
        except (OSError, http.client.HTTPException) as error:
            self.faults.append(repr(error))
            connection.close()
        self.responses += 1
        if not lasting:
            connection.close()


def lives(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request("GET", "/health/live")
        with connection.getresponse() as response:
            return response.status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextlib.contextmanager
def clients_of(port: int) -> Iterator[Clients]:
    clients = Clients(port)
    with clients:
        yield clients
    assert clients.faults == []
    assert clients.responses > 100


def test_five_restarts_of_the_web_tier_refuse_and_cut_no_client(tmp_path: Path) -> None:
    place, port = Installation(tmp_path), free_port()
    place.prepare()
    words, entry = ("web", "--port", str(port)), place_of("127.0.0.1", port, tmp_path)
    with contextlib.ExitStack() as stack:
        old = stack.enter_context(place.running(*words))
        wait_until(lambda: lives(port))
        with clients_of(port):
            for _ in range(5):
                inode = entry.stat().st_ino
                new = stack.enter_context(place.running(*words))
                wait_until(lambda inode=inode: entry.stat().st_ino != inode)
                old.send_signal(signal.SIGTERM)
                assert old.wait(20) == 0
                old = new
    assert not entry.exists()


def test_a_web_process_that_dies_under_serve_is_replaced_without_a_refusal(
    tmp_path: Path,
) -> None:
    place, port = Installation(tmp_path), free_port()
    with place.running("serve", "--port", str(port)) as serve:
        wait_until(lambda: lives(port))
        for _ in range(2):
            dead = children(serve.pid)["web"]
            os.kill(dead, signal.SIGTERM)
            wait_until(lambda dead=dead: not Path(f"/proc/{dead}").exists())
            assert lives(port), (
                "a client that connects between the two waits, and gets its response"
            )
        serve.send_signal(signal.SIGTERM)
        assert serve.wait(60) == 0


def test_an_idle_web_process_ends_within_a_second(tmp_path: Path) -> None:
    place, port = Installation(tmp_path), free_port()
    place.prepare()
    with place.running("web", "--port", str(port)) as web:
        wait_until(lambda: lives(port))
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as lasting:
            lasting.request("GET", "/health/live")
            lasting.getresponse().read()
            with within(1):
                web.send_signal(signal.SIGTERM)
                assert web.wait(20) == 0


def test_a_socket_of_systemd_is_used(tmp_path: Path) -> None:
    """In systemd's socket activation, the socket is descriptor 3 of the started process."""
    place = Installation(tmp_path)
    place.prepare()
    script = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3); os.set_inheritable(3, True)\n"
        "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'carillon', 'web', '--port', '1'])\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(listener.fileno())],
            pass_fds=[listener.fileno()],
            env=place.environ,
        )
        try:
            assert lives(listener.getsockname()[1])
        finally:
            process.terminate()
            process.wait(20)
