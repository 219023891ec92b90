"""The write-ahead logs of SQLite are truncated, and a reader delays it for a moment only."""

from __future__ import annotations

from contextlib import closing

import pytest
from django.db import ConnectionHandler

from carillon.settings.database import database_settings
from vault import raw_files

pytestmark = pytest.mark.django_db


@pytest.fixture
def handler(tmp_path, monkeypatch, settings):
    made = ConnectionHandler({"default": database_settings("", tmp_path, 1)})
    settings.KEYS_ALIAS = "default"
    monkeypatch.setattr(raw_files, "connections", made)
    with made["default"].cursor() as cursor:
        cursor.execute("CREATE TABLE t (x TEXT)")
        cursor.execute("INSERT INTO t VALUES ('seventeen roses')")
        cursor.execute("DELETE FROM t")
    yield made
    made["default"].close()


def test_what_is_deleted_is_in_no_file(handler, tmp_path):
    def found():
        return [p.name for p in tmp_path.iterdir() if b"seventeen roses" in p.read_bytes()]

    assert found() == ["carillon.sqlite3-wal"]
    assert raw_files.truncate_logs()
    assert found() == []
    assert (tmp_path / "carillon.sqlite3-wal").stat().st_size == 0


def test_a_reader_delays_it(handler, tmp_path):
    other = ConnectionHandler({"default": database_settings("", tmp_path, 1)})["default"]
    with closing(other), other.cursor() as cursor:
        cursor.execute("BEGIN DEFERRED")
        cursor.execute("SELECT * FROM t")
        cursor.fetchall()
        assert not raw_files.truncate_logs()
        cursor.execute("ROLLBACK")
        assert raw_files.truncate_logs()
    with handler["default"].cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        assert cursor.fetchone()[0] == 5_000
        cursor.execute("PRAGMA secure_delete")
        assert cursor.fetchone()[0] == 1
