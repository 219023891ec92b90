"""Runs `pg_dump` and `pg_restore`. The password goes through the environment, never a command."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

from psycopg.conninfo import make_conninfo

_OWN = ("pool", "limits", "options")
"""Options of our connections that libpq does not know, or that would limit a long dump."""


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
    environ = {**os.environ, "PGPASSWORD": str(settings["PASSWORD"])}
    if not settings["PASSWORD"]:
        del environ["PGPASSWORD"]
    try:
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ProgramFailed(f"{name} did not end within {seconds / 60:g} minutes") from error
    if done.returncode:
        raise ProgramFailed(_failure(name, done.stderr))


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
