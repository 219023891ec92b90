"""Runs `pg_dump` and `pg_restore`. Passwords are never among the words of a command."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg.conninfo import make_conninfo

_KEY_PASSWORD = "sslpassword"  # noqa: S105 -- the name of an option
_SERVICE = "carillon"
_OWN = ("pool", "limits", "options", _KEY_PASSWORD)
"""Options of our connections that libpq does not know, that would limit a long dump, or that are
secret."""


class ProgramFailed(Exception):
    """A program of PostgreSQL is missing or failed; the text says why and what to do."""


def program(name: str, folder: str) -> str:
    """Returns the path of a program.

    folder: where it is; empty: on PATH.

    Raises:
        ProgramFailed: it is not there.
    """
    found = shutil.which(name, path=folder or None)
    if found is None:
        where = folder or "PATH"
        raise ProgramFailed(
            f"{name} is not in {where}: install PostgreSQL's client programs, or set"
            " CARILLON_POSTGRES_PROGRAMS to their folder"
        )
    return found


def run_program(
    name: str, words: list[str], settings: dict[str, Any], *, folder: str, seconds: float
) -> None:
    """Runs a program against the database of these settings.

    Raises:
        ProgramFailed: it is missing, failed, or ran for too long.
    """
    command = [program(name, folder), f"--dbname={_connection(settings)}", "--no-password", *words]
    try:
        with _secrets(settings) as environ:
            done = subprocess.run(
                command, env=environ, capture_output=True, text=True, timeout=seconds, check=False
            )
    except subprocess.TimeoutExpired as error:
        raise ProgramFailed(f"{name} did not end within {seconds / 60:g} minutes") from error
    if done.returncode:
        raise ProgramFailed(_failure(name, done.stderr))


@contextmanager
def _secrets(settings: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Gives the environment of a program, with all that other users of the machine must not see.

    The password of a client key has no variable: it is in a file that only its owner may read.

    Raises:
        ProgramFailed: this password cannot stand in such a file.
    """
    environ = {**os.environ, "PGPASSWORD": str(settings["PASSWORD"])}
    if not settings["PASSWORD"]:
        del environ["PGPASSWORD"]
    secret = str(settings["OPTIONS"].get(_KEY_PASSWORD) or "")
    if not secret:
        yield environ
        return
    if secret != secret.strip() or not secret.isprintable():
        raise ProgramFailed(
            "sslpassword has a space at an end, or a character that cannot be printed: choose"
            " another password for the client key"
        )
    with tempfile.NamedTemporaryFile("w", prefix="carillon-", encoding="utf-8") as file:
        file.write(f"[{_SERVICE}]\n{_KEY_PASSWORD}={secret}\n")
        file.flush()
        yield {**environ, "PGSERVICEFILE": file.name, "PGSERVICE": _SERVICE}


def _failure(name: str, stderr: str) -> str:
    lines = [line for line in stderr.splitlines() if line.strip()]
    text = " ".join(lines[-3:]) or "it said nothing"
    if "version mismatch" in stderr or "unsupported version" in stderr:
        text += "; use the programs of the server's version: set CARILLON_POSTGRES_PROGRAMS"
    return f"{name} failed: {text}"


def _connection(settings: dict[str, Any]) -> str:
    given = {
        "dbname": settings["NAME"],
        "user": settings["USER"],
        "host": settings["HOST"],
        "port": settings["PORT"],
        **{name: each for name, each in settings["OPTIONS"].items() if name not in _OWN},
    }
    return make_conninfo(**{name: str(each) for name, each in given.items() if each})
