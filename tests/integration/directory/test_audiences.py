"""Resolving, counting and streaming audiences."""

from __future__ import annotations

import tracemalloc
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from directory.audiences import Audience, AudienceError
from directory.models import (
    Enrollment,
    Group,
    GroupMembership,
    ParentLink,
    Segment,
    Subject,
    TutorAssignment,
    User,
)
from tests.integration.directory.audience_model import NOW
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db


def audience(rule: str, **filters: Any) -> Audience:
    return Audience.of({"rule": rule, **filters}, now=NOW)


def ids(found: Audience, **options: Any) -> list[int]:
    return [each for page in found.stream(**options) for each in page]


def faults(data: Any) -> list[tuple[str, str, str]]:
    with pytest.raises(AudienceError) as caught:
        Audience.of(data, now=NOW)
    return [(fault.path, fault.code, fault.detail) for fault in caught.value.faults]


def segment(field: str, op: str, value: Any = True) -> Audience:
    return audience("segment", criteria={"field": field, "op": op, "value": value})


def make_people(count: int, **values: Any) -> list[int]:
    """Creates many users, by one statement for every thousand, and returns their ids."""
    values.setdefault("role", "student")
    mark = uuid.uuid4().hex[:8]
    made = User.objects.bulk_create(
        [User(username=f"{mark}-{number}", password="!", **values) for number in range(count)],
        batch_size=1_000,
    )
    return [user.pk for user in made]


def test_a_role_has_only_its_active_users():
    made = {role: make_user(role=role) for role in ("student", "teacher", "tutor", "parent")}
    admin = make_user(role="admin")
    make_user(role="student", is_active=False)

    assert ids(audience("all_students")) == [made["student"].pk]
    assert ids(audience("all_teachers")) == [made["teacher"].pk]
    assert ids(audience("all_tutors")) == [made["tutor"].pk]
    assert ids(audience("all_parents")) == [made["parent"].pk]
    assert ids(audience("all")) == [*(user.pk for user in made.values()), admin.pk]


def test_a_subject_has_its_students_and_teachers():
    maths, latin = Subject.objects.create(name="Maths"), Subject.objects.create(name="Latin")
    student, other, teacher = make_user(), make_user(), make_user(role="teacher")
    Enrollment.objects.create(student=student, subject=maths, teacher=teacher)
    Enrollment.objects.create(student=student, subject=maths, teacher=None)
    Enrollment.objects.create(student=other, subject=latin, teacher=None)

    found = audience("by_subject", subject_id=maths.pk)

    assert ids(found) == [student.pk, teacher.pk]
    assert found.count() == 2
    assert found.description == "students and teachers of subject “Maths”"
    assert ids(audience("by_subject", subject_id=latin.pk)) == [other.pk]


def test_tutors_and_teachers_have_their_students_and_groups_their_members():
    tutor, teacher = make_user(role="tutor"), make_user(role="teacher")
    one, two, three = make_user(), make_user(), make_user()
    TutorAssignment.objects.create(tutor=tutor, student=one)
    maths = Subject.objects.create(name="Maths")
    Enrollment.objects.create(student=two, subject=maths, teacher=teacher)
    group = Group.objects.create(name="Class 7")
    GroupMembership.objects.create(group=group, user=three)
    ParentLink.objects.create(parent=three, student=one)

    assert ids(audience("by_tutor", tutor_id=tutor.pk)) == [one.pk]
    assert ids(audience("by_teacher", teacher_id=str(teacher.uuid))) == [two.pk]
    assert ids(audience("group", group_id=str(group.uuid))) == [three.pk]
    assert ids(segment("groups", "eq", str(group.uuid))) == [three.pk]


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"rule": "by_subject", "subject_id": 99}, "unknown_subject"),
        ({"rule": "by_subject", "subject_id": str(uuid.uuid4())}, "unknown_subject"),
        ({"rule": "by_tutor", "tutor_id": 99}, "unknown_tutor"),
        ({"rule": "by_teacher", "teacher_id": str(uuid.uuid4())}, "unknown_teacher"),
        ({"rule": "group", "group_id": 99}, "unknown_group"),
        ({"rule": "segment", "segment_id": 99}, "unknown_segment"),
    ],
)
def test_an_unknown_name_is_an_error_and_not_everyone(rule, code):
    make_user()
    ((path, found, detail),) = faults({"any": [{"rule": "all"}, rule]})
    key = next(name for name in rule if name != "rule")
    assert (path, found) == (f"audience.any[1].{key}", code)
    assert str(rule[key]) in detail


