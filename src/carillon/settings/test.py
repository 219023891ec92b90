"""Settings for tests: the database that TEST_DATABASE names, no broker, cheap password hashing."""

from __future__ import annotations

import os
import tempfile

os.environ.setdefault("CARILLON_DATA_DIR", tempfile.mkdtemp(prefix="carillon-test-"))
os.environ.setdefault("CARILLON_SECRET_KEY", "a-secret-for-tests-only-0123456789abcdef")

from carillon.settings.base import *  # noqa: E402, F403 -- the settings under test are the real ones

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
