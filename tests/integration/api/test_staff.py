"""Staff by HTTP: roles are given and ended, groups are made, and no right grows by itself."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from directory.models import StaffRole, User
from notifications.domain.staff_rights import RIGHTS
from notifications.features.access.authentication import issue_access
from notifications.infra import clock
from notifications.models import Category, StaffGroup, StaffGroupMember
from tests.integration.api.conftest import KeyClient, bearer
from tests.integration.api.test_idempotency import in_threads
from tests.integration.audit.test_recorded_changes import last
from tests.integration.factories import delete_row, make_user

pytestmark = pytest.mark.django_db
STAFF, GROUPS = "/api/v1/staff", "/api/v1/staff-groups"


def by(user: User) -> APIClient:
    return bearer(issue_access(user, now=clock.now()))


def role_of(user: User) -> str | None:
    found: str | None = User.objects.values_list("staff_role", flat=True).get(pk=user.pk)
    return found


def make_group(client: APIClient, *categories: str, name: str = "Editors") -> Any:
    return client.post(GROUPS, {"name": name, "categories": list(categories)})


class TestRoles:
    def test_a_role_is_given_changed_and_ended(self, as_staff: APIClient, staff: User) -> None:
        user = make_user(username="ann")
        for role in (*reversed(StaffRole.values), None):
            before = role_of(user)
            answer = as_staff.put(f"{STAFF}/{user.pk}", {"staff_role": role})
            assert (answer.status_code, answer.data["staff_role"]) == (200, role)
            assert role_of(user) == role
            entry = last("staff.role")
            assert (entry["before"], entry["after"]) == (
                {"staff_role": before},
                {"staff_role": role},
            )
            assert entry["row"].actor == f"user:{staff.pk}"
            assert entry["row"].subject_id == user.pk

    def test_staff_are_listed_by_role(self, as_staff: APIClient, staff: User) -> None:
        author, _ = make_user(staff_role="author"), make_user()
        listed = [each["user_id"] for each in as_staff.get(STAFF).data["results"]]
        assert listed == [staff.pk, author.pk]
        found = as_staff.get(f"{STAFF}?role=author").data["results"]
        assert [each["username"] for each in found] == [author.username]
        assert as_staff.get(f"{STAFF}?role=king").status_code == 400
        first = as_staff.get(f"{STAFF}?limit=1").data
        assert first["next"]
        assert as_staff.get(first["next"]).data["results"][0]["user_id"] == author.pk

    def test_a_user_without_a_role_is_not_staff(self, as_staff: APIClient, user: User) -> None:
        answer = as_staff.get(f"{STAFF}/{user.pk}")
        assert (answer.status_code, answer.data["code"]) == (404, "not_staff")

    def test_an_unknown_role_is_refused(self, as_staff: APIClient, user: User) -> None:
        answer = as_staff.put(f"{STAFF}/{user.pk}", {"staff_role": "king"})
        assert (answer.status_code, answer.data["code"]) == (400, "invalid_role")
        for body in ({}, {"staff_role": "author", "is_superuser": True}):
            assert as_staff.put(f"{STAFF}/{user.pk}", body).status_code == 400
        assert role_of(user) is None

    def test_the_last_admin_stays(self, as_staff: APIClient, staff: User) -> None:
        make_user(staff_role="admin", is_active=False)
        for role in ("author", None):
            answer = as_staff.put(f"{STAFF}/{staff.pk}", {"staff_role": role})
            assert (answer.status_code, answer.data["code"]) == (409, "last_admin")
        assert role_of(staff) == "admin"
        other = make_user(staff_role="admin")
        assert as_staff.put(f"{STAFF}/{staff.pk}", {"staff_role": None}).status_code == 200
        answer = by(other).put(f"{STAFF}/{other.pk}", {"staff_role": "operator"})
        assert answer.data["code"] == "last_admin"

    def test_the_last_admin_is_neither_switched_off_nor_erased(
        self, as_staff: APIClient, staff: User
    ) -> None:
        User.objects.filter(pk=staff.pk).update(external_id="boss")
        off = {"external_id": "boss", "is_active": False}
        answers = [
            as_staff.put(f"/api/v1/users/{staff.uuid}", off),
            as_staff.post("/api/v1/users/bulk", {"users": [off]}),
            as_staff.post(f"/api/v1/privacy/users/{staff.pk}/erase", {"reason": "asked"}),
            as_staff.delete(f"/api/v1/users/{staff.pk}"),
        ]
        assert [(each.status_code, each.data["code"]) for each in answers] == [
            (409, "last_admin")
        ] * 4
        staff.refresh_from_db()
        assert staff.is_active

    @pytest.mark.django_db(transaction=True)
    def test_two_requests_at_once_do_not_switch_off_all_admins(self) -> None:
        """Each of them sees the other admin active, unless it waits for the other request."""
        admins = [make_user(staff_role="admin", external_id=f"boss{n}") for n in range(2)]
        clients = [by(each) for each in admins]
        for client in clients:  # warm: the gate opens for the write alone
            client.get(STAFF)

        def switch_off(place: int) -> int:
            off = {"external_id": f"boss{place}", "is_active": False}
            path = f"/api/v1/users/{admins[place].uuid}"
            return int(clients[1 - place].put(path, off).status_code)

        for _ in range(5):
            statuses = in_threads(partial(switch_off, 0), partial(switch_off, 1))
            assert User.objects.filter(staff_role="admin", is_active=True).exists(), statuses
            User.objects.update(is_active=True)

    def test_the_admin_form_does_not_switch_off_the_last_admin(self, staff: User) -> None:
        client = Client()
        client.force_login(staff)
        url = f"/admin/directory/user/{staff.pk}/change/"
        form = client.get(url).context["adminform"].form
        data = {name: value for name, value in form.initial.items() if value is not None}
        del data["is_active"]
        page = client.post(url, data)
        assert page.status_code == 200
        assert "last active admin" in page.content.decode()
        staff.refresh_from_db()
        assert staff.is_active

    def test_a_role_that_ends_takes_its_groups_and_its_access(self, as_staff: APIClient) -> None:
        author = make_user(staff_role="author")
        group = make_group(as_staff, "course").data["id"]
        as_staff.put(f"{GROUPS}/{group}/members", {"user_ids": [author.pk]})
        client = by(author)
        assert client.get("/api/v1/templates").status_code == 200
        as_staff.put(f"{STAFF}/{author.pk}", {"staff_role": None})
        assert client.get("/api/v1/templates").status_code == 403
        assert not StaffGroupMember.objects.exists()


class TestEscalation:
    """A caller gives only what it has, and a key is never a member of staff."""

    @pytest.mark.parametrize("role", ["operator", "author", "analyst"])
    def test_a_lower_role_reaches_no_door_of_staff(self, role: str) -> None:
        user, other = make_user(staff_role=role), make_user(staff_role="analyst")
        client = by(user)
        for answer in (
            client.put(f"{STAFF}/{user.pk}", {"staff_role": "admin"}),
            client.put(f"{STAFF}/{other.pk}", {"staff_role": None}),
            make_group(client, "course"),
            client.post("/api/v1/api-keys", {"name": "k", "scopes": []}),
        ):
            assert (answer.status_code, answer.data["code"]) == (403, "missing_scope")
        assert role_of(user) == role

    @pytest.mark.parametrize("role", StaffRole.values)
    def test_a_key_gives_a_role_of_which_it_has_every_right(
        self, role: str, with_key: KeyClient, user: User
    ) -> None:
        rights = RIGHTS[role] | {"staff:write"}
        enough = with_key(*rights)
        for scope in RIGHTS[role] - {"staff:write"}:
            answer = with_key(*(rights - {scope})).put(f"{STAFF}/{user.pk}", {"staff_role": role})
            assert (answer.status_code, answer.data["code"]) == (403, "role_above_own")
        assert enough.put(f"{STAFF}/{user.pk}", {"staff_role": role}).status_code == 200

    def test_a_key_ends_no_role_above_its_own(self, with_key: KeyClient) -> None:
        admin, _ = make_user(staff_role="admin"), make_user(staff_role="admin")
        answer = with_key("staff:write").put(f"{STAFF}/{admin.pk}", {"staff_role": None})
        assert answer.data["code"] == "role_above_own"

    def test_a_key_widens_no_group_of_a_role_above_its_own(
        self, with_key: KeyClient, as_staff: APIClient
    ) -> None:
        author = make_user(staff_role="author")
        group = make_group(as_staff, "course").data["id"]
        as_staff.put(f"{GROUPS}/{group}/members", {"user_ids": [author.pk]})
        weak = with_key("staff:write", "templates:read")
        for answer in (
            weak.put(f"{GROUPS}/{group}", {"name": "E", "categories": ["payment"]}),
            weak.put(f"{GROUPS}/{group}/members", {"user_ids": []}),
        ):
            assert (answer.status_code, answer.data["code"]) == (403, "role_above_own")
        assert weak.delete(f"{GROUPS}/{group}").data["code"] == "group_in_use"

    def test_a_test_key_changes_no_staff(self, with_key: KeyClient, user: User) -> None:
        client = with_key("*", kind="test")
        answer = client.put(f"{STAFF}/{user.pk}", {"staff_role": "analyst"})
        assert (answer.status_code, answer.data["code"]) == (403, "test_key")

    @pytest.mark.parametrize("role", ["operator", "author", "analyst", "admin"])
    def test_only_an_admin_changes_another_member_of_staff(self, role: str) -> None:
        target = make_user(staff_role="analyst", external_id="s-1")
        client = by(make_user(staff_role=role))
        answer = client.put(f"/api/v1/users/{target.uuid}", {"email": "me@evil.example"})
        if role == "admin":
            assert answer.status_code == 200
        else:
            expected = "staff_protected" if role == "operator" else "missing_scope"
            assert (answer.status_code, answer.data["code"]) == (403, expected)
        device = {"user_id": target.pk, "token": "t" * 40, "kind": "fcm"}
        assert (client.post("/api/v1/devices", device).status_code == 201) is (role == "admin")

    def test_a_key_with_every_scope_is_no_member_of_staff(self, with_key: KeyClient) -> None:
        target = make_user(staff_role="analyst")
        answer = with_key("*").put(f"/api/v1/users/{target.uuid}", {"email": "me@evil.example"})
        assert answer.data["code"] == "staff_protected"

    @pytest.mark.parametrize("name", ["staff_role", "is_staff", "is_superuser"])
    def test_no_other_door_knows_the_field(self, name: str, as_staff: APIClient) -> None:
        user = make_user(external_id="p-1")
        body = {"external_id": "p-1", name: "admin"}
        one = as_staff.put(f"/api/v1/users/{user.uuid}", body)
        many = as_staff.post("/api/v1/users/bulk", {"users": [body]})
        assert one.status_code == 400
        assert many.data["rejected"][0]["code"] == "invalid_record"
        assert role_of(user) is None


class TestGroups:
    def test_a_group_is_made_changed_and_deleted(self, as_staff: APIClient, staff: User) -> None:
        made = make_group(as_staff, "course", "payment")
        assert made.status_code == 201, made.data
        url = f"{GROUPS}/{made.data['id']}"
        assert (made.data["categories"], made.data["members"]) == (["course", "payment"], 0)
        author = make_user(staff_role="author")
        done = as_staff.put(f"{url}/members", {"user_ids": [author.pk]})
        assert (done.status_code, done.data["members"]) == (200, 1)
        assert last("staff-group.members")["after"] == {"user_ids": [author.pk]}
        listed = as_staff.get(f"{url}/members").data["results"]
        assert [(each["user_id"], each["group_ids"]) for each in listed] == [
            (author.pk, [made.data["id"]])
        ]
        as_staff.put(url, {"name": "Writers", "categories": ["course"]})
        entry = last("staff-group.changed")
        assert entry["before"] == {"name": "Editors", "categories": ["course", "payment"]}
        assert entry["after"] == {"name": "Writers", "categories": ["course"]}
        assert as_staff.get(url).data["name"] == "Writers"
        held = as_staff.delete(url)
        assert (held.status_code, held.data["code"]) == (409, "group_in_use")
        as_staff.put(f"{url}/members", {"user_ids": []})
        assert as_staff.delete(url).status_code == 204
        assert as_staff.get(url).data["code"] == "unknown_staff_group"
        assert last("staff-group.deleted")["before"]["name"] == "Writers"

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"name": " ", "categories": []}, "invalid"),
            ({"name": "a\nb", "categories": []}, "invalid"),
            ({"name": "E", "categories": ["nowhere"]}, "unknown_category"),
            ({"name": "E", "categories": ["course"] * 201}, "too_many"),
            ({"name": "E"}, "required"),
            ({"name": "x" * 101, "categories": []}, "wrong_type"),
        ],
    )
    def test_a_wrong_group_is_refused(
        self, body: dict[str, Any], code: str, as_staff: APIClient
    ) -> None:
        answer = as_staff.post(GROUPS, body)
        assert (answer.status_code, answer.data["code"]) == (400, code)

    def test_a_name_is_given_once(self, as_staff: APIClient) -> None:
        make_group(as_staff, "course")
        answer = make_group(as_staff, "payment")
        assert (answer.status_code, answer.data["code"]) == (409, "name_taken")
        other = make_group(as_staff, name="Others").data["id"]
        answer = as_staff.put(f"{GROUPS}/{other}", {"name": "Editors", "categories": []})
        assert (answer.status_code, answer.data["code"]) == (409, "name_taken")

    def test_only_staff_are_members(self, as_staff: APIClient, user: User) -> None:
        group = make_group(as_staff, "course").data["id"]
        answer = as_staff.put(f"{GROUPS}/{group}/members", {"user_ids": [user.pk]})
        assert (answer.status_code, answer.data["code"]) == (400, "not_staff")
        for missing in ("999999", "abc"):
            assert as_staff.get(f"{GROUPS}/{missing}").status_code == 404

    def test_groups_are_paged(self, as_staff: APIClient) -> None:
        for number in range(3):
            make_group(as_staff, "course", name=f"Group {number}")
        page = as_staff.get(f"{GROUPS}?limit=2").data
        assert [each["name"] for each in page["results"]] == ["Group 0", "Group 1"]
        assert as_staff.get(page["next"]).data["results"][0]["name"] == "Group 2"

    def test_a_deleted_person_and_a_deleted_category_leave_no_row(
        self, as_staff: APIClient
    ) -> None:
        author = make_user(staff_role="author")
        category = Category.objects.create(key="homework")
        group = make_group(as_staff, "homework").data["id"]
        as_staff.put(f"{GROUPS}/{group}/members", {"user_ids": [author.pk]})
        delete_row(author.pk)
        category.delete()
        row = StaffGroup.objects.get()
        assert (row.member_rows.count(), row.category_rows.count()) == (0, 0)
