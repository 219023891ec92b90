"""Callers of every kind, as in the tests of the API, and a second person."""

from __future__ import annotations

import functools

import pytest
from rest_framework.test import APIClient, ForceAuthClientHandler

from directory.models import User
from notifications.features.access.authentication import issue_access
from notifications.infra import clock
from tests.integration.api.conftest import *  # noqa: F403 -- its clients are fixtures here
from tests.integration.conftest import override_environment as override_environment
from tests.integration.factories import make_user


@functools.cache
def _shared_handler() -> ForceAuthClientHandler:
    return ForceAuthClientHandler(enforce_csrf_checks=False)


def quiet(token: str) -> APIClient:
    """A client that holds no answer against the document, and raises no exception of a view.

    All of them share one stack of middleware: to load it lists every static file.
    """
    client = APIClient(raise_request_exception=False)
    client.handler = _shared_handler()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def person(user: User) -> APIClient:
    """A client with a person's own token."""
    return quiet(issue_access(user, now=clock.now()))


@pytest.fixture
def ada(db: None) -> User:
    return make_user(username="ada", external_id="ext-ada")


@pytest.fixture
def bob(db: None) -> User:
    return make_user(username="bob", external_id="ext-bob")
