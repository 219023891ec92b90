"""What an operator installs: the licence, the locked requirements of serving, the Compose file."""

from __future__ import annotations

import re
import subprocess
import tomllib

import yaml

from carillon.settings.environment import Environment
from tests.architecture.test_budgets import ROOT


def test_the_licence_is_stated_and_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    assert project["license-files"] == ["LICENSE"]
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:200]


def test_what_serves_is_installed_without_what_tests(tmp_path) -> None:
    recipe = subprocess.run(
        ["make", "-n", f"VENV={tmp_path}/venv", "run"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "requirements/run.txt" in recipe
    assert "requirements/dev.txt" not in recipe


def test_compose_names_settings_that_exist_and_values_that_are_in_its_example() -> None:
    text = (ROOT / "deploy/compose.yaml").read_text()
    services = yaml.safe_load(text)["services"]
    known = {f"CARILLON_{name.upper()}" for name in Environment.__dataclass_fields__}
    assert set(services["worker"]["environment"]) <= known
    example = (ROOT / "deploy/env.example").read_text()
    for name in re.findall(r"\$\{([A-Z_]+):\?", text):
        assert f"{name}=" in example, name
    published = [name for name, each in services.items() if each.get("ports")]
    assert published == ["proxy"]
