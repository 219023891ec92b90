"""The audience builder: what its rows say, and what audiences they can show."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import QueryDict

from console.casting.fields.audience import form_of_audience, read_audience_form
from console.casting.fields.values import read_values, values_text
from notifications.domain.errors import InvalidRequest

STUDENTS = {"rule": "all_students"}
CRITERIA = {"field": "locale", "op": "in", "value": ["ru", "en"]}
SHOWN: list[dict[str, Any]] = [
    STUDENTS,
    {"rule": "group", "group_id": 7},
    {"rule": "list", "list_id": "0192f0c1-2f6e-7c3a-9d52-3a1b5c7d9e10"},
    {"rule": "custom", "user_ids": [1, 2, "ext:p-7"]},
    {"any": [STUDENTS, {"rule": "by_subject", "subject_id": 5}]},
    {"rule": "segment", "criteria": CRITERIA},
    {"all": [STUDENTS, {"rule": "segment", "criteria": CRITERIA}]},
    {
        "from": {
            "all": [
                {"any": [STUDENTS, {"rule": "all_parents"}]},
                {
                    "rule": "segment",
                    "criteria": {
                        "all": [
                            {"field": "last_login", "op": "lt", "value": {"days_ago": 90}},
                            {"field": "attributes.plan.seats", "op": "gte", "value": 3},
                            {"field": "attributes.trial", "op": "eq", "value": True},
                            {"field": "groups", "op": "in", "value": [3, 4]},
                            {"field": "external_id", "op": "exists", "value": False},
                        ]
                    },
                },
            ]
        },
        "except": {"any": [{"rule": "segment", "segment_id": 2}, {"rule": "all_teachers"}]},
    },
]
JSON_ONLY: list[dict[str, Any]] = [
    {"all": [STUDENTS, {"rule": "all_parents"}]},
    {"any": [STUDENTS, {"from": STUDENTS, "except": {"rule": "all_parents"}}]},
    {"rule": "custom", "external_ids": ["p-7"]},
    {"rule": "segment", "criteria": {"not": CRITERIA}},
    {"rule": "segment", "criteria": {"any": [CRITERIA, CRITERIA]}},
    {"rule": "segment", "criteria": {**CRITERIA, "field": "attributes.n", "value": ["5"]}},
    {
        "rule": "segment",
        "criteria": {"field": "date_joined", "op": "gt", "value": {"hours_ago": 3}},
    },
]


@pytest.mark.parametrize("audience", SHOWN)
def test_rows_say_what_they_were_read_from(audience: dict[str, Any]) -> None:
    form = form_of_audience(audience)
    assert form.text == ""
    assert form.audience() == audience


@pytest.mark.parametrize("audience", JSON_ONLY)
def test_what_rows_cannot_say_is_shown_as_json(audience: dict[str, Any]) -> None:
    form = form_of_audience(audience)
    assert form.to == ()
    assert form.audience() == audience


def test_a_form_is_read_without_its_empty_rows() -> None:
    form = QueryDict(mutable=True)
    form.setlist("to_kind", ["group:7", "", "custom", "all_students"])
    form.setlist("to_value", ["", "", "1, 2; ext:p-7\n3"])
    form.setlist("where_field", ["date_joined", ""])
    form.setlist("where_key", ["", ""])
    form.setlist("where_operator", ["gt", "eq"])
    form.setlist("where_value", ["30", ""])
    assert read_audience_form(form).audience() == {
        "all": [
            {
                "any": [
                    {"rule": "group", "group_id": 7},
                    {"rule": "custom", "user_ids": [1, 2, "ext:p-7", 3]},
                    STUDENTS,
                ]
            },
            {
                "rule": "segment",
                "criteria": {"field": "date_joined", "op": "gt", "value": {"days_ago": 30}},
            },
        ]
    }


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"a": "\\u0000"}'])
def test_no_audience_is_an_error_of_the_field(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_audience_form(QueryDict(mutable=True)).audience() if not text else _of(text)
    assert caught.value.errors[0].path == "audience"


def _of(text: str) -> None:
    form = QueryDict(mutable=True)
    form["audience"] = text
    read_audience_form(form).audience()


@pytest.mark.parametrize(
    "values",
    [{}, {"month": "May"}, {"a": "1", "b": ""}, {"n": 5}, {"a": " b"}, {"a": {"b": [1]}}],
)
def test_values_are_read_as_they_were_shown(values: dict[str, Any]) -> None:
    assert read_values(values_text(values), "context") == values


@pytest.mark.parametrize("text", ["nonsense", "{", "{1}"])
def test_wrong_values_are_an_error_of_their_field(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_values(text, "context")
    assert caught.value.errors[0].path == "context"
