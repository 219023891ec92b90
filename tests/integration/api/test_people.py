"""Groups, subjects, relations and suppressed addresses by HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from directory.models import Enrollment, Group, Suppression
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
API = "/api/v1"


@pytest.fixture
def sync(with_key: Callable[..., APIClient]) -> APIClient:
    return with_key("users:write", "users:read")


class TestGroups:
    def test_a_group_is_made_found_renamed_and_removed(self, sync: APIClient) -> None:
        made = sync.post(f"{API}/groups", {"name": "  Algebra ", "kind": "course"})

        assert made.status_code == 201
        assert (made.data["name"], made.data["members"]) == ("Algebra", 0)
        address = f"{API}/groups/{made.data['id']}"
        assert sync.get(f"{API}/groups/{made.data['number']}").data == made.data
        assert sync.put(address, {"name": "Algebra II"}).data["name"] == "Algebra II"
        assert [g["name"] for g in sync.get(f"{API}/groups?name=alg").data["results"]] == [
            "Algebra II"
        ]
        assert sync.delete(address).status_code == 204
        assert sync.get(address).data["code"] == "unknown_group"

    def test_a_name_is_there_once(self, sync: APIClient) -> None:
        sync.post(f"{API}/groups", {"name": "Choir"})
        other = sync.post(f"{API}/groups", {"name": "Band"})

        again = sync.post(f"{API}/groups", {"name": "Choir"})
        renamed = sync.put(f"{API}/groups/{other.data['id']}", {"name": "Choir"})

        assert (again.status_code, again.data["code"]) == (409, "name_taken")
        assert (renamed.status_code, renamed.data["code"]) == (409, "name_taken")

    @pytest.mark.parametrize("name", ["", "   ", "a\x00b", "x" * 201])
    def test_a_name_must_be_one(self, sync: APIClient, name: str) -> None:
        assert sync.post(f"{API}/groups", {"name": name}).status_code == 400

    def test_members_come_go_and_are_replaced(self, sync: APIClient) -> None:
        people = [make_user(external_id=f"m{n}") for n in range(4)]
        made = sync.post(f"{API}/groups", {"name": "Team"})
        address = f"{API}/groups/{made.data['id']}/members"

        added = sync.post(
            address, {"add": [people[0].pk, str(people[1].uuid), "m2", people[3].username, "who"]}
        )
        assert (added.data["added"], added.data["unknown"]) == (4, ["who"])

        changed = sync.post(address, {"add": ["m0"], "remove": ["m1", "m0"]})
        assert (changed.data["added"], changed.data["removed"]) == (0, 2)

        replaced = sync.put(address, {"members": ["m0", "m2"]})
        assert (replaced.data["added"], replaced.data["removed"]) == (1, 1)

        page = sync.get(address, {"limit": 1})
        rest = sync.get(page.data["next"])
        ids = [row["external_id"] for row in page.data["results"] + rest.data["results"]]
        assert ids == ["m0", "m2"]

    def test_too_many_at_once_are_refused(self, sync: APIClient, monkeypatch: Any) -> None:
        monkeypatch.setattr("notifications.features.people.groups.MAX_MEMBERS", 2)
        made = sync.post(f"{API}/groups", {"name": "Team"})

        answer = sync.put(f"{API}/groups/{made.data['id']}/members", {"members": [1, 2, 3]})

        assert (answer.status_code, answer.data["code"]) == (400, "too_many")


class TestSubjects:
    def test_a_subject_is_made_renamed_and_removed(self, sync: APIClient) -> None:
        made = sync.post(f"{API}/subjects", {"name": "Physics"})
        address = f"{API}/subjects/{made.data['id']}"

        assert sync.post(f"{API}/subjects", {"name": "Physics"}).data["code"] == "name_taken"
        assert sync.put(address, {"name": "Optics"}).data["name"] == "Optics"
        assert sync.get(address).data["name"] == "Optics"
        assert len(sync.get(f"{API}/subjects").data["results"]) == 1
        assert sync.delete(address).status_code == 204
        assert sync.get(address).status_code == 404


class TestRelations:
    def test_enrollments_go_in_once_and_bad_rows_are_reported(self, sync: APIClient) -> None:
        student, teacher = make_user(external_id="s1"), make_user(external_id="t1")
        rows: list[dict[str, Any]] = [
            {"student": "s1", "subject": "Physics", "teacher": "t1"},
            {"student": student.pk, "subject": "Physics"},
            {"student": "s1", "subject": "Physics", "teacher": str(teacher.uuid)},
            {"student": "unknown", "subject": "Physics"},
            {"student": "s1"},
            {"student": "s1", "subject": "Physics", "shoe": 1},
            {"student": None, "subject": "Physics"},
            {"student": "s1", "subject": "999999"},
        ]

        answer = sync.post(f"{API}/enrollments", {"rows": rows})
        again = sync.post(f"{API}/enrollments", {"rows": rows[:2]})

        assert answer.status_code == 200
        assert (answer.data["created"], answer.data["unchanged"]) == (2, 1)
        assert [(r["index"], r["detail"].split()[0]) for r in answer.data["rejected"]] == [
            (3, "student"),
            (4, "subject"),
            (5, "shoe"),
            (6, "student"),
            (7, "subject"),
        ]
        assert (again.data["created"], again.data["unchanged"]) == (0, 2)
        assert Enrollment.objects.count() == 2

    def test_relations_are_listed_by_their_ends_and_removed(self, sync: APIClient) -> None:
        student = make_user(external_id="s1")
        parent, tutor = make_user(external_id="p1"), make_user(external_id="t1")
        sync.post(f"{API}/parent-links", {"rows": [{"parent": "p1", "student": "s1"}]})
        sync.post(f"{API}/tutor-assignments", {"rows": [{"student": "s1", "tutor": "t1"}]})

        links = sync.get(f"{API}/parent-links", {"parent": "p1"}).data["results"]
        tutors = sync.get(f"{API}/tutor-assignments", {"student": student.pk}).data["results"]

        assert links[0]["ends"] == {"parent": parent.pk, "student": student.pk}
        assert tutors[0]["ends"] == {"student": student.pk, "tutor": tutor.pk}
        assert sync.get(f"{API}/parent-links", {"parent": "unknown"}).data["results"] == []
        assert sync.delete(f"{API}/parent-links/{links[0]['id']}").status_code == 204
        assert sync.delete(f"{API}/parent-links/{links[0]['id']}").status_code == 404


class TestSuppressions:
    def test_addresses_are_suppressed_in_their_one_spelling(self, sync: APIClient) -> None:
        rows = [
            {"kind": "email", "address": "Ada@EXAMPLE.org", "reason": "complaint"},
            {"kind": "phone", "address": "+49 (151) 123"},
            {"kind": "fax", "address": "1"},
            {"kind": "email", "address": " "},
        ]

        answer = sync.post(f"{API}/suppressions", {"suppressions": rows})
        again = sync.post(f"{API}/suppressions", {"suppressions": rows[:1]})

        assert (answer.data["created"], len(answer.data["rejected"])) == (2, 2)
        assert (again.data["created"], again.data["unchanged"]) == (0, 1)
        found = sync.get(f"{API}/suppressions", {"address": "Ada@example.ORG"}).data["results"]
        assert [row["reason"] for row in found] == ["complaint"]
        assert Suppression.objects.filter(address="+49151123").exists()
        assert sync.delete(f"{API}/suppressions/{found[0]['id']}").status_code == 204


def test_reading_and_writing_are_two_scopes(with_key: Callable[..., APIClient]) -> None:
    reader = with_key("users:read")
    Group.objects.create(name="G")

    assert reader.get(f"{API}/groups").status_code == 200
    assert reader.post(f"{API}/groups", {"name": "H"}).status_code == 403
