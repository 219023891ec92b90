"""Categories over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from directory.models import User
from notifications.models import Category, OperatorAction
from notifications.models.content.category import SEEDED
from tests.integration.api.conftest import send_body
from tests.integration.factories import make_template

pytestmark = pytest.mark.django_db
ADDRESS = "/api/v1/categories"
WHOLE = {
    "key": "homework",
    "name": "Homework",
    "legal_basis": "consent",
    "marketing": False,
    "crash_policy": "hold",
    "default_preferences": {"sms_enabled": True, "digest_frequency": "daily"},
    "caps": [{"limit": 3, "window_s": 86400, "channel": "email"}, {"limit": 9, "window_s": 60}],
    "unsubscribable": False,
    "trackable": False,
    "retention_days": 30,
}


def post(client: APIClient, **body: Any) -> Any:
    return client.post(ADDRESS, body, format="json")


def put(client: APIClient, name: object, **body: Any) -> Any:
    return client.put(f"{ADDRESS}/{name}", body, format="json")


def test_any_caller_reads_the_categories_by_page(as_user: APIClient) -> None:
    first = as_user.get(f"{ADDRESS}?limit=4").json()
    second = as_user.get(first["next"]).json()

    assert [row["key"] for row in first["results"] + second["results"]] == list(SEEDED)
    assert as_user.get(f"{ADDRESS}/marketing").json()["legal_basis"] == "consent"


def test_staff_make_change_and_retire_a_category(as_staff: APIClient, user: User) -> None:
    made = post(as_staff, **WHOLE)
    assert made.status_code == 201
    shown = made.json()
    assert {**shown, "id": 0} == {
        **WHOLE,
        "id": 0,
        "caps": [WHOLE["caps"][0], {"limit": 9, "window_s": 60}],
    }

    changed = put(as_staff, shown["id"], legal_basis="contract", caps=[])
    assert (changed.status_code, changed.json()["caps"]) == (200, [])
    assert changed.json()["name"] == "Homework"
    assert put(as_staff, "homework").status_code == 200

    make_template("test.hello")
    body = send_body(user, category="homework")
    assert as_staff.post("/api/v1/notifications/send", body, format="json").status_code == 201
    assert as_staff.delete(f"{ADDRESS}/homework").status_code == 204
    assert as_staff.get(f"{ADDRESS}/homework").status_code == 404
    refused = as_staff.post("/api/v1/notifications/send", body, format="json")
    assert (refused.status_code, refused.json()["code"]) == (400, "unknown_category")
    actions = [row.action for row in OperatorAction.objects.filter(target="category:homework")]
    assert actions == ["category.made", "category.changed", "category.changed", "category.retired"]


def test_the_key_of_a_retired_category_may_be_taken_again(as_staff: APIClient) -> None:
    first = post(as_staff, **WHOLE).json()
    as_staff.delete(f"{ADDRESS}/homework")

    again = post(as_staff, key="homework")

    assert again.status_code == 201
    assert (again.json()["id"], again.json()["caps"]) == (first["id"], [])
    assert again.json()["legal_basis"] == "contract"
    assert post(as_staff, key="homework").json()["code"] == "key_taken"


def test_seeded_categories_cannot_be_deleted(as_staff: APIClient) -> None:
    refused = as_staff.delete(f"{ADDRESS}/security")
    assert (refused.status_code, refused.json()["code"]) == (409, "category_is_seeded")

    post(as_staff, **WHOLE)
    make_template("test.homework", category=Category.objects.get(key="homework"))
    refused = as_staff.delete(f"{ADDRESS}/homework")
    assert (refused.status_code, refused.json()["code"]) == (409, "category_in_use")
    assert "test.homework" in refused.json()["detail"]


def test_all_errors_of_a_category_are_reported_at_once(as_staff: APIClient) -> None:
    response = post(
        as_staff,
        key="Home Work",
        legal_basis="because",
        crash_policy="panic",
        marketing="yes",
        default_preferences={"fax_enabled": True, "sms_enabled": 1, "digest_frequency": "yearly"},
        caps=[3, {"limit": 0, "window_s": "day", "channel": "fax", "x": 1}],
        retention_days=-1,
        colour="blue",
    )

    assert response.status_code == 400
    assert {(e["path"], e["code"]) for e in response.json()["errors"]} == {
        ("colour", "unknown_field"),
        ("key", "invalid"),
        ("legal_basis", "invalid_choice"),
        ("crash_policy", "invalid_choice"),
        ("marketing", "wrong_type"),
        ("default_preferences.fax_enabled", "unknown_field"),
        ("default_preferences.sms_enabled", "wrong_type"),
        ("default_preferences.digest_frequency", "invalid_choice"),
        ("caps[0]", "wrong_type"),
        ("caps[1].limit", "invalid"),
        ("caps[1].window_s", "wrong_type"),
        ("caps[1].channel", "invalid_choice"),
        ("caps[1].x", "unknown_field"),
        ("retention_days", "invalid"),
    }


def test_a_category_keeps_its_key_and_has_an_end_of_caps(as_staff: APIClient) -> None:
    response = put(as_staff, "course", key="lesson", caps=[{"limit": 1, "window_s": 1}] * 11)

    assert {(e["path"], e["code"]) for e in response.json()["errors"]} == {
        ("key", "key_immutable"),
        ("caps", "invalid"),
    }


def test_only_staff_and_keys_with_the_scope_change_categories(as_user: APIClient) -> None:
    for response in (
        post(as_user, key="mine"),
        put(as_user, "course", marketing=True),
        as_user.delete(f"{ADDRESS}/course"),
    ):
        assert (response.status_code, response.json()["scope"]) == (403, "categories:write")
