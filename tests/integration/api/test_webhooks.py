"""The doors of status webhooks."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.django_db
URL = "/api/v1/webhooks"
BODY = {"url": "https://example.com/hook", "events": ["message.failed"], "name": "ours"}


@pytest.fixture
def service(with_key):
    return with_key("webhooks:write")


@pytest.fixture
def made(service):
    return service.post(URL, BODY, format="json")


def test_an_endpoint_is_made_with_a_secret_that_is_shown_once(service, made):
    assert made.status_code == 201
    assert made.json()["secret"].startswith("whsec_")
    shown = service.get(f"{URL}/{made.json()['id']}").json()
    assert "secret" not in shown
    assert (shown["url"], shown["events"], shown["active"]) == (BODY["url"], BODY["events"], True)
    assert service.get(URL).json()["results"] == [shown]


def test_every_error_is_reported_at_once(service):
    body = {"url": "https://10.0.0.1/", "events": ["message.read"]}
    answer = service.post(URL, body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert {(e["path"], e["code"]) for e in answer.json()["errors"]} == {
        ("url", "address_refused"),
        ("events", "unknown_event"),
    }


def test_an_endpoint_is_replaced_and_deleted(service, made):
    url = f"{URL}/{made.json()['id']}"
    answer = service.put(url, {**BODY, "events": [], "active": False}, format="json")
    assert (answer.status_code, answer.json()["active"], answer.json()["events"]) == (
        200,
        False,
        [],
    )
    assert service.delete(url).status_code == 204
    answer = service.get(url)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_webhook")


def test_rotation_returns_another_secret(service, made):
    answer = service.post(f"{URL}/{made.json()['id']}/rotate", {}, format="json")
    assert answer.status_code == 200
    assert answer.json()["secret"] != made.json()["secret"]


def test_a_new_endpoint_has_no_deliveries_to_replay(service, made):
    url = f"{URL}/{made.json()['id']}"
    assert service.get(f"{url}/deliveries?state=failed").json()["results"] == []
    answer = service.post(f"{url}/replay", {"since": "2030-01-01T00:00:00Z"}, format="json")
    assert answer.json() == {"replayed": 0, "more": False}
    answer = service.post(f"{url}/replay", {}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (400, "required")


@pytest.mark.parametrize(
    ("url", "reported"),
    [
        ("http://127.0.0.1/hook", True),
        ("http://example.com:8299/hook", True),
        ("ftp://example.com/hook", False),
    ],
)
def test_a_loopback_url_is_refused_with_a_hint(service, url, reported):
    answer = service.post(URL, {**BODY, "url": url}, format="json")
    assert answer.status_code == 400
    assert ("CARILLON_WEBHOOK_ALLOW_PRIVATE=true" in answer.json()["detail"]) is reported
