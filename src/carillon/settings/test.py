"""Settings for tests: the production settings with a separate database.

TEST_DATABASE=postgres starts one PostgreSQL for all processes of the run, before the first test.
Otherwise the database is an SQLite file, as in the embedded service.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

# A test's transaction lasts as long as the test, which may be idle in it for a while.
os.environ.setdefault("CARILLON_DATABASE_IDLE_TIMEOUT_SECONDS", "300")
if "CARILLON_DATA_DIR" not in os.environ:
    os.environ["CARILLON_DATA_DIR"] = tempfile.mkdtemp(prefix="carillon-test-")
    atexit.register(shutil.rmtree, os.environ["CARILLON_DATA_DIR"], ignore_errors=True)
os.environ.setdefault("CARILLON_SECRET_KEY", "a-secret-for-tests-only-0123456789abcdef")
if os.environ.get("TEST_DATABASE") == "postgres" and "CARILLON_DATABASE_URL" not in os.environ:
    from carillon.servers import PostgresServer

    _server = PostgresServer(durable=False).__enter__()
    atexit.register(_server.__exit__, None, None, None)
    os.environ["CARILLON_DATABASE_URL"] = _server.url  # the run's other processes inherit it

from carillon.settings.base import *  # noqa: F403 -- the settings under test are the real ones
from carillon.settings.base import CARILLON, DATABASES

if DATABASES["default"]["ENGINE"] == "carillon.sqlite":
    # A file, not memory: threads and processes must share it.
    DATABASES["default"]["TEST"] = {"NAME": str(CARILLON.data_dir / "test.sqlite3")}
    DATABASES["keys"]["TEST"] = {"NAME": str(CARILLON.data_dir / "test-keys.sqlite3")}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
