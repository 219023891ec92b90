"""Imports of people: valid lines are written, wrong ones reported; a second run changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from directory.importing import ImportFault, ImportReport, import_users
from directory.models import ContactPoint, User
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db


def ndjson(*records: object) -> ImportReport:
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    return import_users(lines, kind="ndjson")


def reasons(report: ImportReport) -> dict[int, str]:
    return dict(report.errors)


def points(username: str) -> dict[str, str]:
    rows = ContactPoint.objects.filter(user__username=username)
    return {row.kind: row.address for row in rows}


class TestCsv:
    LINES = (
        "\ufeffusername,email,role,timezone,phone_number,telegram_id,attributes.grade\n",
        "ann,Ann@Example.COM,teacher,Europe/Paris,+33 6 39 98 00 12,123,7\n",
        "\n",
        '"bob","bob@example.com",,,,,\n',
        "eve,not-an-address,,,,,\n",
        "too,few\n",
    )

    def test_valid_lines_are_written_and_wrong_ones_reported_by_number(self) -> None:
        report = import_users(self.LINES, kind="csv")

        assert (report.created, report.updated, report.error_count) == (2, 0, 2)
        assert reasons(report) == {
            5: "email is not an email address",
            6: "has 2 columns, the heading has 7",
        }
        ann = User.objects.get(username="ann")
        assert (ann.role, ann.timezone, ann.attributes) == (
            "teacher",
            "Europe/Paris",
            {"grade": "7"},
        )
        assert points("ann") == {
            "email": "ann@example.com",
            "phone": "+33639980012",
            "telegram": "123",
        }
        assert not ann.has_usable_password()

    def test_a_second_run_changes_nothing(self) -> None:
        import_users(self.LINES, kind="csv")

        again = import_users(self.LINES, kind="csv")

        assert (again.created, again.updated, again.unchanged) == (0, 0, 2)

    def test_a_blank_cell_does_not_change_a_field_that_cannot_be_blank(self) -> None:
        import_users(self.LINES, kind="csv")

        import_users(["username,role,timezone\n", "ann,,\n"], kind="csv")

        ann = User.objects.get(username="ann")
        assert (ann.role, ann.timezone) == ("teacher", "Europe/Paris")

    @pytest.mark.parametrize(
        ("lines", "why"),
        [
            ([], "the file is empty"),
            (["username,fone\n"], "unknown column 'fone'"),
            (["username,email,email\n"], "the column 'email' is there twice"),
        ],
    )
    def test_a_file_with_an_unreadable_heading_is_refused(self, lines: list[str], why: str) -> None:
        with pytest.raises(ImportFault, match=why):
            import_users(lines, kind="csv")


class TestNdjson:
    def test_all_faults_of_a_line_are_reported_at_once_without_values(self) -> None:
        report = ndjson(
            {"username": "a", "timezone": "Mars/X", "role": "king", "phone_number": "12", "x": 1},
            "nope",
            [1],
            {"first_name": "x"},
            {"username": "a b"},
            {"username": "b", "telegram_id": "@bob", "uuid": "7"},
            {"username": "c", "is_active": "perhaps", "avatar_url": "javascript:x"},
            {"username": "d", "first_name": "a\x00b", "locale": "english please"},
            '{"username": "e", "first_name": "\\ud800"}',
            '{"username": "f", "attributes": {"a": 1e999}}',
            {"username": "g", "attributes": {"a": "x" * 30_000}},
            {"username": "h", "last_name": "x" * 151, "email": ["a"]},
            '{"username": "i", "attributes": {"a": "\\ud800"}}',
        )

        found = reasons(report)
        assert report.created == 0
        assert sorted(found) == list(range(1, 14))
        assert found[1] == (
            "timezone is not an IANA time zone, e.g. Europe/Paris;"
            " role must be one of student, teacher, tutor, parent, admin;"
            " phone_number must be in international form, e.g. +4915112345678;"
            " x is not a known field"
        )
        assert found[2] == "is not JSON"
        assert found[3] == "is not a JSON object"
        assert found[4] == "one of uuid, external_id, username or email must say who this is"
        assert "uuid is not a UUID" in found[6]
        assert "is_active must be true or false" in found[7]
        assert "control character" in found[8]
        assert "Mars" not in str(report.errors)

    def test_emoji_and_other_planes_are_imported(self) -> None:
        report = ndjson({"username": "a", "first_name": "Ян 😀", "attributes": {"m": "😀"}})

        assert report.errors == []
        assert User.objects.get().attributes == {"m": "😀"}

    def test_fields_that_a_line_does_not_name_stay_unchanged(self) -> None:
        ndjson({"username": "a", "first_name": "Ann", "attributes": {"x": 1}})

        report = ndjson({"username": "a", "last_name": "Lee", "attributes": {"y": 2}})

        user = User.objects.get()
        assert report.updated == 1
        assert (user.first_name, user.last_name) == ("Ann", "Lee")
        assert user.attributes == {"x": 1, "y": 2}

    def test_a_person_may_occur_twice_in_a_file(self) -> None:
        report = ndjson(
            {"username": "a", "first_name": "One"}, {"username": "a", "first_name": "Two"}
        )

        assert (report.created, report.updated) == (1, 1)
        assert User.objects.get().first_name == "Two"

    def test_lines_of_one_batch_may_name_a_person_by_different_keys(self) -> None:
        ndjson({"external_id": "1", "username": "a", "email": "a@example.org"})

        report = ndjson(
            {"external_id": "1", "username": "b", "first_name": "One"},
            {"username": "b", "first_name": "Two"},
            {"username": "a", "first_name": "Other"},
        )

        names = {(each.username, each.first_name) for each in User.objects.all()}
        assert names == {("b", "Two"), ("a", "Other")}
        assert (report.created, report.updated, report.errors) == (1, 2, [])

    def test_an_email_alone_identifies_a_person(self) -> None:
        ndjson({"email": "solo@example.com"})

        assert ndjson({"email": "solo@example.com"}).unchanged == 1
        assert User.objects.get().username == "solo@example.com"

    def test_an_external_id_alone_gives_a_username(self) -> None:
        report = ndjson({"external_id": "x1", "first_name": "A"}, {"external_id": "x2"})

        assert report.created == 2
        assert all(user.username.startswith("user-") for user in User.objects.all())

    def test_a_username_does_not_connect_a_person_to_an_external_id(self) -> None:
        ndjson({"username": "a"}, {"username": "b", "external_id": "x1"})
        anna = User.objects.get(username="a")

        report = ndjson(
            {"username": "a", "external_id": "x2"},
            {"username": "b", "external_id": "x2"},
            {"username": "a", "uuid": str(uuid4())},
        )
        gained = ndjson({"uuid": str(anna.uuid), "username": "a", "external_id": "x3"})

        assert reasons(report) == {
            1: "username belongs to a person without external_id",
            2: "username belongs to a person with another external_id",
            3: "username belongs to a person with another uuid",
        }
        assert gained.updated == 1

    def test_a_file_never_changes_staff(self) -> None:
        admin = make_user(is_staff=True, username="admin", external_id="x1")

        report = ndjson(
            {"external_id": "S999", "username": "admin"},
            {"external_id": "x1", "email": "me@evil.example"},
            {"uuid": str(admin.uuid), "is_active": False},
            {"external_id": "x2"},
        )

        assert report.created == 1
        assert set(reasons(report)) == {1, 2, 3}
        admin.refresh_from_db()
        assert (admin.external_id, admin.is_active) == ("x1", True)

    def test_the_username_of_another_person_is_refused_and_the_rest_is_written(self) -> None:
        ndjson({"username": "a", "external_id": "x1"}, {"username": "b", "external_id": "x2"})

        report = ndjson(
            {"external_id": "x1", "username": "b"}, {"external_id": "x2", "first_name": "Bob"}
        )

        assert reasons(report) == {1: "username belongs to another person"}
        assert report.updated == 1

    def test_a_uuid_is_stored(self) -> None:
        uuid = "0190163d-8694-739b-aea5-966c26f8ad91"
        ndjson({"uuid": uuid, "username": "a"})

        ndjson({"uuid": uuid, "username": "renamed"})

        assert User.objects.get(uuid=UUID(uuid)).username == "renamed"


class TestContactPoints:
    def test_a_new_address_starts_active(self) -> None:
        ndjson({"username": "a", "email": "old@example.com"})
        ContactPoint.objects.update(state="bounced", state_reason="550")

        ndjson({"username": "a", "email": "new@example.com"})

        point = ContactPoint.objects.get()
        assert (point.address, point.state, point.state_reason) == ("new@example.com", "active", "")

    def test_the_same_address_retains_its_state(self) -> None:
        ndjson({"username": "a", "email": "old@example.com"})
        ContactPoint.objects.update(state="bounced")

        ndjson({"username": "a", "email": "old@example.com", "first_name": "Ann"})

        assert ContactPoint.objects.get().state == "bounced"

    def test_an_emptied_field_removes_its_contact_point(self) -> None:
        ndjson({"username": "a", "email": "a@example.com", "phone_number": "+4917139200001"})

        ndjson({"username": "a", "phone_number": ""})

        assert points("a") == {"email": "a@example.com"}


class TestManyLines:
    def test_lines_are_streamed_and_progress_is_reported(self) -> None:
        read = 0

        def lines() -> Iterator[str]:
            nonlocal read
            for number in range(2_500):
                read += 1
                yield json.dumps({"username": f"u{number}"})

        reported: list[tuple[int, int]] = []
        report = import_users(
            lines(), kind="ndjson", on_progress=lambda done: reported.append((done, read))
        )

        assert report.created == 2_500
        assert reported == [(1_000, 1_000), (2_000, 2_000), (2_500, 2_500)]

    def test_a_batch_needs_few_statements(self) -> None:
        lines: list[Any] = [{"username": f"u{n}", "email": f"u{n}@example.com"} for n in range(50)]

        with CaptureQueriesContext(connection) as queries:
            ndjson(*lines)

        assert len(queries) < 20

    def test_errors_are_counted_beyond_those_that_are_listed(self) -> None:
        report = ndjson(*["x"] * 1_200)

        assert (len(report.errors), report.error_count) == (1_000, 1_200)

    def test_an_unknown_kind_is_refused(self) -> None:
        with pytest.raises(ImportFault, match="csv or ndjson"):
            import_users([], kind="xml")  # type: ignore[arg-type]


class TestAttributesOfCsv:
    """A file of texts does not change the type of a stored value."""

    def test_a_stored_number_stays_a_number(self) -> None:
        ndjson({"username": "a", "attributes": {"grade": 7, "paid": True, "code": "7"}})

        lines = ["username,attributes.grade,attributes.paid,attributes.code\n", "a,8,false,8\n"]
        report = import_users(lines, kind="csv")
        again = import_users(lines, kind="csv")

        assert User.objects.get().attributes == {"grade": 8, "paid": False, "code": "8"}
        assert (report.updated, again.unchanged) == (1, 1)

    def test_texts_with_backslashes_are_imported_from_every_kind_of_file(self) -> None:
        texts = ["C:\\udemy", "\\u0000", "\\ud83c", "C:\\new"]
        for number, text in enumerate(texts):
            cell = json.dumps({"path": text}).replace('"', '""')
            csv = ["username,attributes,attributes.b\n", f'c{number},"{cell}",{text}\n']
            assert import_users(csv, kind="csv").errors == []
            assert ndjson({"username": f"n{number}", "attributes": {"path": text}}).errors == []

        for number, text in enumerate(texts):
            attributes = User.objects.get(username=f"c{number}").attributes
            assert attributes == {"path": text, "b": text}
            assert User.objects.get(username=f"n{number}").attributes == {"path": text}
