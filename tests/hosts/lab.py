"""Hosts on one machine: a network namespace each, on one switch, with cables that can be pulled.

Linux, root and iproute2's `ip`. Nothing leaves the machine, and nothing is left behind.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from carillon.bench.harness.environment import bare_environ
from carillon.servers import PostgresServer, redis_program
from tests.functional.script_host import run_script

_numbers = count(1)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=20)


def _works() -> bool:
    """Whether namespaces, cables and a switch can be made here."""
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("unshare"):
        return False
    name = f"carillon-try-{os.getpid()}"
    try:
        ip("netns", "add", name)
        ip("-n", name, "link", "add", "one", "type", "veth", "peer", "name", "two")
        ip("-n", name, "link", "add", "switch", "type", "bridge")
    except (subprocess.SubprocessError, OSError):
        return False
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return True


needs_hosts = pytest.mark.skipif(
    not _works(), reason="hosts need root and iproute2's network namespaces: make services"
)


@dataclass
class Host:
    """One machine: its processes see its own network only."""

    lab: Lab
    name: str
    number: int
    namespace: str
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"{self.lab.subnet}.{self.number}"

    @property
    def _port(self) -> str:
        return f"p{self.number}"

    def start(self, *words: str, user: int = 0, **environ: str) -> subprocess.Popen[bytes]:
        """Starts a process on this host; its output goes to the lab's folder."""
        enter = ["nsenter", f"--net=/run/netns/{self.namespace}"]
        if user:
            enter += ["--setuid", str(user), "--setgid", str(user)]
        log = self.lab.folder / f"{self.name}-{len(self.processes)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*enter, *words],
                env={**self.lab.environ, **environ},
                cwd=self.lab.folder,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(process)
        return process

    def carillon(self, *words: str, **environ: str) -> subprocess.Popen[bytes]:
        """Starts a command in a pid namespace of its own: other hosts know nothing of its end."""
        apart = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        return self.start(*apart, sys.executable, "-m", "carillon", *words, **environ)

    def pull_the_cable(self) -> None:
        """Nothing comes in or goes out; this host's own interface does not notice."""
        ip("-n", self.lab.switch, "link", "set", self._port, "nomaster")

    def plug_it_in(self) -> None:
        ip("-n", self.lab.switch, "link", "set", self._port, "master", "switch")

    @contextmanager
    def cut_off(self, seconds: float) -> Iterator[None]:
        """The cable is pulled for so long; the block runs meanwhile."""
        over = time.monotonic() + seconds
        self.pull_the_cable()
        try:
            yield
            threading.Event().wait(max(0.0, over - time.monotonic()))
        finally:
            self.plug_it_in()

    @contextmanager
    def unheard_by(self, other: Host, seconds: float) -> Iterator[None]:
        """What this host says to another is lost for so long; what it hears still comes in."""
        over = time.monotonic() + seconds
        route = ("blackhole", f"{other.address}/32")
        ip("-n", self.namespace, "route", "add", *route)
        try:
            yield
            threading.Event().wait(max(0.0, over - time.monotonic()))
        finally:
            ip("-n", self.namespace, "route", "del", *route)

    def vanish(self) -> None:
        """Loses power: no process says anything any more, and no kernel says it for them."""
        self.pull_the_cable()
        self.kill()

    def kill(self) -> None:
        pids = subprocess.run(
            ["ip", "netns", "pids", self.namespace], capture_output=True, text=True, check=True
        )
        for pid in pids.stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        for process in self.processes:
            process.wait(20)


