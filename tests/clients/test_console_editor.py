"""The editor of the console: its types, its size, its licences, and the served build."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.clients.test_inbox_package import FOUND, ROOT, needs_node, node

PACKAGE = ROOT / "clients/editor"
STATIC = ROOT / "src/console/static/console"
SERVED = STATIC / "vendor/editor.min.js"
SCRIPTS = (SERVED, STATIC / "vendor/htmx.min.js", STATIC / "console.js")
MOST_BYTES = 130_000
UNSAFE = re.compile(r"\beval\(|new Function|insertAdjacentHTML|document\.write|srcdoc|import\(")
needs_packages = pytest.mark.skipif(
    FOUND is None or not (PACKAGE / "node_modules").is_dir(),
    reason="clients/editor/node_modules is not there: run make clients",
)


@needs_packages
def test_its_types_are_right() -> None:
    node("node_modules/typescript/bin/tsc", "--noEmit", folder=PACKAGE)


@needs_packages
def test_the_served_file_is_a_fresh_build(tmp_path: Path) -> None:
    fresh = tmp_path / "editor.min.js"
    node("build.mjs", str(fresh), folder=PACKAGE)
    assert fresh.read_bytes() == SERVED.read_bytes(), "run make editor"
    licences = tmp_path / "editor.LICENSE.txt"
    assert licences.read_bytes() == SERVED.with_name(licences.name).read_bytes()


@needs_node
def test_the_scripts_of_an_editor_page_are_small() -> None:
    script = "console.log(zlib.brotliCompressSync(fs.readFileSync(process.argv[1])).length)"
    sizes = [int(node("-e", script, str(path))) for path in SCRIPTS]
    assert sum(sizes) <= MOST_BYTES


def test_every_package_in_it_has_its_licence_beside_it() -> None:
    text = SERVED.with_name("editor.LICENSE.txt").read_text(encoding="utf-8")
    named = set(re.findall(r"^(\S+) [\d.]+ \(MIT\)$", text, re.MULTILINE))
    assert set(json.loads((PACKAGE / "package.json").read_text())["dependencies"]) <= named
    assert text.count("Permission is hereby granted, free of charge") == len(named)


def test_it_makes_no_code_of_texts() -> None:
    assert UNSAFE.findall(SERVED.read_text(encoding="utf-8")) == []
