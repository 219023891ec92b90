"""Files of groups, relations, suppressions and unsubscribes: import and export."""

from __future__ import annotations

import pytest

from directory.imports.records import ImportFault
from directory.models import Enrollment, Group, Suppression, User
from notifications.domain.callers import SYSTEM
from notifications.domain.errors import NotFound
from notifications.features.people.imports import export_lines, import_file
from notifications.features.preferences.service import PreferenceService
from notifications.models import ConsentRecord
from tests.integration.factories import delete_row, make_user

pytestmark = pytest.mark.django_db


def load(what, *lines, kind="csv"):
    return import_file(what, [f"{line}\n" for line in lines], kind=kind, caller=SYSTEM)


def bad(report):
    return [error.line for error in report.errors]


def test_groups_are_imported_with_their_kind_and_members():
    make_user(external_id="a"), make_user(external_id="b")

    report = load(
        "groups", "name,kind,members", "Choir,course,a;b", "Band,,", ",,", "Choir,course,x"
    )

    assert (report.created, report.unchanged, bad(report)) == (2, 1, [4, 5])
    assert Group.objects.get(name="Choir").kind == "course"
    assert Group.objects.get(name="Choir").memberships.count() == 2
    assert Group.objects.get(name="Band").kind == "topic"


def test_enrollments_are_written_once():
    make_user(external_id="s"), make_user(external_id="t")
    lines = ("student,subject,teacher", "s,Physics,t", "s,Physics,", "unknown,Physics,t")

    first, second = load("enrollments", *lines), load("enrollments", *lines)

    assert (first.created, bad(first)) == (2, [4])
    assert (second.created, second.unchanged) == (0, 2)
    assert Enrollment.objects.count() == 2


def test_suppressions_and_unsubscribes_of_a_former_system_are_honoured():
    user = make_user(email="ada@example.org")

    stopped = load("suppressions", "kind,address", "email,Old@EXAMPLE.org", "fax,1")
    ended = load(
        "unsubscribes",
        "email,category",
        "ada@example.org,marketing",
        "who@x.org,",
        "ada@example.org,nonsense",
    )
    again = load("unsubscribes", "email,category", "ada@example.org,marketing")

    assert (stopped.created, bad(stopped)) == (1, [3])
    assert Suppression.objects.get().address == "old@example.org"
    assert (ended.created, bad(ended)) == (1, [3, 4])
    assert (again.created, again.unchanged) == (0, 1)
    preferences = PreferenceService().get(caller=SYSTEM, identifier=user.pk)
    assert preferences.categories["marketing"].email_enabled is False
    assert ConsentRecord.objects.get(user_id=user.pk).source == "import"


def test_people_are_imported_with_their_groups_and_consent():
    report = load(
        "users",
        "external_id,groups,data_processing_consent",
        "u1,Algebra;Choir,true",
        "u2,,false",
    )

    assert report.created == 2
    user = User.objects.get(external_id="u1")
    assert sorted(user.member_groups.values_list("name", flat=True)) == ["Algebra", "Choir"]
    assert ConsentRecord.objects.get(user_id=user.pk).granted is True


def test_an_export_can_be_imported():
    load("users", "external_id,email,groups", "u1,u1@example.org,Choir", "u2,u2@example.org,")
    people = [line.decode() for line in export_lines("users")]
    groups = [line.decode() for line in export_lines("groups")]
    before = {user.external_id: user.uuid for user in User.objects.all()}
    for user in User.objects.all():
        delete_row(user.pk)
    Group.objects.all().delete()

    assert load("users", *people, kind="ndjson").created == len(before)
    assert load("groups", *groups, kind="ndjson").unchanged == 1

    assert {user.external_id: user.uuid for user in User.objects.all()} == before
    assert Group.objects.get(name="Choir").memberships.count() == 1


@pytest.mark.parametrize("line", ["not json", "[1]", '{"shoe": 1}'])
def test_lines_that_are_not_records_are_reported(line):
    report = load("groups", line, '{"name": "Fine"}', kind="ndjson")

    assert (report.created, bad(report)) == (1, [1])


def test_an_unknown_import_or_export_is_refused():
    with pytest.raises(NotFound) as nothing:
        load("shoes", "a")
    with pytest.raises(NotFound) as nowhere:
        export_lines("shoes")
    with pytest.raises(ImportFault, match="unknown column 'shoe'"):
        load("groups", "name,shoe", "a,b")
    assert (nothing.value.code, nowhere.value.code) == ("unknown_import", "unknown_export")


def test_over_a_thousand_lines_are_written_in_batches():
    seen = []
    lines = [f'{{"name": "G{n}"}}\n' for n in range(2500)]

    report = import_file("groups", lines, kind="ndjson", caller=SYSTEM, on_progress=seen.append)

    assert report.created == 2500
    assert seen == [1000, 2000, 2500]
