"""The file of an SQLite database has tokens and addresses, so only its owner may read it."""

from __future__ import annotations

import os

from django.db import connections

from carillon.sqlite import filelock
from carillon.sqlite.base import DatabaseWrapper


def test_only_its_owner_can_read_a_new_database(tmp_path):
    place = tmp_path / "new.sqlite3"
    given = {**connections.settings["default"], "NAME": str(place), "OPTIONS": {}}
    before = os.umask(0o022)
    try:
        wrapper = DatabaseWrapper(given, "new")
        opened = wrapper.get_new_connection(wrapper.get_connection_params())
        opened.execute("PRAGMA journal_mode=WAL")
        opened.execute("CREATE TABLE t (a)")
        modes = {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
        opened.close()
    finally:
        os.umask(before)

    assert modes == {0o600}


def test_a_write_outside_of_a_transaction_waits_in_the_same_queue(
    tmp_path, monkeypatch, django_db_blocker
):
    given = {**connections.settings["default"], "NAME": str(tmp_path / "a.sqlite3"), "OPTIONS": {}}
    wrapper = DatabaseWrapper(given, "new")
    acquired: list[str] = []
    real = filelock.acquire

    def acquire(path: str, seconds: float) -> int | None:
        acquired.append(path)
        return real(path, seconds)

    monkeypatch.setattr(filelock, "acquire", acquire)
    with django_db_blocker.unblock(), wrapper.cursor() as cursor:
        cursor.execute("CREATE TABLE t (a)")
        cursor.execute("INSERT INTO t VALUES (1)")
        cursor.execute("UPDATE t SET a = 2")
        cursor.execute("SELECT a FROM t")
        assert cursor.fetchall() == [(2,)]
    assert len(acquired) == 2

    with django_db_blocker.unblock():
        wrapper.set_autocommit(False)
        with wrapper.cursor() as cursor:
            cursor.execute("DELETE FROM t")
        wrapper.rollback()
        wrapper.close()
    assert len(acquired) == 2
