"""The walls of pyproject.toml bite: each is shown a violation in a copy of the source.

`make check` holds the real source against them.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture.test_budgets import ROOT, SOURCES, name

CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LINTER = CONFIG["tool"]["importlinter"]
CONTRACTS = {contract["id"]: contract for contract in LINTER["contracts"]}

PLANTED = {
    "layers": ("notifications/intake/accept.py", "notifications.recording.record"),
    "features": (
        "notifications/features/access/service.py",
        "notifications.features.sending.service",
    ),
    "engine": ("notifications/engine/values.py", "notifications.engine.runs"),
    "domain": ("notifications/domain/errors.py", "msgspec"),
    "pure": ("notifications/policy/decide.py", "django"),
    "vendors": ("notifications/delivery/vendors/smtp/send.py", "notifications.models"),
    "vendors-apart": (
        "notifications/delivery/vendors/fcm/send.py",
        "notifications.delivery.vendors.webhook.send",
    ),
    "doors": ("notifications/api/health.py", "notifications.queue"),
    "command-line": ("carillon/cli/send.py", "notifications.engine.prepare"),
    "fakes": ("carillon/urls.py", "notifications.testing"),
    "directory": ("directory/apps.py", "notifications"),
    "project": ("notifications/apps.py", "carillon"),
    "siblings": ("notifications/infra/clock.py", "notifications.infra.telemetry"),
}
"""Contract -> the file that gets an import, and what it imports."""


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What import-linter says of a copy in which every wall was broken."""
    copy = tmp_path_factory.mktemp("house")
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for file, imported in PLANTED.values():
        with (copy / "src" / file).open("a", encoding="utf-8") as source:
            source.write(f"\nimport {imported}\n")
    linter = Path(sys.executable).with_name("lint-imports")
    answer = subprocess.run(
        [linter, "--config", ROOT / "pyproject.toml", "--no-cache"],
        cwd=copy / "src",
        env={**os.environ, "PYTHONPATH": str(copy / "src"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert answer.returncode == 1, answer.stdout + answer.stderr
    return answer.stdout


@pytest.mark.parametrize("contract", PLANTED)
def test_a_planted_violation_is_caught(contract, verdicts):
    assert f"{CONTRACTS[contract]['name']} BROKEN" in verdicts


def test_every_wall_is_shown_a_violation():
    assert set(CONTRACTS) == set(PLANTED)


def test_no_wall_has_a_list_of_exceptions():
    lists = [key for key, contract in CONTRACTS.items() if "ignore_imports" in contract]
    assert lists == []
    assert CONTRACTS["layers"]["exhaustive"] is True
    assert CONTRACTS["layers"]["exhaustive_ignores"] == ["apps", "migrations"]


def test_the_domain_imports_the_standard_library_and_itself():
    strangers = set()
    for path in SOURCES:
        if not name(path).startswith("src/notifications/domain/"):
            continue
        for module in imported(path):
            top = module.partition(".")[0]
            if top not in sys.stdlib_module_names and not module.startswith("notifications.domain"):
                strangers.add(f"{name(path)}: {module}")
    assert strangers == set()


def test_only_types_are_imported_from_the_project_by_the_apps():
    """The one import that TYPE_CHECKING hides from the walls, and no other."""
    hidden = {
        f"{name(path)}: {module}"
        for path in SOURCES
        if not name(path).startswith("src/carillon/")
        for module in imported(path)
        if module.partition(".")[0] == "carillon"
    }
    assert hidden == {"src/notifications/infra/conf.py: carillon.settings.environment"}


def imported(path: Path) -> list[str]:
    """The modules that a file imports, wherever in the file."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found.append(node.module or "")
    return found


def test_no_lazy_attribute_holds_a_lock_of_all_threads() -> None:
    """Until Python 3.12 functools.cached_property computes under one lock a class: whoever waits
    for the database in it holds up every other object's. Django's has none."""
    users = [
        name(path)
        for path in SOURCES
        if re.search(r"from functools import .*\bcached_property\b", path.read_text())
    ]

    assert users == []
