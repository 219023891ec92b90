"""`bench import`: imports users from an NDJSON file, imports it again, and finds users by email."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from carillon.bench.harness.environment import BenchEnvironment, bench_environment, machine

_ZONES = ("UTC", "Europe/Paris", "Asia/Tokyo", "America/New_York")


def run(*, database: str = "postgres", messages: int = 100_000) -> dict[str, Any]:
    """Measures `carillon import users` of `messages` lines: lines a second and peak memory.

    again_per_s is the second import: every line is compared and nothing is written. lookup_p50_ms
    and lookup_p99_ms are the times of finding one of the users by email.
    """
    with bench_environment(database) as env:
        figures = {"database": database, "lines": messages, **machine(), **env.run("settings")}
        file = env.folder / "people.ndjson"
        _write(file, messages)
        figures["file_mb"] = round(file.stat().st_size / 1e6, 1)
        made, first_s, rss = _import(env, file)
        again, second_s, rss_again = _import(env, file)
        figures |= env.run("lookups", messages)
    if made["created"] != messages or again["unchanged"] != messages:
        raise RuntimeError(f"the import made {made}, then {again}")
    return {
        **figures,
        "per_s": round(messages / first_s),
        "again_per_s": round(messages / second_s),
        "rss_mb_max": round(max(rss, rss_again), 1),
    }


def _write(file: Path, lines: int) -> None:
    with file.open("w", encoding="utf-8") as out:
        for n in range(lines):
            record = {
                "external_id": f"p{n}",
                "username": f"person{n}",
                "email": f"person{n}@example.org",
                "first_name": f"Name{n}",
                "last_name": "Пример",
                "role": "student",
                "locale": "ru" if n % 3 else "en",
                "timezone": _ZONES[n % 4],
                "phone_number": f"+4915{n:09d}",
                "attributes": {"grade": n % 12, "city": "Bonn"},
            }
            out.write(json.dumps(record, ensure_ascii=False) + "\n")


def _import(env: BenchEnvironment, file: Path) -> tuple[dict[str, int], float, float]:
    """Returns the counts that the command printed, its seconds and its peak memory in MB."""
    began = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-m", "carillon", "import", "users", str(file), "--json"],
        env=env.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdout is not None
    text = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    elapsed = time.monotonic() - began
    if status:
        raise RuntimeError(f"carillon import ended with {status}")
    counts: dict[str, int] = json.loads(text.strip().splitlines()[-1])
    return counts, elapsed, usage.ru_maxrss / 1024
