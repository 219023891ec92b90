"""Databases that are migrated once per run, and copied by each test that needs one.

About forty tests start the product on a new database, and the migrations take seconds each time.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from carillon.bench.harness.environment import PREPARED, bare_environ
from carillon.servers import PostgresServer
from tests.pace import crowd, pace


def shared_folder(base: Path) -> Path:
    """Returns the folder for PREPARED, from pytest's base folder: one for all of its processes."""
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "prepared"
    folder.mkdir(exist_ok=True)
    return folder


def prepared(kind: str) -> Path:
    """Returns a folder to copy, created on the first call.

    kind: `sqlite` (a migrated data folder), `demo` (one with the demo data) or `postgres` (the data
    of a stopped server with a migrated database).
    """
    folder = Path(os.environ[PREPARED])
    ready = folder / kind
    with (folder / f"{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            made = folder / f"{kind}.making"
            _MAKERS[kind](made)
            made.rename(ready)
    return ready


def _sqlite(folder: Path) -> None:
    folder.mkdir()
    _carillon("migrate", CARILLON_DATA_DIR=str(folder), CARILLON_KEYS_DIR=str(folder / "keys"))


def _demo(folder: Path) -> None:
    shutil.copytree(prepared("sqlite"), folder)
    _carillon(
        "demo", "--quiet", CARILLON_DATA_DIR=str(folder), CARILLON_KEYS_DIR=str(folder / "keys")
    )


def _postgres(folder: Path) -> None:
    with PostgresServer(durable=False) as server:
        _carillon("migrate", CARILLON_DATABASE_URL=server.url, CARILLON_DATA_DIR=str(server.folder))
        server.stop()
        subprocess.run(["/bin/cp", "-a", str(server.folder / "data"), str(folder)], check=True)


def _carillon(*words: str, **environ: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "carillon", *words],
        env={**bare_environ(), **environ},
        check=True,
        timeout=120 * max(pace(), crowd()),
    )


_MAKERS: dict[str, Callable[[Path], None]] = {
    "sqlite": _sqlite,
    "demo": _demo,
    "postgres": _postgres,
}