def test_unknown_groups_and_subjects_in_criteria_are_reported_with_their_place():
    group = Group.objects.create(name="Class 7")
    criteria = {
        "any": [
            {"field": "groups", "op": "in", "value": [group.pk, 98]},
            {"not": {"field": "subjects", "op": "eq", "value": 97}},
            {"field": "groups", "op": "exists"},
        ]
    }
    found = faults({"rule": "segment", "criteria": criteria})
    assert [(path, code) for path, code, _ in found] == [
        ("audience.criteria.any[0].value[1]", "unknown_group"),
        ("audience.criteria.any[1].not.value", "unknown_subject"),
    ]


def test_a_person_who_is_no_tutor_and_has_no_students_is_refused():
    student, coach = make_user(), make_user(role="admin")
    TutorAssignment.objects.create(tutor=coach, student=student)

    ((path, code, detail),) = faults({"rule": "by_tutor", "tutor_id": student.pk})

    assert (path, code) == ("audience.tutor_id", "unknown_tutor")
    assert detail == f"user {student.pk} is no tutor"
    assert ids(audience("by_tutor", tutor_id=coach.pk)) == [student.pk]


def test_missing_people_of_a_list_are_reported():
    one, gone = make_user(), make_user(is_active=False)
    stranger = uuid.uuid4()

    found = audience("custom", user_ids=[one.pk, str(one.uuid), 10**15, gone.pk, str(stranger)])

    assert ids(found) == [one.pk]
    assert found.count() == 1
    assert [(each.user, each.reason) for each in found.missing] == [
        (10**15, "unknown_user"),
        (gone.pk, "inactive_user"),
        (stranger, "unknown_user"),
    ]
    assert {each.path for each in found.missing} == {"audience.user_ids"}


def test_a_list_of_unknown_people_is_empty_and_never_everyone():
    make_user()
    found = audience("custom", user_ids=[10**15])
    assert (found.count(), ids(found)) == (0, [])


def test_a_hundred_thousand_listed_ids_are_one_parameter():
    people = make_people(300)
    listed = [*people, *range(10**12, 10**12 + 99_700)]

    found = audience("custom", user_ids=listed)

    assert len(found.missing) == 99_700
    assert found.count() == 300
    assert ids(found) == people
    everyone_else = {"from": {"rule": "all"}, "except": {"rule": "custom", "user_ids": listed}}
    assert Audience.of(everyone_else, now=NOW).count() == 0


def test_a_stream_resumes_after_the_last_id():
    people = make_people(25)
    found = audience("all_students")
    first = next(found.stream(page=10))
    assert first == people[:10]
    assert ids(found, after=first[-1], page=10) == people[10:]
    assert ids(found, after=people[-1]) == []


def test_a_stream_makes_one_small_statement_a_page_and_yields_no_empty_pages():
    people = make_people(100)
    found = audience("custom", user_ids=people[90:])
    with CaptureQueriesContext(
        connection,
    ) as queries:
        pages = list(found.stream(page=20))
    assert pages == [people[90:]]
    assert len(queries) <= 2 * 5 + 2  # five windows: the bound and the ids of each; and the end


