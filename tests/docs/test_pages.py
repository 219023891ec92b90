"""The pages name only what exists: links, commands, options, settings, tests, metrics."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import click
import pytest

from carillon.cli import SUBCOMMANDS, carillon
from carillon.settings.environment import Environment
from carillon.settings.renamed import RENAMED
from notifications.features.operations import metrics
from notifications.infra import telemetry
from tests.docs.codes import ROOT

GENERATED = {"docs/reference/api.md"}
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], key=lambda path: path.as_posix()
)
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
DEPLOYED = sorted(path for path in (ROOT / "deploy").iterdir() if path.is_file())
TEXTS = [*PAGES, *DEPLOYED, ROOT / ".ci/run"]
VARIABLES = {f"CARILLON_{name.upper()}" for name in Environment.__dataclass_fields__}
BESIDES = {"CARILLON_PROOF"}
"""Settings of the tests and the Makefile, not of the service."""


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_has_a_target(page):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text_of(page))
    local = [target for target in targets if not re.match(r"\w+:", target)]
    missing = [target for target in local if not (page.parent / target).exists()]
    assert missing == []


def headings_of(page: Path) -> set[str]:
    """Returns the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_to_a_heading_has_its_heading(page):
    links = re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", text_of(page))
    found = [(page.parent / target if target else page, anchor) for target, anchor in links]
    missing = [anchor for to, anchor in found if anchor not in headings_of(to)]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_pages_are_short(page):
    if page.relative_to(ROOT).as_posix() not in GENERATED:
        longest = 120 if page.name == "README.md" else 200
        assert len(text_of(page).splitlines()) <= longest


def test_the_index_links_to_every_page():
    index = text_of(ROOT / "docs/index.md")
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    missing = [page for page in pages if page not in index and not page.startswith("adr/")]
    assert [page for page in missing if page != "index.md"] == []


@pytest.mark.parametrize("page", TEXTS, ids=lambda path: path.name)
def test_every_named_target_of_make_exists(page):
    targets = set(re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    named = re.findall(r"(?:^|`|; )make ([a-z]+)", text_of(page), re.MULTILINE)
    assert set(named) - targets == set()


COMMAND = re.compile(
    r"(?:\.venv/bin/|^|`|\$\()carillon ([a-z][a-z-]*)([^`\n#)]*)",
    re.MULTILINE,
)


@pytest.mark.parametrize("page", TEXTS, ids=lambda path: path.name)
def test_every_named_command_and_option_exists(page):
    for word, rest in COMMAND.findall(text_of(page)):
        assert word in SUBCOMMANDS, f"carillon {word}"
        known = options_of(word, rest)
        assert set(re.findall(r"(?<!\S)--[a-z-]+", rest)) - known == set(), f"carillon {word}{rest}"


def options_of(word: str, rest: str) -> set[str]:
    """Returns the options of a subcommand and of the command after it."""
    command = carillon.get_command(click.Context(carillon), word)
    assert command is not None
    if isinstance(command, click.Group):
        words = rest.split()
        assert words, f"carillon {word} needs a word after it"
        if command.invoke_without_command and words[0].startswith("--"):
            return {option for each in command.params for option in each.opts}
        assert words[0] in command.commands, f"carillon {word} {words[0]}"
        command = command.commands[words[0]]
    return {option for each in command.params for option in each.opts} | {"--help"}


@pytest.mark.parametrize("page", TEXTS, ids=lambda path: path.name)
def test_every_named_setting_exists(page):
    named = set(re.findall(r"CARILLON_[A-Z_]*[A-Z]", text_of(page)))
    if page.name == "CHANGELOG.md":
        named -= set(RENAMED)
    assert named - VARIABLES - BESIDES == set()


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_named_file_and_test_exists(page):
    for file, test in re.findall(r"`((?:[\w.]+/)*\w+\.py)(?:::(\w+))?`", text_of(page)):
        places = [ROOT / file, *((ROOT / "src" / app / file) for app in ("", "notifications"))]
        places.append(ROOT / "src/carillon" / file)
        found = [place for place in places if place.is_file()]
        if "/" not in file:
            found += [*(ROOT / "tests").rglob(file), *(ROOT / "src").rglob(file)]
        assert found, f"{file} does not exist"
        if test:
            assert any(f"def {test}(" in text_of(place) for place in found), f"{file}::{test}"


def test_alerts_use_exported_metrics():
    alerts = text_of(ROOT / "deploy/alerts.yaml")
    exported = set(re.findall(r"\"(\w+)\"", Path(str(metrics.__file__)).read_text()))
    exported |= set(re.findall(r"\"(\w+)\"", Path(str(telemetry.__file__)).read_text()))
    named = set(re.findall(r"\b(?:notifications?|template)_\w+", alerts))
    bare = {re.sub(r"_(bucket|sum|count)$", "", name) for name in named}
    assert named
    assert bare - exported == set()


def test_the_runbook_lists_exactly_the_alerts():
    alerts = re.findall(r"- alert: (\w+)", text_of(ROOT / "deploy/alerts.yaml"))
    page = text_of(ROOT / "docs/operations/runbook.md")
    assert re.findall(r"^\| `(Carillon\w+)`", page, re.MULTILINE) == alerts


def test_the_source_logs_every_event_of_the_runbook():
    page = text_of(ROOT / "docs/operations/runbook.md")
    events = set(re.findall(r"`([a-z]+\.[a-z-]+)`", page))
    source = "".join(text_of(path) for path in (ROOT / "src").rglob("*.py"))
    assert events
    assert {event for event in events if f'"{event}"' not in source} == set()


def test_the_package_has_the_celery_app_of_the_units():
    assert import_module("carillon").celery_app.main == "carillon"


@pytest.mark.parametrize("page", sorted((ROOT / "docs/adr").glob("*.md")), ids=lambda p: p.stem)
def test_a_decision_gives_its_reason_and_the_cost_of_the_alternative(page):
    text = text_of(page)
    assert text.startswith(f"# {int(page.name[:4])}. ")
    for part in ("**Tags:**", "**Status:**", "## Context", "## Decision"):
        assert part in text
    assert "## What the alternative would have cost" in text
    assert len(text.splitlines()) <= 60
