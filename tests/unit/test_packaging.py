"""What an operator installs: the licence, the locked requirements of serving, the Compose file."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from importlib import import_module

import pytest
import yaml

from carillon.settings.environment import Environment, read_environment
from tests.architecture.test_budgets import ROOT


def test_the_licence_is_declared_and_present() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    assert project["license-files"] == ["LICENSE"]
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:200]


def test_serving_is_installed_without_the_requirements_of_tests(tmp_path) -> None:
    recipe = subprocess.run(
        ["make", "-n", f"VENV={tmp_path}/venv", "run"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "requirements/run.txt" in recipe
    assert "requirements/dev.txt" not in recipe


COMPOSE = (ROOT / "deploy/compose.yaml").read_text()
SERVICES = yaml.safe_load(COMPOSE)["services"]
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()
OWN = ("migrate", "web", "worker", "beat")


def test_compose_uses_existing_settings_and_values_of_its_example() -> None:
    known = {f"CARILLON_{name.upper()}" for name in Environment.__dataclass_fields__}
    assert set(SERVICES["worker"]["environment"]) <= known
    example = (ROOT / "deploy/env.example").read_text()
    assert set(re.findall(r"^(CARILLON_\w+)=", example, re.M)) <= known
    for name in re.findall(r"\$\{([A-Z_]+):\?", COMPOSE):
        assert f"{name}=" in example, name
    published = [name for name, each in SERVICES.items() if each.get("ports")]
    assert published == ["proxy"]


@pytest.mark.parametrize("name", OWN)
def test_compose_starts_commands_that_accept_their_environment(name: str) -> None:
    """Reads the environment as in the image, with the example filled in, and parses the command."""
    given = dict(re.findall(r"^(\w+)=(.+)$", (ROOT / "deploy/env.example").read_text(), re.M))
    given |= {"CARILLON_SECRET_KEY": "x" * 32, "POSTGRES_PASSWORD": "secret"}
    environ = dict(re.findall(r"(CARILLON_\w+)=(\S+)", DOCKERFILE))
    environ |= {key: value for key, value in given.items() if key.startswith("CARILLON_")}
    environ |= {
        key: re.sub(r"\$\{(\w+)(?::[?-][^{}]*(?:\{\w+\})?)?\}", lambda m: given.get(m[1], ""), text)
        for key, text in SERVICES[name]["environment"].items()
    }
    read = read_environment(environ)
    assert read.production
    assert read.public_url == "https://notify.example.com"
    assert read.app_url == "https://www.example.com"
    assert read.database_url == "postgres://carillon:secret@postgres/carillon"

    words = SERVICES[name].get("command") or json.loads(DOCKERFILE.rpartition("CMD ")[2])
    command = import_module(f"carillon.cli.{words[0]}").command
    assert command.make_context(words[0], words[1:])


def test_compose_waits_for_healthy_services_and_stops_with_patience() -> None:
    for name, each in SERVICES.items():
        for other, how in each.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], (name, other)
        is_once = name == "migrate"
        assert each["restart"] == ("no" if is_once else "unless-stopped"), name
    for name in OWN:  # a web process drains for half a minute
        assert SERVICES[name]["stop_grace_period"] == "60s"
    assert SERVICES["web"]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    mounted = {v.split(":")[0] for each in SERVICES.values() for v in each.get("volumes", [])}
    assert mounted == set(yaml.safe_load(COMPOSE)["volumes"])


def test_the_image_has_every_file_that_its_build_copies() -> None:
    included = (ROOT / ".dockerignore").read_text().split()
    for line in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.M):
        for path in line.split():
            assert (ROOT / path).exists(), path
            assert f"!{path.split('/')[0]}" in included, path
    script = re.findall(r'ENTRYPOINT \["(\w+)"\]', DOCKERFILE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert script == ["carillon"]
    assert "carillon" in project["scripts"]
