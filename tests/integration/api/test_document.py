"""The OpenAPI document and the pages made from the table."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from django.contrib.staticfiles import finders
from openapi_spec_validator import validate
from rest_framework.test import APIClient

from notifications.api.document.mail_links import LINK_OPERATIONS
from notifications.api.openapi import openapi_document, openapi_yaml
from notifications.api.reference import api_markdown
from notifications.api.routes import ROUTES
from notifications.intake.request import SendBody

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


def test_the_document_is_valid_openapi() -> None:
    validate(openapi_document())


def test_every_route_is_in_the_document_and_nothing_else() -> None:
    documented = {
        (method.upper(), path)
        for path, operations in openapi_document()["paths"].items()
        for method in operations
    }

    links = {("GET", path) for path in LINK_OPERATIONS}
    assert documented == {(route.method, route.path) for route in ROUTES} | links


def test_the_links_of_mails_are_in_the_document_and_need_no_authentication() -> None:
    paths = openapi_document()["paths"]
    pixel = paths["/api/v1/track/open/{id}"]["get"]
    click = paths["/api/v1/track/click"]["get"]

    assert list(pixel["responses"]["200"]["content"]) == ["image/gif"]
    assert click["responses"].keys() == {"302", "400"}
    assert "security" not in pixel | click
    pixel.clear()
    assert openapi_document()["paths"]["/api/v1/track/open/{id}"]["get"]


def test_the_committed_document_is_the_one_that_is_served() -> None:
    assert (REFERENCE / "openapi.yaml").read_text() == openapi_yaml(), "run make docs"


def test_the_committed_page_is_made_from_the_table() -> None:
    assert (REFERENCE / "api.md").read_text() == api_markdown(), "run make docs"


def test_every_reference_leads_somewhere() -> None:
    document = openapi_document()
    named = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(document)))

    assert named <= set(document["components"]["schemas"])


def test_times_are_named_as_such() -> None:
    schemas = openapi_document()["components"]["schemas"]

    assert schemas["SendResponse"]["properties"]["estimated_delivery"]["format"] == "date-time"
    assert {"type": "string", "format": "date-time"} in schemas["StatusResponse"]["properties"][
        "expires_at"
    ]["anyOf"]


def test_one_way_to_authenticate_is_enough() -> None:
    send = openapi_document()["paths"]["/api/v1/notifications/send"]["post"]

    assert send["security"] == [{"bearer": []}, {"token": []}]
    assert "security" not in openapi_document()["paths"]["/health"]["get"]


def test_the_body_of_send_is_described_field_by_field() -> None:
    schema = openapi_document()["components"]["schemas"]["SendBody"]

    assert set(schema["properties"]) == set(SendBody.__struct_fields__)
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("address", "read"),
    [("/api/schema/", yaml.safe_load), ("/api/schema?format=json", json.loads)],
)
def test_the_document_is_served_to_anybody(api: APIClient, address: str, read: Any) -> None:
    api.credentials(HTTP_AUTHORIZATION="Bearer nonsense")

    response = api.get(address)

    assert response.status_code == 200
    assert read(response.content)["paths"].keys() == openapi_document()["paths"].keys()


@pytest.mark.django_db
def test_the_docs_page_loads_nothing_from_another_host(api: APIClient) -> None:
    page = api.get("/api/docs/")
    script = api.get("/api/docs/?script=")

    assert page.status_code == script.status_code == 200
    loaded = re.findall(r"(?:src|href)=\"([^\"]+)\"", page.content.decode())
    assert loaded
    assert all(address.startswith("/") for address in loaded)
    assert not re.search(r"https?://", script.content.decode())
    assert '"/api/schema"' in script.content.decode() or "/api/schema" in script.content.decode()
    assert "<script>" not in page.content.decode(), (
        "an inline script would be blocked by the policy"
    )


@pytest.mark.django_db
def test_what_the_docs_page_loads_is_there(api: APIClient) -> None:
    page = api.get("/api/docs").content.decode()
    static = [a for a in re.findall(r"(?:src|href)=\"([^\"]+)\"", page) if "/static/" in a]

    assert len(static) >= 3
    assert all(finders.find(address.removeprefix("/static/")) for address in static)
