"""The language of audiences, and the errors for wrong ones."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.audiences import AudienceError, parse_audience, parse_criteria, parse_target
from directory.audiences.criteria import Ago, AllOf, Not, Test
from directory.audiences.fields import FIELDS, Op
from directory.audiences.rules import (
    Difference,
    Everyone,
    InGroup,
    Intersection,
    Listed,
    Matching,
    OfRole,
    OfSubject,
    OfTeacher,
    OfTutor,
    OnList,
    Saved,
    Union,
)

UID = "018f4e2c-9d2a-7cc1-8b57-0123456789ab"


def faults(data: Any, parse: Any = parse_audience) -> list[tuple[str, str]]:
    """Returns the path and code of every fault."""
    with pytest.raises(AudienceError) as caught:
        parse(data)
    assert all(fault.detail for fault in caught.value.faults)
    return [(fault.path, fault.code) for fault in caught.value.faults]


def criteria_faults(data: Any) -> list[tuple[str, str]]:
    return faults(data, parse_criteria)


def test_each_rule_is_read_as_a_value():
    read = {
        "all": Everyone(),
        "all_students": OfRole("student"),
        "all_teachers": OfRole("teacher"),
        "all_tutors": OfRole("tutor"),
        "all_parents": OfRole("parent"),
    }
    assert {name: parse_audience({"rule": name}) for name in read} == read
    assert parse_audience({"rule": "by_subject", "subject_id": 5}) == OfSubject(
        5, "audience.subject_id"
    )
    assert parse_audience({"rule": "by_tutor", "tutor_id": 7}) == OfTutor(7, "audience.tutor_id")
    assert parse_audience({"rule": "by_teacher", "teacher_id": UID}) == OfTeacher(
        UUID(UID), "audience.teacher_id"
    )
    assert parse_audience({"rule": "group", "group_id": 1}) == InGroup(1, "audience.group_id")
    assert parse_audience({"rule": "list", "list_id": UID}) == OnList(UUID(UID), "audience.list_id")
    assert parse_audience({"rule": "custom", "user_ids": [3, 1, 3, UID]}) == Listed(
        (3, 1, UUID(UID)), "audience.user_ids"
    )
    assert parse_audience({"rule": "segment", "segment_id": 4}) == Saved(4, "audience.segment_id")
    criteria = {"field": "role", "op": "eq", "value": "tutor"}
    assert parse_audience({"rule": "segment", "criteria": criteria}) == Matching(
        Test("role", Op.EQ, "tutor", path="audience.criteria.value")
    )


def test_rules_can_be_combined():
    students, tutors = {"rule": "all_students"}, {"rule": "all_tutors"}
    assert parse_audience({"any": [students, tutors]}) == Union(
        (OfRole("student"), OfRole("tutor"))
    )
    assert parse_audience({"all": [students]}) == Intersection((OfRole("student"),))
    assert parse_audience({"from": {"rule": "all"}, "except": tutors}) == Difference(
        Everyone(), OfRole("tutor")
    )


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (None, [("audience", "wrong_type")]),
        ("all_students", [("audience", "wrong_type")]),
        ({}, [("audience", "invalid")]),
        ({"rule": "all", "any": []}, [("audience", "invalid")]),
        ({"rule": "unknown"}, [("audience.rule", "unknown_rule")]),
        ({"rule": ["all"]}, [("audience.rule", "unknown_rule")]),
        ({"rule": "all", "subject_id": 5}, [("audience.subject_id", "unknown_field")]),
        ({"rule": "by_subject"}, [("audience.subject_id", "required")]),
        ({"rule": "by_subject", "subject_id": None}, [("audience.subject_id", "required")]),
        ({"rule": "by_subject", "subject_id": "maths"}, [("audience.subject_id", "invalid")]),
        ({"rule": "by_subject", "subject_id": True}, [("audience.subject_id", "invalid")]),
        ({"rule": "by_subject", "subject_id": 0}, [("audience.subject_id", "invalid")]),
        ({"rule": "by_subject", "subject_id": 1 << 63}, [("audience.subject_id", "invalid")]),
        ({"rule": "by_tutor", "tutor_id": [1]}, [("audience.tutor_id", "invalid")]),
        ({"rule": "by_teacher", "teacher_id": 1.5}, [("audience.teacher_id", "invalid")]),
        ({"rule": "group"}, [("audience.group_id", "required")]),
        ({"rule": "list", "list_id": "news"}, [("audience.list_id", "invalid")]),
        ({"rule": "custom"}, [("audience.user_ids", "required")]),
        ({"rule": "custom", "user_ids": []}, [("audience.user_ids", "invalid")]),
        ({"rule": "custom", "user_ids": 5}, [("audience.user_ids", "wrong_type")]),
        ({"rule": "custom", "user_ids": [1, "7", None]}, [
            ("audience.user_ids[1]", "invalid"), ("audience.user_ids[2]", "invalid")]),
        ({"rule": "segment"}, [("audience.criteria", "required")]),
        ({"rule": "segment", "segment_id": 1, "criteria": {}}, [("audience.criteria", "required")]),
        ({"rule": "segment", "criteria": 5}, [("audience.criteria", "wrong_type")]),
        ({"any": []}, [("audience.any", "invalid")]),
        ({"all": []}, [("audience.all", "invalid")]),
        ({"all": {"rule": "all"}}, [("audience.all", "wrong_type")]),
        ({"from": {"rule": "all"}}, [("audience.except", "required")]),
        ({"except": {"rule": "all"}}, [("audience", "invalid")]),
        ({"any": [{"rule": "all"}, {"rule": "group"}, 7]}, [
            ("audience.any[1].group_id", "required"), ("audience.any[2]", "wrong_type")]),
        ({"any": [{"rule": "all"}], "limit": 5}, [("audience.limit", "unknown_field")]),
    ],
)  # fmt: skip
def test_a_missing_or_wrong_filter_is_an_error_at_its_place(data, expected):
    assert faults(data) == expected


def test_a_broadcasts_target_uses_the_same_language():
    assert parse_target("all_students", None) == OfRole("student")
    assert parse_target("by_tutor", {"tutor_id": 9}) == OfTutor(9, "target_filter.tutor_id")
    with pytest.raises(AudienceError) as caught:
        parse_target("by_subject", {})
    assert caught.value.faults[0].path == "target_filter.subject_id"
    with pytest.raises(AudienceError) as caught:
        parse_target("unknown", {"rule": "all"})
    assert (caught.value.faults[0].path, caught.value.faults[0].code) == (
        "target_group",
        "unknown_rule",
    )
    with pytest.raises(AudienceError):
        parse_target("by_subject", {"rule": "all", "subject_id": 1})


def test_depth_and_size_are_bounded():
    deep: dict[str, Any] = {"rule": "all"}
    for _ in range(10):
        deep = {"any": [deep]}
    assert faults(deep) == [("audience" + ".any[0]" * 10, "too_deep")]
    wide = {"any": [{"rule": "all"}] * 200}
    assert faults(wide) == [("audience.any[199]", "too_large")]
    people = {"rule": "custom", "user_ids": list(range(1, 60_001))}
    assert faults({"any": [people, people]}) == [("audience.any[1].user_ids", "too_large")]
    assert faults({"rule": "custom", "user_ids": [1] * 100_001}) == [
        ("audience.user_ids", "too_large")
    ]


def test_endless_nesting_is_refused_before_the_stack_overflows():
    deep: dict[str, Any] = {"rule": "all"}
    for _ in range(100_000):
        deep = {"any": [deep]}
    assert [code for _, code in faults(deep)] == ["too_deep"]


def test_criteria_are_read():
    read = parse_criteria(
        {
            "all": [
                {"field": "role", "op": "in", "value": ["student", "tutor", "student"]},
                {"not": {"field": "last_login", "op": "gte", "value": {"days_ago": 30}}},
                {"field": "attributes.plan.seats", "op": "gt", "value": 5},
                {"field": "external_id", "op": "exists", "value": False},
                {"field": "date_joined", "op": "lt", "value": "2024-05-01T12:00:00+02:00"},
            ]
        }
    )
    assert read == AllOf(
        (
            Test("role", Op.IN, ("student", "tutor"), path="criteria.all[0].value"),
            Not(Test("last_login", Op.GTE, Ago(720), path="criteria.all[1].not.value")),
            Test("attributes", Op.GT, 5, ("plan", "seats"), "criteria.all[2].value"),
            Not(Test("external_id", Op.EXISTS, True, path="criteria.all[3].value")),
            Test(
                "date_joined",
                Op.LT,
                datetime(2024, 5, 1, 10, tzinfo=UTC),
                path="criteria.all[4].value",
            ),
        )
    )


def one(field: Any, op: Any, *value: Any) -> dict[str, Any]:
    return {"field": field, "op": op, **({"value": value[0]} if value else {})}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([], [("criteria", "wrong_type")]),
        ({}, [("criteria", "invalid")]),
        ({"all": []}, [("criteria.all", "invalid")]),
        ({"not": []}, [("criteria.not", "wrong_type")]),
        (one("password", "eq", "x"), [("criteria.field", "unknown_segment_field")]),
        (one("role.x", "eq", "x"), [("criteria.field", "unknown_segment_field")]),
        (one(5, "eq", "x"), [("criteria.field", "wrong_type")]),
        (one("role", "like", "x"), [("criteria.op", "invalid")]),
        (one("role", "exists"), [("criteria.op", "invalid")]),
        ({"field": "role"}, [("criteria.op", "required")]),
        (one("role", "eq"), [("criteria.value", "required")]),
        (one("role", "eq", "pupil"), [("criteria.value", "invalid")]),
        (one("role", "in", "student"), [("criteria.value", "wrong_type")]),
        (one("role", "in", ["student", "pupil"]), [("criteria.value[1]", "invalid")]),
        (one("role", "in", []), [("criteria.value", "invalid")]),
        (one("locale", "eq", None), [("criteria.value", "wrong_type")]),
        (one("locale", "eq", "a\x00b"), [("criteria.value", "invalid")]),
        (one("locale", "eq", "\ud800"), [("criteria.value", "invalid")]),
        (one("locale", "eq", "x" * 1_001), [("criteria.value", "invalid")]),
        (one("locale", "starts_with", ""), [("criteria.value", "invalid")]),
        (one("locale", "lt", "a"), [("criteria.op", "invalid")]),
        (one("date_joined", "eq", "2024-01-01"), [("criteria.op", "invalid")]),
        (one("date_joined", "lt", "yesterday"), [("criteria.value", "invalid_time")]),
        (one("date_joined", "lt", 5), [("criteria.value", "invalid_time")]),
        (one("date_joined", "lt", {}), [("criteria.value", "invalid")]),
        (one("date_joined", "lt", {"days_ago": -1}), [("criteria.value.days_ago", "invalid")]),
        (one("date_joined", "lt", {"days_ago": 1e9}), [("criteria.value.days_ago", "invalid")]),
        (one("date_joined", "lt", {"weeks": 1}), [
            ("criteria.value.weeks", "unknown_field"), ("criteria.value", "invalid")]),
        (one("date_joined", "exists", "yes"), [("criteria.value", "wrong_type")]),
        (one("groups", "eq", "Class 7"), [("criteria.value", "invalid")]),
        (one("contact_points", "eq", "fax"), [("criteria.value", "invalid")]),
        (one("attributes", "eq", 1), [("criteria.field", "invalid")]),
        (one("attributes.", "eq", 1), [("criteria.field", "invalid")]),
        (one('attributes.a"b', "eq", 1), [("criteria.field", "invalid")]),
        (one("attributes.a\\b", "eq", 1), [("criteria.field", "invalid")]),
        (one("attributes.a\nb", "eq", 1), [("criteria.field", "invalid")]),
        (one("attributes." + "a." * 10 + "b", "eq", 1), [("criteria.field", "invalid")]),
        (one("attributes.a", "eq", None), [("criteria.value", "wrong_type")]),
        (one("attributes.a", "eq", {"b": 1}), [("criteria.value", "wrong_type")]),
        (one("attributes.a", "lt", True), [("criteria.value", "wrong_type")]),
        (one("attributes.a", "lt", float("nan")), [("criteria.value", "invalid")]),
        (one("attributes.a", "lt", float("inf")), [("criteria.value", "invalid")]),
        (one("attributes.a", "eq", 10**16), [("criteria.value", "invalid")]),
        (one("attributes.a", "starts_with", 5), [("criteria.value", "wrong_type")]),
        (one("opened", "eq", {"days_ago": 7}), [("criteria.field", "unsupported")]),
        (one("clicked", "exists"), [("criteria.field", "unsupported")]),
        ({**one("role", "eq", "tutor"), "values": []}, [("criteria.values", "unknown_field")]),
        ({"any": [one("role", "eq", "tutor"), {"all": [one("x", "eq", 1), one("role", "eq", 1)]}]},
         [("criteria.any[1].all[0].field", "unknown_segment_field"),
          ("criteria.any[1].all[1].value", "invalid")]),
    ],
)  # fmt: skip
def test_errors_point_at_the_wrong_part_of_the_criteria(data, expected):
    assert criteria_faults(data) == expected


_KEYS = ["rule", "any", "all", "from", "except", "criteria", "field", "op", "value", "not"]
_KEYS += ["user_ids", "subject_id", "days_ago"]
_words = st.sampled_from(["all", "custom", "by_subject", "segment", *FIELDS, *Op])
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | _words,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(_json)
def test_any_input_is_read_or_refused_and_never_crashes(data):
    for parse in (parse_audience, parse_criteria):
        with contextlib.suppress(AudienceError):
            assert parse(data) is not None
