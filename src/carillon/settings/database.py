"""Validates CARILLON_DATABASE_URL and builds Django's DATABASES entry."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from carillon.postgres.limits import Limits

# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
_LIBPQ = frozenset(
    [
        "host",
        "application_name",
        "channel_binding",
        "connect_timeout",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "options",
        "require_auth",
        "sslcert",
        "sslcrl",
        "sslkey",
        "sslmode",
        "sslnegotiation",
        "sslpassword",
        "sslrootcert",
        "target_session_attrs",
        "tcp_user_timeout",
    ]
)
_CLIENT = {
    "connect_timeout": "5",
    "tcp_user_timeout": "10000",
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "3",
    "keepalives_count": "3",
}
"""Detects a vanished server within 10 s, whatever the connection was doing."""
_SERVER = {
    # The pages in use are in memory. With the server's default (4, for spinning disks) PostgreSQL
    # finds a slice of a new table by reading all of it, until it has collected statistics.
    "random_page_cost": "1.1",
    # Detects a vanished client within 15 s, which releases its locks.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
}


def database_url(text: str) -> str:
    """sqlite:///path/to/file or postgres://user:password@host:port/name?sslmode=require"""
    parts = urlsplit(text)
    if parts.scheme == "sqlite" and not parts.query:
        return text
    if parts.scheme not in ("postgres", "postgresql"):
        raise ValueError
    given = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    if set(given) - _LIBPQ:
        raise ValueError
    return text


def database_settings(
    url: str, data_dir: Path, pool: int, *, limits: Limits | None = None, pool_s: float = 5.0
) -> dict[str, Any]:
    """Returns Django's DATABASES entry for a CARILLON_DATABASE_URL; empty: SQLite in data_dir.

    pool: the most connections of a process. pool_s: seconds to wait for one of them.
    """
    limits = limits or Limits()
    parts = urlsplit(url)
    if parts.scheme in ("postgres", "postgresql"):
        query = {**_CLIENT, **dict(parse_qsl(parts.query, keep_blank_values=True))}
        server = {**_SERVER, **limits.settings()}
        words = [f"-c {name}={value}" for name, value in server.items()]
        query["options"] = " ".join([*words, query.get("options", "")]).rstrip()
        return {
            "ENGINE": "carillon.postgres",
            "NAME": parts.path.lstrip("/") or "carillon",
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": query.pop("host", parts.hostname or ""),
            "PORT": str(parts.port or ""),
            # A server-side cursor outlives its statement; PgBouncer in transaction mode breaks it.
            "DISABLE_SERVER_SIDE_CURSORS": True,
            # Each process has a pool: a new connection costs 3 ms, a pooled one 0.02 ms.
            # The other parameters of the URL go to libpq (sslmode, application_name, ...).
            "OPTIONS": {
                "pool": {"max_size": pool, "timeout": pool_s},
                "limits": limits,
                **query,
            },
        }
    name = unquote(url.removeprefix("sqlite:///")) if url else str(data_dir / "carillon.sqlite3")
    return {
        "ENGINE": "carillon.sqlite",
        "NAME": name,
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": limits.lock_s,
            "init_command": (
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                " PRAGMA cache_size=-64000; PRAGMA temp_store=MEMORY; PRAGMA mmap_size=268435456;"
                " PRAGMA wal_autocheckpoint=4000; PRAGMA secure_delete=ON"
            ),
        },
    }
