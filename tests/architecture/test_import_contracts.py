"""import-linter reports a violation of each contract of pyproject.toml.

The violations are added to a copy of the source. `make check` checks the real source.
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
    "entry-points": ("notifications/api/health.py", "notifications.queue"),
    "command-line": ("carillon/cli/send.py", "notifications.engine.prepare"),
    "test-servers": ("carillon/urls.py", "notifications.testing"),
    "directory": ("directory/apps.py", "notifications"),
    "vault": ("vault/apps.py", "directory"),
    "project": ("notifications/apps.py", "carillon"),
    "console": ("directory/apps.py", "console.urls"),
    "siblings": ("notifications/infra/clock.py", "notifications.infra.telemetry"),
}
"""Contract -> the file that gets an import, and the imported module."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of import-linter on a copy in which every contract is violated."""
    copy = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for file, imported in PLANTED.values():
        with (copy / "src" / file).open("a", encoding="utf-8") as source:
            source.write(f"\nimport {imported}\n")
    linter = Path(sys.executable).with_name("lint-imports")
    finished = subprocess.run(
        [linter, "--config", ROOT / "pyproject.toml", "--no-cache"],
        cwd=copy / "src",
        env={**os.environ, "PYTHONPATH": str(copy / "src"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert finished.returncode == 1, finished.stdout + finished.stderr
    return finished.stdout


@pytest.mark.parametrize("contract", PLANTED)
def test_import_linter_reports_a_planted_violation(contract, report):
    assert f"{CONTRACTS[contract]['name']} BROKEN" in report


def test_every_contract_has_a_planted_violation():
    assert set(CONTRACTS) == set(PLANTED)


def test_no_contract_has_a_list_of_exceptions():
    lists = [key for key, contract in CONTRACTS.items() if "ignore_imports" in contract]
    assert lists == []
    assert CONTRACTS["layers"]["exhaustive"] is True
    assert CONTRACTS["layers"]["exhaustive_ignores"] == ["apps", "migrations"]


def test_the_domain_imports_the_standard_library_and_itself():
    forbidden = set()
    for path in SOURCES:
        if not name(path).startswith("src/notifications/domain/"):
            continue
        for module in imported(path):
            top = module.partition(".")[0]
            if top not in sys.stdlib_module_names and not module.startswith("notifications.domain"):
                forbidden.add(f"{name(path)}: {module}")
    assert forbidden == set()


def test_only_types_are_imported_from_the_project_by_the_apps():
    """TYPE_CHECKING hides this import from import-linter; there is no other."""
    hidden = {
        f"{name(path)}: {module}"
        for path in SOURCES
        if not name(path).startswith("src/carillon/")
        for module in imported(path)
        if module.partition(".")[0] == "carillon"
    }
    assert hidden == {"src/notifications/infra/conf.py: carillon.settings.environment"}


def imported(path: Path) -> list[str]:
    """Returns the modules that a file imports, anywhere in the file."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found.append(node.module or "")
    return found


def test_no_lazy_attribute_computes_under_a_lock_of_all_threads() -> None:
    """Before Python 3.12 functools.cached_property computes under one lock for each class. A thread
    that waits for the database there blocks all others. Django's cached_property has no lock."""
    users = [
        name(path)
        for path in SOURCES
        if re.search(r"from functools import .*\bcached_property\b", path.read_text())
    ]

    assert users == []
