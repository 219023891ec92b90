"""A new vendor is one folder and one entry of the registry; nothing else under src/ changes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VENDORS = Path("notifications/delivery/vendors")
REGISTRY = "notifications/delivery/registry.py"
PAGE = (ROOT / "docs" / "howto" / "add_a_provider.md").read_text()
CODE = re.findall(r"```(?:python|text)\n(.*?)```", PAGE, re.DOTALL)

CALLBACKS = """
from notifications.delivery.callbacks.signed import SignedCallbacks

class PigeonCallbacks(SignedCallbacks):
    key = "pigeon"
"""
INBOUND = """
from notifications.delivery.callbacks.inbound import InboundReader, InboundText

class PigeonInbound(InboundReader):
    key = "pigeon"
    content_type = "text/plain"
    def read(self, call):
        return InboundText("1", "+1", "+2", "STOP", None)
    def reply_of(self, text):
        return b""
"""
USE = """
import django
django.setup()
from django.urls import resolve
from carillon.cli import docs
from notifications.delivery import accounts, registry, stored_settings
from notifications.delivery.routing import provider_for
from notifications.features.sending.intents import is_verified
from notifications.infra.conf import environment
from notifications.testing.faults import FAULT_VERDICTS

assert environment().sms_provider == "pigeon=3,twilio=1"
ways = [provider_for("sms", key=n, attempts=0, pinned=None) for n in range(2000)]
assert set(ways) == {"pigeon", "twilio"} and ways.count("pigeon") > ways.count("twilio")
assert registry.provider_class("pigeon")().key == "pigeon"
assert accounts.account("pigeon").pigeon_token == "t"
assert accounts.missing("pigeon", ("token",)) == []
assert set(stored_settings.storable("pigeon")) == {"token", "from"}
assert is_verified("+15005550099")
assert registry.callback_reader("pigeon").key == "pigeon"
assert registry.inbound_reader("pigeon").read(None).text == "STOP"
assert resolve("/inbound/pigeon").kwargs == {"provider": "pigeon"}
assert "CARILLON_PIGEON_TOKEN" in docs._settings()
assert "| `pigeon` | sms |" in docs._providers()
assert "`pigeon`" in docs._faults() and FAULT_VERDICTS["pigeon"]
"""


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Returns a copy of src/ with the vendor of the howto page."""
    source = tmp_path_factory.mktemp("planted") / "src"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
    send, settings, entry = CODE
    folder = source / VENDORS / "pigeon"
    folder.mkdir()
    files = {
        "__init__.py": '"""Pigeon Post."""\n',
        "send.py": send,
        "settings.py": settings,
        "callbacks.py": CALLBACKS,
        "inbound.py": INBOUND,
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    registry = source / REGISTRY
    before = "    Vendor("
    registry.write_text(registry.read_text().replace(before, f"    {entry.strip()}\n{before}", 1))
    return source


def run(source, *command, **environ):
    return subprocess.run(
        command,
        cwd=source,
        env={**os.environ, "PYTHONPATH": str(source), "COLUMNS": "200", **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def touched(source):
    """Returns the paths that differ from src/; a vendor's folder counts as one path."""
    found = set()
    for path in source.rglob("*.py"):
        name = path.relative_to(source)
        original = ROOT / "src" / name
        if not original.exists() or original.read_bytes() != path.read_bytes():
            inside = name.parts[:3] == VENDORS.parts and len(name.parts) > 4
            found.add(str(Path(*name.parts[:4]) if inside else name))
    return found


def test_a_planted_vendor_touches_its_folder_and_the_registry(planted, tmp_path):
    finished = run(
        planted,
        *(sys.executable, "-c", USE),
        DJANGO_SETTINGS_MODULE="carillon.settings.test",
        CARILLON_DATA_DIR=str(tmp_path),
        CARILLON_SMS_PROVIDER="pigeon=3,twilio=1",
        CARILLON_PIGEON_TOKEN="t",
        CARILLON_PIGEON_FROM="+15005550099",
    )

    assert finished.returncode == 0, finished.stderr
    assert touched(planted) == {str(VENDORS / "pigeon"), REGISTRY}


def test_a_planted_vendor_meets_the_import_contracts(planted):
    linter = Path(sys.executable).with_name("lint-imports")

    finished = run(planted, linter, "--config", ROOT / "pyproject.toml", "--no-cache")

    assert "0 broken" in finished.stdout, finished.stdout


def test_only_its_folder_and_the_registry_name_the_newest_vendor():
    naming = {
        str(path.relative_to(ROOT / "src"))
        for path in (ROOT / "src").rglob("*.py")
        # Another vendor's folder may name the same service: Apprise reaches it too.
        if ROOT / "src" / VENDORS not in path.parents and "vonage" in path.read_text().lower()
    }

    assert naming == {REGISTRY}
