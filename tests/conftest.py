"""What all tests share: a clock that can be stopped, servers, and empty caches."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.db import connection, connections
from django.db.models.signals import post_migrate
from django.dispatch import receiver
from django.test.utils import setup_databases, teardown_databases
from django.utils import translation
from hypothesis import settings
from pytest_django.plugin import DjangoDbBlocker
from whitenoise.middleware import WhiteNoiseMiddleware

from carillon.servers import PostgresServer, RedisServer
from carillon.serving import settled
from notifications.delivery.services import use_troubled
from notifications.engine import shared_rows
from notifications.features.access.callers import CACHE as callers
from notifications.features.experiments.catalog import forget_tests
from notifications.features.operations import health_probes
from notifications.features.tracking.service import COLLECTOR
from notifications.infra import clock
from notifications.infra.database.clock_bridge import database_clock
from notifications.rendering import usage, versions
from notifications.rendering.language import meter
from notifications.rendering.mail.links import forget_targets
from tests.migrated import stored

# The same examples on every run; `make proof` searches for more, and stores those that fail.
settings.register_profile("seeded", derandomize=True, deadline=None)
settings.register_profile("proof", max_examples=5_000, deadline=None)
PROOF = bool(os.environ.get("CARILLON_PROOF"))
settings.load_profile("proof" if PROOF else "seeded")
_seed = importlib.import_module("notifications.migrations.0002_ground")
_installed = importlib.import_module("notifications.migrations.0048_installation_state")
_inbox = importlib.import_module("notifications.migrations.0061_inbox")
_choices = importlib.import_module("notifications.migrations.0065_tracking_choices")
_beat = importlib.import_module("vault.migrations.0004_inbox")


@receiver(post_migrate)
def restore_seeded_rows(sender: Any, using: str, **_: Any) -> None:
    """Inserts the seeded rows again: the flush after a transactional test removes them, too."""
    if sender.name == "notifications" and using == "default":
        _seed.lay_ground(apps, connection.schema_editor())
        _installed.settle(apps, connection.schema_editor())
        with connection.schema_editor() as editor:
            _inbox._prepare(apps, editor)
            _choices._exclude(apps, editor)
    if sender.name == "vault" and using == django_settings.KEYS_ALIAS:
        _beat._make_row(apps, connections[using].schema_editor())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Selects, groups and sorts the tests.

    Exhaustive tests run in `make proof` only. Tests that share a fixture of their module stay in
    one process. Tests that start processes begin first, because they take longest.
    """
    for item in items:
        if not PROOF and item.get_closest_marker("proof"):
            item.add_marker(pytest.mark.skip(reason="make proof"))
        if marked := item.get_closest_marker("django_db"):
            values = {"databases": "__all__", **marked.kwargs}  # with the key store
            item.add_marker(pytest.mark.django_db(*marked.args, **values), append=False)
        if _shares(item):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
    items.sort(key=lambda item: item.get_closest_marker("processes") is None)


def _shares(item: pytest.Item) -> bool:
    """Whether the test uses a module-scoped fixture of the tests."""
    found = getattr(item, "_fixtureinfo", None)
    fixtures = found.name2fixturedefs.values() if found else ()
    return any(
        each.scope == "module" and each.func.__module__.startswith("tests.")
        for defined in fixtures
        for each in defined
    )


class FrozenClock:
    """The service's clock, which a test moves."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def frozen() -> Iterator[FrozenClock]:
    """Stops the clock at noon of a day in 2030, until the test moves it."""
    stopped = FrozenClock(datetime(2030, 5, 1, 12, 0, tzinfo=UTC))
    with clock.reading(stopped):
        yield stopped


@pytest.fixture(autouse=True)
def _forgotten_caches() -> Iterator[None]:
    """Clears caches after each test: a rolled-back database assigns the same keys again."""
    yield
    shared_rows.forget()
    forget_tests()
    versions.forget_versions()
    usage.forget_usage()
    database_clock.forget()  # it may have read a stopped clock, years ahead
    use_troubled({})
    callers.clear()
    COLLECTOR.forget()
    forget_targets()
    health_probes.forget()  # a write may still wait for the lock of the test's own transaction


@pytest.fixture(scope="session", autouse=True)
def _static_files_are_found_once() -> Iterator[None]:
    """Shares the static files: each test client makes the middleware, which would read them all."""
    find = WhiteNoiseMiddleware.add_files_from_finders
    found: dict[str, Any] = {}

    def find_once(self: WhiteNoiseMiddleware) -> None:
        if not found:
            find(self)
            found.update(self.files)
        self.files.update(found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", find_once)
        yield


@pytest.fixture(autouse=True)
def _no_writer_of_hits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hits wait until the test writes them, in its own transaction."""
    monkeypatch.setattr(COLLECTOR, "starts_thread", False)


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """No request reads whether the database is settled, so that tests can count statements."""
    monkeypatch.setattr(settled.CHECK, "_read_at", float("inf"))


@pytest.fixture(autouse=True)
def _patient_meter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raises the limit of CPU time: a slow machine, or coverage, must not fail a template."""
    if "fuzz" not in request.module.__name__ and "sandbox" not in request.module.__name__:
        monkeypatch.setattr(meter, "RENDER_CPU_SECONDS", 20 * meter.RENDER_CPU_SECONDS)


@pytest.fixture(autouse=True)
def _forgotten_language() -> Iterator[None]:
    """Resets the language: the test client runs in this thread and leaves its language set."""
    yield
    translation.deactivate()


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None,
    django_db_modify_db_settings: None,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[None]:
    """Creates the test databases. On SQLite they are copies of migrated files."""
    with django_db_blocker.unblock():
        names = {each.alias: each.creation._get_test_db_name() for each in connections.all()}
        if connection.vendor == "sqlite":
            with stored({alias: Path(name) for alias, name in names.items()}) as copied:
                made = setup_databases(verbosity=0, interactive=False, keepdb=copied)
        else:
            made = setup_databases(verbosity=0, interactive=False)
    yield
    with django_db_blocker.unblock():
        teardown_databases(made, verbosity=0)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL for tests that start processes of their own."""
    with PostgresServer(durable=False) as server:
        yield server


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A Redis that the test may kill."""
    with RedisServer() as server:
        yield server
