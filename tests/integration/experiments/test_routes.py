"""The routes of A/B tests, against the OpenAPI document."""

from __future__ import annotations

import pytest

from notifications.features.experiments.catalog import forget_tests
from tests.integration.api.conftest import as_user, user, with_key
from tests.integration.experiments.conftest import PATH, SHORT, send

__all__ = ["as_user", "user", "with_key"]

pytestmark = pytest.mark.django_db
TESTS = "/api/v1/ab-tests"


@pytest.fixture
def writer(with_key):
    return with_key("templates:read", "templates:write", "analytics:read")


def body(template, **fields):
    return {
        "name": "Short or usual",
        "template_id": template.pk,
        "variants": [{"name": "A"}, {"name": "B", "template_path": SHORT, "weight": 3}],
        "traffic_percentage": 100,
        **fields,
    }


def test_a_test_from_draft_to_winner(writer, template, people):
    made = writer.post(TESTS, body(template), format="json")
    assert made.status_code == 201
    found = made.json()
    assert (found["status"], found["control"], found["template_path"]) == ("draft", "A", PATH)
    assert found["variants"][1] == {
        "name": "B",
        "weight": 3,
        "template_path": SHORT,
        "version": None,
        "content": {},
    }
    url = f"{TESTS}/{found['id']}"
    assert writer.patch(url, {"metric": "open_rate"}, format="json").status_code == 200
    assert writer.post(f"{url}/start").json()["status"] == "running"
    assert writer.get(url).json()["in_force"] is True
    refused = writer.patch(url, {"metric": "click_rate"}, format="json")
    assert (refused.status_code, refused.json()["code"]) == (409, "ab_test_started")
    assert writer.delete(url).status_code == 409
    assert writer.post(f"{url}/pause").json()["status"] == "paused"
    assert writer.post(f"{url}/start").json()["status"] == "running"
    results = writer.get(f"{url}/results").json()
    assert [arm["exposures"] for arm in results["arms"]] == [0, 0]
    assert results["decision"]["conclusion"] == "continue"
    wrong = writer.post(f"{url}/declare", {"winner": "C"}, format="json")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "unknown_variant")
    ended = writer.post(f"{url}/declare", {"winner": "B"}, format="json").json()
    assert (ended["status"], ended["winner"], ended["ended_by"]) == ("completed", "B", "declared")
    assert writer.post(f"{url}/stop").json()["code"] == "ab_test_status"
    assert writer.patch(url, {"in_force": False}, format="json").json()["in_force"] is False
    assert writer.delete(url).status_code == 204
    assert writer.get(url).status_code == 404


def test_lists_are_paged_and_filtered(writer, template):
    keys = [writer.post(TESTS, body(template), format="json").json()["id"] for _ in range(3)]
    writer.post(f"{TESTS}/{keys[1]}/start")
    page = writer.get(TESTS, {"limit": 2}).json()
    assert [each["id"] for each in page["results"]] == keys[:2]
    assert [each["id"] for each in writer.get(page["next"]).json()["results"]] == keys[2:]
    running = writer.get(TESTS, {"status": "running"}).json()["results"]
    assert [each["id"] for each in running] == [keys[1]]


def test_a_key_creates_once(writer, template):
    headers = {"HTTP_IDEMPOTENCY_KEY": "test-1"}
    first = writer.post(TESTS, body(template), format="json", **headers)
    again = writer.post(TESTS, body(template), format="json", **headers)
    assert first.json() == again.json()
    assert len(writer.get(TESTS).json()["results"]) == 1


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"template_id": 999_999}, "template_id"),
        ({"variants": [{"name": "A"}]}, "variants"),
        ({"variants": [{"name": "A b"}, {"name": "B"}]}, "variants"),
        ({"variants": [{"name": "A", "weight": 0}, {"name": "B"}]}, "variants"),
        ({"traffic_percentage": 101}, "traffic_percentage"),
        ({"confidence_level": 1.0}, "confidence_level"),
        ({"window_days": 31}, "window_days"),
        ({"expected_rate": 1.0}, "expected_rate"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_values_out_of_range_are_refused(writer, template, fields, path):
    found = writer.post(TESTS, body(template, **fields), format="json")
    assert found.status_code == 400
    assert [each["path"] for each in found.json()["errors"]] == [path]


def test_a_plan(writer):
    found = writer.post(f"{TESTS}/plan", {"rate": 0.02, "lift": 0.2}, format="json")
    assert found.json() == {
        "one_look": 42_217,
        "people": 67_547,
        "people_without_plan": 92_877,
        "days": None,
    }
    assert (
        writer.post(f"{TESTS}/plan", {"rate": 0.9, "lift": 0.2}, format="json").status_code == 400
    )


def test_explain_shows_the_place(writer, with_key, template, people):
    key = writer.post(TESTS, body(template), format="json").json()["id"]
    writer.post(f"{TESTS}/{key}/start")
    forget_tests()
    made = send(people[0])
    shown = with_key("notifications:read").get(f"/api/v1/notifications/{made.uuid}/explain").json()
    place = made.variant.partition(":")[2]
    assert shown["ab_test"] == {
        "id": key,
        "name": "Short or usual",
        "variant": place,
        "place": "counted",
    }
