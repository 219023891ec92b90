"""Callers and deliveries for the tests of schedules."""

from __future__ import annotations

from tests.integration.api.conftest import api, as_staff, as_user, staff, user, with_key

__all__ = ["api", "as_staff", "as_user", "staff", "user", "with_key"]