def test_a_stream_holds_one_page_in_memory():
    page = 1_000
    make_people(4 * page)
    found = audience("all_students")
    next(found.stream(page=page))
    tracemalloc.start()
    try:
        sizes = [len(page) for page in found.stream(page=page)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (sum(sizes), max(sizes)) == (4 * page, page)
    # A page's rows and ids; a fixed bound, whatever the number of people.
    assert peak < page * 400


def test_people_who_are_added_during_a_stream_appear_once_or_never():
    people = make_people(10)
    found = audience("all_students")
    stream = found.stream(page=4)
    seen = next(stream)
    User.objects.filter(pk=people[5]).update(is_active=False)
    late = make_user().pk
    rest = [each for page in stream for each in page]
    assert seen + rest == [*people[:5], *people[6:], late]


def test_a_saved_segment_is_read_when_it_is_used():
    old, new = make_user(subscription_tier="gold"), make_user()
    saved = Segment.objects.create(
        name="Gold", criteria={"field": "subscription_tier", "op": "eq", "value": "gold"}
    )
    assert ids(audience("segment", segment_id=str(saved.uuid))) == [old.pk]
    saved.criteria = {"field": "subscription_tier", "op": "ne", "value": "gold"}
    saved.save()
    assert ids(audience("segment", segment_id=saved.pk)) == [new.pk]
    saved.criteria = {"field": "shoe_size", "op": "eq", "value": 43}
    saved.save()
    ((path, code, _),) = faults({"rule": "segment", "segment_id": saved.pk})
    assert (path, code) == ("audience.segment_id.criteria.field", "unknown_segment_field")


def test_relative_dates_are_counted_back_from_the_moment_of_the_audience():
    user = make_user(last_login=NOW - timedelta(days=30))
    rule = {"rule": "segment"}
    rule["criteria"] = {"field": "last_login", "op": "lt", "value": {"days_ago": 30}}
    assert ids(Audience.of(rule, now=NOW)) == []
    assert ids(Audience.of(rule, now=NOW + timedelta(seconds=1))) == [user.pk]


HOSTILE = [
    "' OR 1=1 --",
    "'; DROP TABLE directory_user; --",
    "x') OR ('1'='1",
    "%s",
    "%(id)s",
    "?1",
    "\\'; SELECT 1",
    '{"a": "b"}',
    "$.x",
    "x' || (SELECT password FROM directory_user LIMIT 1) || '",
    "\u02bc OR 1=1",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_callers_text_is_never_sql(text):
    """Every place where a caller's text reaches a statement: values, lists, keys of attributes."""
    plain = make_user()
    same = make_user(
        locale=text[:20], timezone=text[:50], attributes={"plan": text, "tags": [text]}
    )
    for field, held in [("locale", text[:20]), ("timezone", text[:50]), ("attributes.plan", text)]:
        assert ids(segment(field, "eq", held)) == [same.pk]
        assert ids(segment(field, "in", [held, "another"])) == [same.pk]
        assert ids(segment(field, "ne", held)) == [plain.pk]
        assert ids(segment(field, "contains", held)) == [same.pk]
        assert ids(segment(field, "starts_with", held)) == [same.pk]
    assert ids(segment("attributes.tags", "contains", text)) == [same.pk]
    assert ids(segment("attributes.plan", "lte", text)) == [same.pk]
    assert User.objects.count() == 2


@pytest.mark.parametrize("text", [text for text in HOSTILE if not set(text) & set('."\\')])
def test_a_key_of_attributes_is_never_sql_nor_a_path(text):
    plain, same = make_user(attributes={"x": {"a": 1}}), make_user(attributes={text: 1})
    assert ids(segment(f"attributes.{text}", "eq", 1)) == [same.pk]
    assert ids(segment(f"attributes.{text}", "exists")) == [same.pk]
    assert ids(segment(f"attributes.{text}", "exists", False)) == [plain.pk]


def test_keys_of_attributes_enter_objects_and_never_lists():
    listed = make_user(attributes={"x": ["a", "b"]})
    named = make_user(attributes={"x": {"0": "a", "#-1": "b", "*": "c", "[0]": "d"}})
    assert ids(segment("attributes.x.0", "exists")) == [named.pk]
    for key in ("#-1", "*", "[0]"):
        assert ids(segment(f"attributes.x.{key}", "exists")) == [named.pk]
    assert ids(segment("attributes.x", "contains", "a")) == [listed.pk]


def test_an_audience_is_described_in_words():
    subject = Subject.objects.create(name="Maths")
    group = Group.objects.create(name="Class 7")
    tutor = make_user(role="tutor")
    rule = {
        "from": {
            "any": [
                {"rule": "by_subject", "subject_id": subject.pk},
                {"rule": "all_parents"},
                {"rule": "by_tutor", "tutor_id": tutor.pk},
            ]
        },
        "except": {
            "rule": "segment",
            "criteria": {
                "all": [
                    {"field": "groups", "op": "in", "value": [group.pk]},
                    {"field": "last_login", "op": "lt", "value": {"days_ago": 30}},
                    {"field": "attributes.trial", "op": "exists", "value": False},
                    {"not": {"field": "attributes.plan.seats", "op": "gte", "value": 5}},
                ]
            },
        },
    }
    assert Audience.of(rule, now=NOW).description == (
        f"(students and teachers of subject “Maths” or all parents or students of tutor {tutor.pk})"
        " except people where groups is one of group “Class 7” and last_login is before 30 days ago"
        " and attributes.trial is missing and not (attributes.plan.seats is at least 5)"
    )
