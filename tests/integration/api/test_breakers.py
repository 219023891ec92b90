"""Limits and breakers by HTTP, in health and in metrics."""

from __future__ import annotations

import pytest

from notifications.domain.flow import OPEN_US, CallCounts
from notifications.models import OperatorAction, ProviderFlow

pytestmark = pytest.mark.django_db
URL = "/api/v1/breakers"


@pytest.fixture
def broken(frozen, override_environment):
    override_environment(email_provider="smtp")
    for service in ("smtp", "webhook|dead.example"):
        ProviderFlow.objects.report(
            service,
            CallCounts(faults=5),
            owner="w",
            faults_to_open=5,
            open_us=OPEN_US,
            code="timeout",
        )


def test_the_list_says_what_is_left_alone_until_when_and_why(broken, as_staff, frozen):
    first, second = as_staff.get(URL).json()["results"]
    assert {name: first[name] for name in ("service", "provider", "state", "limit")} == {
        "service": "smtp",
        "provider": "smtp",
        "state": "open",
        "limit": "14/s",
    }
    assert first["last_fault_code"] == "timeout"
    assert first["until"]
    assert (second["service"], second["provider"], second["limit"]) == (
        "webhook|dead.example",
        "webhook",
        None,
    )


def test_the_list_is_paged(broken, as_staff):
    page = as_staff.get(f"{URL}?limit=1").json()
    assert [row["service"] for row in page["results"]] == ["smtp"]
    following = as_staff.get(page["next"]).json()
    assert [row["service"] for row in following["results"]] == ["webhook|dead.example"]
    assert following["next"] is None


def test_a_person_closes_a_breaker_and_it_is_written_down(broken, as_staff):
    answer = as_staff.post(f"{URL}/close", {"service": "smtp"}, format="json")
    assert (answer.status_code, answer.json()["state"]) == (200, "closed")
    assert OperatorAction.objects.get().action == "breaker.close"


def test_a_service_that_no_one_called_is_unknown(as_staff):
    answer = as_staff.post(f"{URL}/close", {"service": "fax"}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_service")


def test_health_is_degraded_by_a_chosen_providers_breaker_and_readiness_is_not(broken, client):
    health = client.get("/health")
    assert health.status_code == 503
    assert health.json()["checks"]["providers"]["providers"]["smtp"]["breaker"] == "open"
    assert any("smtp" in reason for reason in health.json()["reasons"])
    assert client.get("/health/ready").status_code == 200


def test_metrics_count_what_is_held(broken, client):
    text = client.get("/metrics").content.decode()
    assert 'notification_breaker_open{provider="smtp"} 1.0' in text
    assert 'notification_breaker_open{provider="webhook"} 1.0' in text
