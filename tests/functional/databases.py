"""Connections to a test's own databases, and a PgBouncer in front of them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import psycopg
import pytest
from django.db import ConnectionHandler

from carillon.postgres.base import DatabaseWrapper
from carillon.postgres.limits import Limits
from carillon.servers import PostgresServer
from carillon.settings.database import database_settings
from tests.functional.installation import free_port
from tests.pace import pace

PGBOUNCER = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
needs_pgbouncer = pytest.mark.skipif(
    not Path(PGBOUNCER).exists(), reason="Debian's PgBouncer is missing: make services"
)


def wrapper(url: str, *, pool: int = 3, pool_s: float = 5.0, **limits: float) -> DatabaseWrapper:
    """Creates a Django connection with its own pool; `pool=0`: no pool."""
    settings = database_settings(url, Path(), pool, limits=Limits(**limits), pool_s=pool_s)
    if not pool:
        settings["OPTIONS"]["pool"] = None
    alias = f"test-{os.urandom(4).hex()}"
    made = ConnectionHandler({"default": settings, alias: settings})[alias]
    assert isinstance(made, DatabaseWrapper)
    made.inc_thread_sharing()
    return made


@contextmanager
def connected(url: str, **settings: Any) -> Iterator[DatabaseWrapper]:
    made = wrapper(url, **settings)
    try:
        yield made
    finally:
        made.close()
        made.close_pool()


def query_value(connection: DatabaseWrapper, sql: str = "SELECT 1") -> Any:
    """Returns the first value of a statement's result."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


@contextmanager
def in_transaction(connection: DatabaseWrapper) -> Iterator[None]:
    """Runs a transaction that is rolled back."""
    connection.set_autocommit(False)
    try:
        yield
    finally:
        connection.rollback()
        connection.set_autocommit(True)


def folder_of(url: str) -> Path:
    """Returns the folder of the server's socket."""
    return Path(dict(parse_qsl(urlsplit(url).query))["host"])


def admin(url: str, sql: str) -> Any:
    """Runs a statement on a new connection; returns its first value, or None."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stops a process during the block, as a host that swaps would."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def pgbouncer(
    server: PostgresServer, *, extra: str = "", pool: int = 4, role: str = "postgres"
) -> Iterator[str]:
    """Starts PgBouncer in transaction mode in front of a server; yields its URL.

    extra: more lines of its settings. Without them, it refuses unknown startup parameters.
    """
    folder = Path(tempfile.mkdtemp(prefix="carillon-bouncer-"))
    folder.chmod(0o755)
    port = free_port()
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host={folder_of(server.url)} port=5432 user={role}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = any\npool_mode = transaction\ndefault_pool_size = {pool}\n"
        f"max_client_conn = 200\n{extra}\n"
    )
    # PgBouncer refuses to run as root, so it runs as the user who may open the server's socket.
    user = folder_of(server.url).stat().st_uid if os.getuid() == 0 else None
    process = subprocess.Popen(
        [PGBOUNCER, "-q", str(settings)],
        user=user,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"postgres://postgres:@127.0.0.1:{port}/postgres"
    try:
        _wait_for(url)
        yield url
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def _wait_for(url: str) -> None:
    began = time.monotonic()
    while True:
        try:
            psycopg.connect(url, connect_timeout=20).close()
            return
        except psycopg.OperationalError:
            assert time.monotonic() - began < 20 * pace(), "PgBouncer does not start"
            time.sleep(0.05)
