"""Every route and page as every principal, compared with the permission table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from carillon.cli.docs import PAGES, ROOT
from directory.models import StaffRole, User
from notifications.api.permissions.other_urls import OTHER_URLS, STAFF_PAGES
from notifications.api.permissions.table import (
    MissingPermission,
    RoutePermission,
    admin_pages,
    page_permissions,
    route_permissions,
)
from notifications.api.permissions.urls import other_paths
from notifications.api.route import Auth
from notifications.api.routes import ROUTES
from notifications.api.sign_in.pages import ACCOUNT_URLS
from notifications.domain.staff_rights import RIGHTS
from notifications.features.access.authentication import issue_access
from notifications.infra import clock
from notifications.models import SCOPES
from tests.integration.api.test_scopes import ABSENT, call, holding, plain
from tests.integration.factories import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.once]
TABLE = route_permissions(ROUTES)
OWN = ("get_user", "request_export")
"""Routes of a user that name the user in the path."""
ELSEWHERE = {"REMOTE_ADDR": "203.0.113.7"}
"""A client that is not on this machine."""
UNKNOWN_ROLE = "janitor"


def is_in(response: Any) -> bool:
    return response.status_code not in (401, 403)


def differences(
    client: APIClient, expected: dict[str, bool], user: User | None = None
) -> list[Any]:
    """Returns the routes whose answer to a client differs from what the table says."""
    wrong = []
    for route in ROUTES:
        own = user is not None and route.name in OWN
        response = call(client, route, id=str(user.pk) if own and user else ABSENT)
        if route.auth is not Auth.PUBLIC and is_in(response) is not expected[route.name]:
            wrong.append((route.name, response.status_code, expected[route.name]))
    return wrong


def signed_in(role: str | None) -> tuple[APIClient, User]:
    user = make_user()
    User.objects.filter(pk=user.pk).update(staff_role=role, is_staff=role is not None)
    return plain(issue_access(user, now=clock.now())), user


@pytest.mark.parametrize("role", [*StaffRole.values, None])
def test_each_role_reaches_what_the_table_says(role: str | None) -> None:
    client, user = signed_in(role)
    expected = {name: each.is_open_to(role=role) for name, each in TABLE.items()}
    assert differences(client, expected, user) == []


def test_a_role_without_scopes_reaches_what_a_user_reaches() -> None:
    """A role of another release, and Django's flags without a role, grant nothing."""
    expected = {name: each.is_open_to() for name, each in TABLE.items()}
    client, user = signed_in(UNKNOWN_ROLE)
    assert differences(client, expected, user) == []
    User.objects.filter(pk=user.pk).update(staff_role=None, is_staff=True, is_superuser=True)
    client = plain(issue_access(user, now=clock.now()))
    assert differences(client, expected, user) == []


@pytest.mark.parametrize("scope", [*SCOPES, ""])
def test_a_key_with_one_scope_reaches_what_the_table_says(scope: str) -> None:
    expected = {name: each.is_open_to(scope=scope) for name, each in TABLE.items()}
    assert differences(holding(*([scope] if scope else [])), expected) == []


def test_a_request_without_credentials_reaches_public_routes_alone() -> None:
    anonymous = APIClient(raise_request_exception=False)
    for route in ROUTES:
        refused = call(anonymous, route).status_code == 401
        has_proof = bool(TABLE[route.name].proof)
        # Public calls refuse a wrong password, link or signature by themselves.
        assert refused is not has_proof or route.auth is Auth.PUBLIC, route.name


def test_the_table_has_every_route() -> None:
    assert TABLE.keys() == {route.name for route in ROUTES}


@pytest.mark.parametrize(
    "planted",
    [
        {"name": "planted", "auth": Auth.CALLER},
        {"name": "planted", "auth": Auth.PUBLIC, "scope": None},
        {"name": "list_staff", "scope": "operations"},
        {"name": "list_staff", "auth": Auth.PUBLIC},
        {"name": "list_staff", "for_persons": True},
        {"name": "count_unread", "scope": None},
    ],
)
def test_a_route_without_its_entry_is_an_error(planted: dict[str, Any]) -> None:
    """`carillon docs --check` builds the table, so `make check` fails, too."""
    route = next(each for each in ROUTES if each.name == "list_staff")
    with pytest.raises(MissingPermission):
        route_permissions([*ROUTES, replace(route, **planted)])


