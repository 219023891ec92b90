"""The file of an SQLite database: it holds tokens and addresses, and is its owner's alone."""

from __future__ import annotations

import os

from django.db import connections

from carillon.sqlite.base import DatabaseWrapper


def test_a_new_database_is_read_by_its_owner_alone(tmp_path):
    place = tmp_path / "new.sqlite3"
    given = {**connections.settings["default"], "NAME": str(place), "OPTIONS": {}}
    held = os.umask(0o022)
    try:
        wrapper = DatabaseWrapper(given, "new")
        opened = wrapper.get_new_connection(wrapper.get_connection_params())
        opened.execute("PRAGMA journal_mode=WAL")
        opened.execute("CREATE TABLE t (a)")
        modes = {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
        opened.close()
    finally:
        os.umask(held)

    assert modes == {0o600}
