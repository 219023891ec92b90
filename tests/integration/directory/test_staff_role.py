"""The role of a member of staff decides Django's flags, and nothing but its own door sets it."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.db import connection

from directory.imports.import_rows import LineFault, read_line
from directory.models import StaffRole, User
from directory.people import upsert_people
from notifications.infra import clock

pytestmark = pytest.mark.django_db
FLAGS = {
    "admin": (True, True),
    "operator": (True, False),
    "author": (True, False),
    "analyst": (True, False),
    None: (False, False),
}


def row(user: User) -> tuple[Any, ...]:
    names = ("staff_role", "is_staff", "is_superuser")
    found: tuple[Any, ...] = User.objects.values_list(*names).get(pk=user.pk)
    return found


@pytest.mark.parametrize("role", [*StaffRole.values, None])
def test_a_role_sets_the_flags(role: str | None) -> None:
    user = User.objects.create(username="ada", staff_role=role)
    assert row(user) == (role, *FLAGS[role])


@pytest.mark.parametrize(
    ("flags", "role"),
    [
        ({"is_staff": True}, "analyst"),
        ({"is_superuser": True}, "admin"),
        ({"is_staff": True, "is_superuser": True}, "admin"),
        ({"is_staff": True, "staff_role": "author"}, "author"),
        ({"is_superuser": True, "staff_role": "author"}, "author"),
    ],
)
def test_a_flag_without_a_role_gets_one(flags: dict[str, Any], role: str) -> None:
    assert row(User.objects.create(username="ada", **flags)) == (role, *FLAGS[role])


def test_the_commands_of_django_make_admins_and_people() -> None:
    boss = User.objects.create_superuser("boss", "boss@example.com", "a long phrase")
    assert row(boss) == ("admin", True, True)
    assert row(User.objects.create_user("ann")) == (None, False, False)


@pytest.mark.parametrize("loaded", [True, False])
@pytest.mark.parametrize("fields", [None, "named"])
@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        (None, {"staff_role": "author"}, "author"),
        (None, {"is_staff": True}, "analyst"),
        (None, {"is_superuser": True}, "admin"),
        ("admin", {"staff_role": "analyst"}, "analyst"),
        ("admin", {"staff_role": None}, None),
        ("admin", {"is_staff": False}, None),
        ("admin", {"is_superuser": False}, "analyst"),
        ("author", {"is_staff": False}, None),
        ("author", {"is_superuser": True}, "admin"),
        ("author", {"first_name": "Ann"}, "author"),
    ],
)
def test_of_a_stored_row_the_changed_column_counts(
    before: str | None,
    change: dict[str, Any],
    after: str | None,
    fields: str | None,
    loaded: bool,
) -> None:
    user = User.objects.create(username="ada", staff_role=before)
    if loaded:
        user = User.objects.get(pk=user.pk)
    for name, value in change.items():
        setattr(user, name, value)
    user.save(update_fields=list(change) if fields else None)
    assert row(user) == (after, *FLAGS[after])
    assert (user.staff_role, user.is_staff, user.is_superuser) == row(user)


def test_other_changes_of_a_row_ask_for_nothing(django_assert_num_queries: Any) -> None:
    user = User.objects.create(username="ada", staff_role="author")
    with django_assert_num_queries(3):  # a savepoint around the update
        user.save(update_fields=["locale"])


def test_a_right_of_django_is_worth_nothing() -> None:
    user = User.objects.create(username="ada", staff_role="analyst")
    user.user_permissions.set(Permission.objects.all())
    from notifications.features.access.principals import caller_of_user

    assert caller_of_user(user).scopes == {"analytics:read", "notifications:read", "templates:read"}


@pytest.mark.parametrize("name", ["staff_role", "is_staff", "is_superuser", "password"])
def test_no_record_of_sync_or_import_has_such_a_field(name: str) -> None:
    with pytest.raises(LineFault, match=name):
        read_line(0, {"external_id": "p-1", name: "admin"})


def test_the_role_on_the_platform_grants_nothing() -> None:
    upsert_people([read_line(0, {"external_id": "p-1", "role": "admin"})], at=clock.now())
    user = User.objects.get(external_id="p-1")
    assert (user.role, *row(user)) == ("admin", None, False, False)


@pytest.mark.parametrize("flags", [(True, False), (False, True), (True, True), (False, False)])
def test_the_migration_makes_everyone_who_was_staff_an_admin(flags: tuple[bool, bool]) -> None:
    user = User.objects.create(username="ada")
    User.objects.filter(pk=user.pk).update(is_staff=flags[0], is_superuser=flags[1])
    migration = import_module("directory.migrations.0009_staff_role")

    migration.make_administrators(apps, SimpleNamespace(connection=connection))

    role = "admin" if any(flags) else None
    assert row(user) == (role, *FLAGS[role])