def test_an_entry_without_its_route_is_an_error() -> None:
    with pytest.raises(MissingPermission, match="list_staff"):
        route_permissions([each for each in ROUTES if each.name != "list_staff"])


def test_a_page_without_its_entry_is_an_error() -> None:
    assert page_permissions(other_paths()).keys() > OTHER_URLS.keys()
    for paths in (other_paths() | {"console/planted"}, other_paths() - {"outbox"}):
        with pytest.raises(MissingPermission):
            page_permissions(paths)


def sessions() -> Iterator[tuple[str | None, Client]]:
    for role in (*StaffRole.values, UNKNOWN_ROLE, None):
        user = make_user()
        User.objects.filter(pk=user.pk).update(
            staff_role=role, is_staff=role is not None, is_superuser=role == "admin"
        )
        user.refresh_from_db()
        client = Client(raise_request_exception=False)
        client.force_login(user)
        yield role, client


def test_each_page_opens_to_the_roles_that_the_table_names() -> None:
    pages = page_permissions(other_paths())
    wrong = []
    for role, client in sessions():
        for path, page in pages.items():
            if page.roles is None or "<" in path:
                continue
            status = client.get(f"/{path}", **ELSEWHERE).status_code
            # Django's admin is one page, which shows each role its lists.
            expected = role in page.roles or (path == "admin/" and role == UNKNOWN_ROLE)
            if (status == 200) is not expected or status not in (200, 302, 403):
                wrong.append((role, path, status))
    assert wrong == []


def test_a_page_that_asks_for_no_role_is_the_same_for_each() -> None:
    others = OTHER_URLS.keys() - STAFF_PAGES.keys() - ACCOUNT_URLS.keys()
    clients = [client for _, client in sessions()]
    for path in others - {"admin/login/", "preferences"}:
        url = "/" + re.sub(r"<\w+:\w+>", "1", path)
        found = {client.get(url, **ELSEWHERE).status_code for client in clients}
        assert len(found) == 1, path


def test_the_admin_shows_a_role_its_lists_alone() -> None:
    lists = admin_pages()
    for role, client in sessions():
        response = client.get("/admin/", **ELSEWHERE)
        if role is None:
            assert response.status_code == 302
            continue
        shown = {
            model["admin_url"].removeprefix("/")
            for app in response.context["app_list"]
            for model in app["models"]
        }
        rights = RIGHTS.get(role, frozenset())
        assert shown == {path for path, scope in lists.items() if scope in rights}


def test_staff_without_the_role_are_refused_and_others_are_sent_to_sign_in() -> None:
    found = {role: client.get("/outbox", **ELSEWHERE).status_code for role, client in sessions()}
    refused = dict.fromkeys(("author", "analyst", UNKNOWN_ROLE), 403)
    assert found == {"admin": 200, "operator": 200, None: 302, **refused}


def test_only_an_admin_changes_a_user_in_the_admin(user: User) -> None:
    for role, client in sessions():
        if role in (None, UNKNOWN_ROLE):
            continue
        for page in ("add", f"{user.pk}/change", f"{user.pk}/delete", f"{user.pk}/password"):
            response = client.post(f"/admin/directory/user/{page}/", {}, **ELSEWHERE)
            assert (response.status_code == 403) is (role != "admin"), (role, page)


def test_the_roles_of_the_table_are_those_of_the_column() -> None:
    assert list(RIGHTS) == StaffRole.values
    assert {role for each in TABLE.values() for role in each.roles} == set(RIGHTS)


def test_the_page_is_the_table() -> None:
    page = "docs/reference/permissions.md"
    text = (ROOT / page).read_text()
    assert text == PAGES[page]()
    each: RoutePermission
    for each in TABLE.values():
        assert f"`{each.method} {each.path}`" in text


def test_a_role_that_only_views_a_user_sees_no_part_of_a_hash(user: User) -> None:
    user.set_password("a long phrase of ours")
    user.save()
    for role, client in sessions():
        page = client.get(f"/admin/directory/user/{user.pk}/change/", **ELSEWHERE)
        if role == "operator":
            assert user.username in page.content.decode()
            assert "argon2" not in page.content.decode()
        elif role != "admin":
            assert page.status_code in (302, 403)
