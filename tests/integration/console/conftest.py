"""Members of staff with open sessions, and the pages that they get."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.test import Client

from console.overview.attention import checks
from console.overview.traffic import traffic
from console.overview.views import lanes
from tests.integration.factories import make_user

As = Callable[[str], Client]


@pytest.fixture(autouse=True)
def _forgotten_figures() -> Iterator[None]:
    """Each test reads figures of its own."""
    yield
    traffic.forget()
    lanes.forget()
    checks.forget()


@pytest.fixture
def as_role(db: None) -> As:
    """Returns a client that a member of staff with a role has signed in with."""

    def sign_in(role: str) -> Client:
        client = Client()
        client.force_login(make_user(staff_role=role, timezone="Europe/Berlin"))
        return client

    return sign_in


@pytest.fixture
def operator(as_role: As) -> Client:
    return as_role("operator")


@pytest.fixture
def admin(as_role: As) -> Client:
    return as_role("admin")
