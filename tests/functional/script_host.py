"""Runs scripts in forks of a process in which Django is ready.

The tests run a hundred small scripts, and each start of Django takes a second of CPU time.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import traceback
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

_HOSTS_AT_ONCE = 3
_SECONDS = 240
_hosts: OrderedDict[tuple[tuple[str, str], ...], ScriptHost] = OrderedDict()


def run_script(script: str, environ: Mapping[str, str]) -> str:
    """Runs a script in its own process, with Django ready; returns its output."""
    key = tuple(sorted(environ.items()))
    host = _hosts.pop(key, None) or ScriptHost(environ)
    _hosts[key] = host
    while len(_hosts) > _HOSTS_AT_ONCE:
        _hosts.popitem(last=False)[1].close()
    try:
        return host.run(script)
    except BaseException:
        _hosts.pop(key).close()
        raise


class ScriptHost:
    """A process of one environment in which Django is ready; each script runs in a fork of it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.functional.script_host"],
            env={**environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def run(self, script: str) -> str:
        """Runs a script; returns its output.

        Raises:
            AssertionError: the script failed (with its traceback) or did not end in time.
        """
        requests, results = self._process.stdin, self._process.stdout
        assert requests is not None
        assert results is not None
        with tempfile.TemporaryDirectory() as folder:
            requests.write(json.dumps([script, folder]).encode() + b"\n")
            requests.flush()
            assert select.select([results], [], [], _SECONDS)[0], f"not done in {_SECONDS} s"
            ended = results.readline().strip()
            errors = Path(folder, "stderr")
            assert ended == b"0", errors.read_text() if errors.exists() else "the host has ended"
            return Path(folder, "stdout").read_text()

    def close(self) -> None:
        """Ends the process. It also ends when this process ends."""
        self._process.kill()
        self._process.communicate()


def _serve() -> None:
    import django

    django.setup()
    for line in sys.stdin.buffer:
        script, folder = json.loads(line)
        child = os.fork()
        if not child:
            _run(script, folder)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _run(script: str, folder: str) -> None:
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT, 0o600), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    code = 1
    try:
        exec(compile(script, "<script>", "exec"), {"__name__": "__main__"})  # the script of a test
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
