"""users:write keeps people in step with the platform, and never becomes a member of staff."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from directory.models import (
    AddressProof,
    ContactPoint,
    Device,
    Enrollment,
    Group,
    GroupMembership,
    ParentLink,
    Subject,
    Suppression,
    TutorAssignment,
    User,
)
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
V1 = "/api/v1"
TABLES = (ContactPoint, Device, GroupMembership, AddressProof)


@pytest.fixture(params=["is_staff", "is_superuser"])
def admin(request: Any) -> User:
    user = make_user(
        username="admin@example.com",
        external_id="S1",
        email="admin@example.com",
        **{request.param: True},
    )
    Device.objects.create(user=user, token="admin-phone")
    GroupMembership.objects.create(user=user, group=Group.objects.create(name="Council"))
    return user


@pytest.fixture
def sync(with_key: Callable[..., APIClient]) -> APIClient:
    return with_key("users:write", "users:read")


def rows_of(user: User) -> str:
    """All stored rows of a person, as one text."""
    rows_of_all = [User.objects.filter(pk=user.pk).values()]
    rows_of_all += [
        table.objects.filter(user_id=user.pk).order_by("pk").values() for table in TABLES
    ]
    return repr([list(rows) for rows in rows_of_all])


def links_of(user: User) -> int:
    return (
        Enrollment.objects.filter(student=user).count()
        + Enrollment.objects.filter(teacher=user).count()
        + TutorAssignment.objects.filter(student=user).count()
        + TutorAssignment.objects.filter(tutor=user).count()
        + ParentLink.objects.filter(parent=user).count()
        + ParentLink.objects.filter(student=user).count()
    )


def records(admin: User) -> list[dict[str, Any]]:
    """Every way to name a member of staff in a record."""
    return [
        {"external_id": "S999", "username": admin.username},
        {"username": admin.username, "email": "me@evil.example"},
        {"email": admin.username},  # stands in for a missing username
        {"external_id": "S1", "phone_number": "+4915112345678"},
        {"uuid": str(admin.uuid), "contact_points": {"telegram": "666"}},
        {"uuid": str(admin.uuid), "is_active": False},
        {"uuid": str(uuid4()), "username": admin.username},
        {"uuid": str(uuid4()), "external_id": "S1"},
        {"external_id": "S7", "devices": [{"token": "admin-phone"}]},
        {"external_id": "S1", "groups": []},
        {"external_id": "S1", "devices": [{"token": "mine"}]},
        {"external_id": "S1", "data_processing_consent": True},
    ]


@pytest.mark.parametrize("which", [which for which in range(12) if which != 2])
def test_no_record_of_a_put_reaches_staff(sync: APIClient, admin: User, which: int) -> None:
    before, record = rows_of(admin), records(admin)[which]

    answer = sync.put(f"{V1}/users/{record.get('uuid') or uuid4()}", record)

    assert (answer.status_code, answer.data["code"]) == (403, "staff_protected")
    assert rows_of(admin) == before


@pytest.mark.parametrize("form", ["json", "ndjson"])
def test_no_record_of_a_bulk_reaches_staff_and_the_others_go_in(
    sync: APIClient, admin: User, form: str
) -> None:
    before, bad = rows_of(admin), records(admin)
    given = [{"external_id": "p-1"}, *bad, {"external_id": "p-2"}]

    if form == "json":
        answer = sync.post(f"{V1}/users/bulk", {"users": given})
    else:
        text = "\n".join(json.dumps(each) for each in given)
        answer = sync.generic("POST", f"{V1}/users/bulk", text.encode(), "application/x-ndjson")

    assert answer.data["created"] == 2
    assert [each["index"] for each in answer.data["rejected"]] == list(range(1, len(bad) + 1))
    assert {each["code"] for each in answer.data["rejected"]} == {"staff_protected"}
    assert rows_of(admin) == before


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("post", "/devices", {"user_id": "ext:S1", "token": "mine"}),
        ("post", "/devices", {"user_id": "{other_uuid}", "token": "admin-phone"}),
        (
            "post",
            "/verifications",
            {"user_id": "ext:S1", "kind": "email", "address": "x@evil.example"},
        ),
        (
            "post",
            "/verifications/confirm",
            {"user_id": "ext:S1", "kind": "email", "code": "000000"},
        ),
        ("post", "/groups/{group}/members", {"add": ["ext:S1"]}),
        ("post", "/groups/{group}/members", {"remove": ["ext:S1"]}),
        ("post", "/groups/{fresh}/members", {"add": ["{other_uuid}", "S1"]}),
        ("put", "/groups/{fresh}/members", {"members": ["admin@example.com"]}),
    ],
)
def test_no_call_about_a_person_reaches_staff(
    sync: APIClient, admin: User, method: str, path: str, body: Any
) -> None:
    council, fresh = Group.objects.get(), Group.objects.create(name="Choir")
    names = {"id": admin.pk, "uuid": admin.uuid, "other_uuid": make_user().uuid}
    names |= {"group": council.uuid, "fresh": fresh.uuid}
    filled = json.loads(_filled(json.dumps(body), names))
    before = rows_of(admin)

    answer = getattr(sync, method)(f"{V1}{path.format(**names)}", filled)

    assert (answer.status_code, answer.data["code"]) == (403, "staff_protected")
    assert rows_of(admin) == before


def _filled(text: str, names: dict[str, Any]) -> str:
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


def test_no_link_is_made_for_a_chat_that_would_be_staffs(
    sync: APIClient, admin: User, override_environment: Any
) -> None:
    override_environment(telegram_bot_name="bot")

    answer = sync.get(f"{V1}/telegram/link", {"user_id": admin.pk})

    assert (answer.status_code, answer.data["code"]) == (403, "staff_protected")
    assert not AddressProof.objects.exists()


def test_a_device_of_staff_cannot_be_taken_away(sync: APIClient, admin: User) -> None:
    answer = sync.delete(f"{V1}/devices/{Device.objects.get().pk}")

    assert answer.status_code == 404
    assert Device.objects.get().user_id == admin.pk


def test_staff_stay_in_a_group_whose_members_are_set(sync: APIClient, admin: User) -> None:
    other, gone = make_user(), make_user()
    group = Group.objects.get()
    GroupMembership.objects.create(user=gone, group=group)

    answer = sync.put(f"{V1}/groups/{group.uuid}/members", {"members": [other.pk]})

    assert (answer.data["added"], answer.data["removed"]) == (1, 1)
    assert set(group.memberships.values_list("user_id", flat=True)) == {admin.pk, other.pk}


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("enrollments", {"student": "S1", "subject": "Algebra"}),
        ("enrollments", {"student": "p-1", "teacher": "S1", "subject": "Algebra"}),
        ("tutor-assignments", {"student": "p-1", "tutor": "admin@example.com"}),
        ("tutor-assignments", {"student": "S1", "tutor": "p-1"}),
        ("parent-links", {"parent": "S1", "student": "p-1"}),
        ("parent-links", {"parent": "p-1", "student": "S1"}),
    ],
)
def test_no_relation_names_staff(
    sync: APIClient, admin: User, kind: str, row: dict[str, str]
) -> None:
    make_user(external_id="p-1")

    answer = sync.post(f"{V1}/{kind}", {"rows": [row]})

    assert answer.data["created"] == 0
    assert "is a member of staff" in answer.data["rejected"][0]["detail"]
    assert links_of(admin) == 0


def test_a_relation_of_staff_is_removed_by_staff_only(
    sync: APIClient, as_staff: APIClient, admin: User
) -> None:
    row = Enrollment.objects.create(
        student=make_user(), teacher=admin, subject=Subject.objects.create(name="Algebra")
    )

    refused = sync.delete(f"{V1}/enrollments/{row.pk}")
    done = as_staff.delete(f"{V1}/enrollments/{row.pk}")

    assert (refused.status_code, refused.data["code"]) == (403, "staff_protected")
    assert done.status_code == 204


def test_no_address_of_staff_is_suppressed(
    sync: APIClient, as_staff: APIClient, admin: User, caplog: Any
) -> None:
    """No report of an emergency sign-in and no new password would reach it."""
    rows = [
        {"kind": "email", "address": address, "reason": "asked"}
        for address in ("ADMIN@Example.com", "else@example.com")
    ]
    answer = sync.post(f"{V1}/suppressions", {"suppressions": rows})
    assert (answer.data["created"], len(answer.data["rejected"])) == (1, 1)
    assert answer.data["rejected"][0]["code"] == "staff_protected"
    assert not Suppression.objects.filter(address="admin@example.com").exists()
    done = as_staff.post(f"{V1}/suppressions", {"suppressions": rows})
    assert (done.data["created"], done.data["unchanged"]) == (1, 1)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("users/bulk", {"users": [{"external_id": "S1", "is_active": False}]}),
        ("parent-links", {"rows": [{"parent": "S1", "student": "p-1"}]}),
        (
            "suppressions",
            {"suppressions": [{"kind": "email", "address": "admin@example.com", "reason": ""}]},
        ),
    ],
)
def test_a_record_of_staff_is_a_security_event(
    sync: APIClient, admin: User, caplog: Any, path: str, body: Any
) -> None:
    make_user(external_id="p-1")
    answer = sync.post(f"{V1}/{path}", body)
    assert answer.status_code == 200, answer.data
    (line,) = [each.msg for each in caplog.records if each.name == "carillon.security"]
    assert (line["event"], line["code"], line["records"]) == (
        "security.refused",
        "staff_protected",
        1,
    )
    assert line["principal"].startswith("key:")


def test_staff_may_change_staff(as_staff: APIClient, admin: User) -> None:
    answer = as_staff.put(f"{V1}/users/{admin.uuid}", {"first_name": "Grace"})

    assert (answer.status_code, answer.data["first_name"]) == (200, "Grace")
