"""A process that serves a database which is being restored refuses requests within a second."""

from __future__ import annotations

import pytest
from celery import Celery
from django.db import DatabaseError

from carillon.celery_beat import QuietScheduler
from carillon.serving import settled
from carillon.serving.grouped_routes import GROUPED, Call, _with_connection
from notifications.infra import clock
from notifications.models import InstallationState
from notifications.models.operations.installation import InstallationStateManager

pytestmark = pytest.mark.django_db


@pytest.fixture
def seconds(monkeypatch):
    """The monotonic clock, which the test moves."""
    now = [1000.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    settled.CHECK.forget()
    yield now
    settled.CHECK._is_settled = True


def test_a_database_that_is_not_settled_is_not_served(client, seconds):
    assert client.get("/api/v1/users").status_code == 401
    InstallationState.objects.unsettle()
    seconds[0] += 0.9
    assert client.get("/api/v1/users").status_code == 401
    seconds[0] += 0.2
    response = client.get("/api/v1/users")
    assert (response.status_code, response["Retry-After"]) == (503, "10")
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "not_settled"
    assert client.get("/admin/").status_code == 503
    assert client.get("/health/live").status_code == 200
    assert client.get("/health").json()["status"]

    InstallationState.objects.settle(at=clock.now(), backup_at=None)
    seconds[0] += 1.1
    assert client.get("/api/v1/users").status_code == 401


def test_the_row_is_read_once_a_second(seconds, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert all(settled.may_serve("/api/v1/users") for _ in range(9))
    seconds[0] += 1.1
    with django_assert_num_queries(0):
        assert settled.may_serve("/health")
    with django_assert_num_queries(1):
        assert settled.may_serve("/")


def test_a_group_is_handed_on_and_refused_one_by_one(seconds):
    InstallationState.objects.unsettle()
    calls = [Call({"authorization": "Bearer x"})] * 2
    for each in GROUPED.values():
        assert _with_connection(each)(calls) == [None, None]


@pytest.mark.parametrize("was", [True, False])
def test_a_database_that_is_away_changes_nothing(was, seconds, monkeypatch):
    if not was:
        InstallationState.objects.unsettle()
    assert settled.CHECK.is_settled() is was
    monkeypatch.setattr(InstallationStateManager, "check_settled", _fail)
    seconds[0] += 1.1
    assert settled.CHECK.is_settled() is was


def _fail(self):
    raise DatabaseError("away")


def test_beat_of_celery_does_not_start_either(monkeypatch):
    monkeypatch.setattr("carillon.celery_beat.connections.close_all", lambda: None)
    app = Celery(set_as_current=False)  # the tests after this one need the service's own
    QuietScheduler(app, schedule={})
    InstallationState.objects.unsettle()
    with pytest.raises(SystemExit, match="carillon restore"):
        QuietScheduler(app, schedule={})
