"""Every field of the OpenAPI document has a description, an example, and its fixed values."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from rest_framework.test import APIClient

from directory.models import User
from notifications.api.document.field_docs import field_docs, read_doc
from notifications.api.document.schemas import schemas_of
from notifications.domain.error_codes import ERROR_CODES
from notifications.infra.field_types import ChannelName, UserRef
from notifications.models import Job
from tests.integration.api.conformity import document

ROOT = Path(__file__).parents[3]
ENUM_LIKE = re.compile(
    r".*(status|state|channel|channels|priority|verdict|decision|role|misfire|legal_basis"
    r"|crash_policy|digest_frequency|resolution|outcome|scope|scopes|kind|code|events?)"
)
NOT_FIXED = {
    "LiveResponse.status",  # always the same
    "UnsubscribeResponse.status",
    "CodeBody.code",  # what the user received
    "LoginBody.code",  # what an authenticator app shows
    "DeadLetterResponse.code",  # vendors have codes of their own
    "DiscardManyBody.code",
    "ReplayManyBody.code",
    "WebhookDeliveryResponse.code",
    "AttemptResponse.error_code",
    "TestResponse.error_code",
    "BreakerResponse.last_fault_code",
    "GroupBody.kind",  # a word of the platform's own
    "GroupResponse.kind",
    "DiscardManyBody.channel",  # a filter, where empty means all
    "ReplayManyBody.channel",
    "DecisionResponse.event",  # results and decisions, not states alone
    "GoalBody.event",  # a word of the platform's own
    "GoalResponse.event",
    "SeriesTriggerBody.event",
    "SeriesTriggerResponse.event",
    "ConversionResponse.channel",  # null without a message
    "RejectedEvent.code",  # of several errors, listed on the page of codes
    "StepResponse.outcome",  # `passed`, or any reason
}
"""Fields whose names promise fixed values that they do not have."""


def fields_in(schemas: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, schema in schemas.items():
        for field, found in schema.get("properties", {}).items():
            yield f"{name}.{field}", found


def alternatives(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A schema and those that its value, or an item of it, may have."""
    yield schema
    inner = [*schema.get("anyOf", ()), schema.get("items"), schema.get("additionalProperties")]
    for each in inner:
        if isinstance(each, dict):
            yield from alternatives(each)


def names_of_structs(schema: dict[str, Any], schemas: dict[str, Any]) -> list[str]:
    named = [each["$ref"].rpartition("/")[2] for each in alternatives(schema) if "$ref" in each]
    return [name for name in named if "properties" in schemas[name]]


def without_description(schemas: dict[str, Any]) -> list[str]:
    return [name for name, field in fields_in(schemas) if not field.get("description")]


def without_example(schemas: dict[str, Any]) -> list[str]:
    """Fields without an example. One that holds other schemas has those of their fields."""
    return [
        name
        for name, field in fields_in(schemas)
        if "examples" not in field and not names_of_structs(field, schemas)
    ]


def without_values(schemas: dict[str, Any]) -> set[str]:
    """Fields whose names promise fixed values, and that are any text."""
    return {
        name
        for name, field in fields_in(schemas)
        if ENUM_LIKE.fullmatch(name.partition(".")[2])
        and any(
            each.get("type") == "string" and "format" not in each for each in alternatives(field)
        )
    }


def test_every_field_has_a_description():
    assert without_description(document()["components"]["schemas"]) == []


def test_every_field_has_an_example():
    assert without_example(document()["components"]["schemas"]) == []


def test_every_field_with_fixed_values_lists_them():
    assert without_values(document()["components"]["schemas"]) == NOT_FIXED


def test_every_example_is_valid_in_its_schema():
    components = {"components": document()["components"]}
    wrong = [
        (name, example)
        for name, field in fields_in(document()["components"]["schemas"])
        for example in field.get("examples", ())
        if not Draft202012Validator({**field, **components}).is_valid(example)
    ]
    assert wrong == []


def test_every_parameter_operation_and_response_has_a_description():
    nameless = [
        (path, method, part)
        for path, operations in document()["paths"].items()
        for method, operation in operations.items()
        for part, found in (
            ("operation", operation),
            *((each["name"], each) for each in operation.get("parameters", ())),
            *((status, each) for status, each in operation["responses"].items()),
        )
        if not found.get("description") and "$ref" not in found
    ]
    assert nameless == []
    assert all(each["description"] for each in document()["components"]["responses"].values())


def test_the_version_is_that_of_the_package():
    written = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert document()["info"]["version"] == written, "run make install after a change of version"


def test_a_context_is_any_object():
    for name in ("SendBody", "BulkBody", "BulkRecipient", "PreviewBody"):
        context = document()["components"]["schemas"][name]["properties"]["context"]
        assert context["additionalProperties"] is True, name


def test_every_code_of_the_page_is_in_the_document():
    pages = [
        ROOT / "docs/reference" / name
        for name in ("errors.md", "access-errors.md", "analytics-errors.md")
    ]
    page = "\n".join(each.read_text(encoding="utf-8") for each in pages)
    assert sorted(set(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE))) == list(ERROR_CODES)


def test_no_text_speaks_of_source_documents():
    assert "source document" not in str(document()).lower()


class Planted(msgspec.Struct):
    """A schema with one field of each fault."""

    status: str
    amount: int
    """An amount without an example."""
    channel: ChannelName
    user: UserRef
    nested: Inner | None = None
    """A field of another schema."""


class Inner(msgspec.Struct):
    """A schema within another."""

    text: str
    """A text. Example: `a`"""


@pytest.mark.parametrize(
    ("find", "found"),
    [
        (without_description, ["Planted.status"]),
        (without_example, ["Planted.amount", "Planted.status"]),
        (without_values, {"Planted.status"}),
    ],
)
def test_a_field_that_lacks_something_is_found(find, found):
    missing = find(schemas_of([Planted], closed=[]))
    assert (missing if isinstance(missing, set) else sorted(missing)) == found


@pytest.mark.parametrize(
    ("written", "text", "example"),
    [
        ("A number. Example: `3`", "A number.", 3),
        ('A code.\n    Example: `"042"`.', "A code.", "042"),
        ("A rule, `a` or `b`. Example: `FREQ=DAILY`", "A rule, `a` or `b`.", "FREQ=DAILY"),
        ("Nothing more.", "Nothing more.", msgspec.UNSET),
    ],
)
def test_the_string_below_a_field_is_read(written, text, example):
    assert read_doc(written) == (text, example)


def test_a_field_has_the_documentation_of_its_base():
    class Derived(Inner):
        more: int = 0

    assert field_docs(Derived)["text"].example == "a"


@pytest.mark.django_db
def test_the_job_of_a_schedule_is_as_documented(as_staff: APIClient, user: User) -> None:
    """The client compares each response with the document."""
    body = {
        "recipients": [user.pk],
        "title": "T",
        "message": "M",
        "scheduled_at": "2150-01-01T00:00:00Z",
    }
    assert as_staff.post("/api/notifications/schedule", body, format="json").status_code == 201
    shown = as_staff.get(f"/api/v1/jobs/{Job.objects.get().uuid}")
    assert (shown.status_code, shown.json()["kind"]) == (200, "schedule")