class Lab:
    """A switch with `db`, `redis` and as many other hosts as are asked for.

    The tests' own processes are plugged in as the gateway, and reach PostgreSQL by its socket too,
    whatever cable is pulled.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        mark = (os.getpid() * 7 + next(_numbers)) % 65536
        self.folder = folder
        self.subnet = f"10.{200 + mark // 256 % 50}.{mark % 256}"
        self.gateway = f"{self.subnet}.254"
        self.switch = f"carillon-{mark}-switch"
        self._mark = mark
        self._hosts: list[Host] = []
        self._stack = ExitStack()
        self.environ = {
            **bare_environ(),
            "CARILLON_SECRET_KEY": "a-secret-for-hosts-only-0123456789abcdef",
            "CARILLON_DATA_DIR": str(folder / "data"),
            "CARILLON_KEYS_DIR": str(folder / "data" / "keys"),
            "CARILLON_LOG_LEVEL": "INFO",
            "CARILLON_LOG_FORMAT": "json",
            **{f"CARILLON_{name.upper()}": value for name, value in settings.items()},
        }

    def __enter__(self) -> Lab:
        try:
            self._stack.callback(self._clear)
            ip("netns", "add", self.switch)
            ip("-n", self.switch, "link", "add", "switch", "type", "bridge")
            ip("-n", self.switch, "link", "set", "switch", "up")
            self._plug_in_the_gateway()
            self.db, self.redis = self.host("db"), self.host("redis")
            self.server = self._stack.enter_context(PostgresServer(durable=False))
            self._stack.callback(self._stop)
            self._serve_databases()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def host(self, name: str) -> Host:
        """A new host, plugged in."""
        number = len(self._hosts) + 1
        made = Host(self, f"{name}{number}", number, f"carillon-{self._mark}-{number}")
        self._hosts.append(made)
        ip("netns", "add", made.namespace)
        ip("link", "add", f"p{number}", "netns", self.switch, "type", "veth",
           "peer", "name", "eth0", "netns", made.namespace)  # fmt: skip
        ip("-n", made.namespace, "addr", "add", f"{made.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            ip("-n", made.namespace, "link", "set", device, "up")
        made.plug_it_in()
        ip("-n", self.switch, "link", "set", f"p{number}", "up")
        return made

    def _plug_in_the_gateway(self) -> None:
        device = f"car{self._mark}"
        ip("link", "add", "p254", "netns", self.switch, "type", "veth", "peer", "name", device)
        self._stack.callback(subprocess.run, ["ip", "link", "del", device], check=False)
        ip("addr", "add", f"{self.gateway}/24", "dev", device)
        ip("link", "set", device, "up")
        ip("-n", self.switch, "link", "set", "p254", "master", "switch")
        ip("-n", self.switch, "link", "set", "p254", "up")

    def _serve_databases(self) -> None:
        data = self.server.folder / "data"
        self.server.stop()
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {self.subnet}.0/24 trust\n")
        starting = self.db.start(
            str(self.server.control), "-D", str(data), "-w", "-l", str(data / "log"),
            "-o", f"-h {self.db.address} -k {data}", "start", user=data.stat().st_uid,
        )  # fmt: skip
        self.redis.start(
            str(redis_program()), "--bind", self.redis.address, "--protected-mode", "no",
            "--port", "6379", "--save", "",
        )  # fmt: skip
        assert starting.wait(60) == 0
        self.environ["CARILLON_DATABASE_URL"] = f"postgres://postgres:@{self.db.address}/postgres"
        self.environ["CARILLON_REDIS_URL"] = f"redis://{self.redis.address}:6379/0"

    def _stop(self) -> None:
        for host in self._hosts:
            if host is not self.db:
                host.kill()
        with contextlib.suppress(subprocess.SubprocessError):
            self.server.stop("immediate")
        self.db.kill()

    def _clear(self) -> None:
        for name in [*(host.namespace for host in self._hosts), self.switch]:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

    def ask(self, sql: str) -> Any:
        """The first value that the database answers, by its own socket."""
        with psycopg.connect(self.server.url, autocommit=True) as connection:
            row = connection.execute(sql).fetchone()
        return row[0] if row else None

    def python(self, script: str) -> str:
        """Runs a script beside the hosts, Django ready, over the database's own socket."""
        return run_script(script, {**self.environ, "CARILLON_DATABASE_URL": self.server.url})
