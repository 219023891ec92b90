"""Fixtures of tests that start their own processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from carillon.bench.harness.environment import PREPARED
from carillon.servers import PostgresServer
from tests.prepared import prepared, shared_folder


@pytest.fixture(scope="session", autouse=True)
def _prepared_databases(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Migrates once per run; tests copy the result."""
    os.environ[PREPARED] = str(shared_folder(Path(tmp_path_factory.getbasetemp())))
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[1] / "unlike_production")
    for kind in ("sqlite", "postgres"):
        prepared(kind)


@pytest.fixture(scope="session")
def migrated_postgres(_prepared_databases: None) -> Iterator[PostgresServer]:
    with PostgresServer(durable=False, prepared=prepared("postgres")) as server:
        yield server


@pytest.fixture
def postgres_url(migrated_postgres: PostgresServer) -> str:
    """Returns the URL of a migrated PostgreSQL database that only this test uses."""
    server, name = migrated_postgres, f"test_{os.urandom(4).hex()}"
    with psycopg.connect(server.url.replace("/postgres?", "/template1?"), autocommit=True) as base:
        base.execute(f'CREATE DATABASE "{name}" TEMPLATE postgres')
    return server.url.replace("/postgres?", f"/{name}?")
