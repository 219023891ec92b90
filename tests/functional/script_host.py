"""Scripts in processes of their own that need no start: they are forks of one that is ready.

The tests run a hundred small scripts, and a start of Django takes a second of processor time.
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
    """Runs a script in a process of its own, Django ready; returns what it printed."""
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
        """What the script printed.

        Raises:
            AssertionError: it failed, with its traceback, or did not end in time.
        """
        given, told = self._process.stdin, self._process.stdout
        assert given is not None
        assert told is not None
        with tempfile.TemporaryDirectory() as folder:
            given.write(json.dumps([script, folder]).encode() + b"\n")
            given.flush()
            assert select.select([told], [], [], _SECONDS)[0], f"not done in {_SECONDS} s"
            ended = told.readline().strip()
            errors = Path(folder, "stderr")
            assert ended == b"0", errors.read_text() if errors.exists() else "the host has ended"
            return Path(folder, "stdout").read_text()

    def close(self) -> None:
        """Ends the process; it ends by itself, too, when this one does."""
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
        exec(compile(script, "<script>", "exec"), {"__name__": "__main__"})  # the test's own
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
