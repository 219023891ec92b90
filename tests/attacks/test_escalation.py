"""No field of a body gives a right: mass assignment at every route, in sync, bulk and import."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

import pytest
from rest_framework.test import APIClient

from directory.imports.records import ImportFault
from directory.models import User
from notifications.api.route import Route
from notifications.api.routes import ROUTES
from notifications.domain.callers import SYSTEM
from notifications.features.people.imports import import_file
from notifications.models import ApiKey
from tests.attacks.conftest import person, quiet
from tests.integration.factories import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.usefixtures("template")]
V1 = "/api/v1"
RIGHTS: dict[str, Any] = {
    "staff_role": "admin",
    "is_staff": True,
    "is_superuser": True,
    "is_active": True,
    "is_admin": True,
    "role": "admin",
    "roles": ["admin"],
    "groups": ["admins"],
    "user_permissions": [1],
    "permissions": ["*"],
    "scope": "*",
    "scopes": ["*"],
    "owner": 1,
    "owner_id": 1,
    "actor": "system",
    "created_by": 1,
    "password": "correct horse battery",
    "key_hash": "0" * 64,
    "id": 1,
    "pk": 1,
    "uuid": "01890a5d-ac96-774b-bcce-b302099a8057",
    "key_id": 1,
    "system": True,
    "verified": True,
    "approved": True,
    "approved_by": 1,
}
"""Fields by which a right, an owner or an identity could be given."""
MEANT = {
    ("log_in", "password"): "the credential itself",
    (
        "issue_api_key",
        "scopes",
    ): "bounded by the caller's own: tests/integration/api/test_api_keys.py",
    ("put_user", "role"): "the platform's word for a person, which grants nothing",
    ("put_user", "groups"): "groups of recipients, which grant nothing",
    ("put_user", "is_active"): "the platform ends a person's access; staff are protected",
    ("stop", "scope"): "what is stopped, not a right",
    ("create_template", "is_active"): "whether the template may be sent",
    ("change_template", "is_active"): "the same",
    ("validate_template", "is_active"): "the same",
    ("validate_new_template", "is_active"): "the same",
    ("set_staff_role", "staff_role"): "an admin gives a role, and a key never does",
    ("invite_staff", "role"): "an admin invites, who has all rights of the role",
    ("invite_staff", "groups"): "groups of staff, which limit",
}
"""Fields of these names that a body has on purpose."""
WRITING = [
    route
    for route in ROUTES
    if route.body is not None and not route.of_vendor and not route.reads_body
]


NOT_KNOWN = r'\b{}(?:: |","code":"\w+","detail":")is not a'
"""How an answer names an unknown field, in both forms of errors."""


def test_a_body_has_no_field_that_gives_a_right_unless_it_is_meant() -> None:
    """A new field of such a name: say in MEANT why it gives nothing."""
    found = {
        (route.name, name)
        for route in WRITING
        if route.body is not None
        for name in set(route.body.__struct_fields__) & RIGHTS.keys()
    }
    assert found == MEANT.keys()


@pytest.mark.parametrize("route", WRITING, ids=lambda route: route.name)
def test_a_field_that_is_not_known_is_refused_by_name(route: Route, as_staff: APIClient) -> None:
    assert route.body is not None
    unknown = {
        name: value for name, value in RIGHTS.items() if name not in route.body.__struct_fields__
    }
    unknown.pop("uuid" if route.name == "put_user" else "", None)  # it names the person
    path = route.path
    for name in route.parameters:
        path = path.replace(f"{{{name}}}", "ext:new" if "/users/" in path else "1")
    answer = as_staff.generic(route.method, path, json.dumps(unknown), "application/json")
    if answer.status_code in (401, 404):  # the object is looked for first
        return
    text = answer.content.decode()
    assert answer.status_code == 400 or '"valid":false' in text, text
    silent = [name for name in unknown if not re.search(NOT_KNOWN.format(name), text)]
    assert silent == [], text


def rights_of(user: User) -> tuple[Any, ...]:
    found = User.objects.get(pk=user.pk)
    return (
        found.is_staff, found.is_superuser, getattr(found, "staff_role", None),
        found.password, found.is_active, found.pk, found.uuid,
    )  # fmt: skip


FORBIDDEN = {name: value for name, value in RIGHTS.items() if name not in ("role", "groups")}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_no_sync_gives_a_right(name: str, ada: User) -> None:
    """A bulk names its person by external_id, and cannot give them another identity."""
    sync = quiet(ApiKey.make(name="sync", scopes=["users:write", "users:read"])[1])
    record, before = {name: FORBIDDEN[name]}, rights_of(ada)
    sync.put(f"{V1}/users/{ada.uuid}", record, format="json")
    sync.post(f"{V1}/users/bulk", {"users": [{"external_id": "ext-ada", **record}]}, format="json")
    sync.put(f"{V1}/users/ext:new", record, format="json")
    assert rights_of(ada) == before
    assert not User.objects.filter(is_staff=True).exists()
    assert not User.objects.filter(is_superuser=True).exists()


def test_a_role_of_the_platform_grants_nothing(ada: User) -> None:
    sync = quiet(ApiKey.make(name="sync", scopes=["users:write"])[1])
    for role in ("admin", "staff", "superuser", "operator"):
        sync.put(f"{V1}/users/{ada.uuid}", {"role": role}, format="json")
        assert person(ada).get(f"{V1}/users").status_code == 403
        assert person(ada).get(f"{V1}/api-keys").status_code == 403


@pytest.mark.parametrize("name", ["is_staff", "is_superuser", "staff_role", "password", "scopes"])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_no_import_gives_a_right(name: str, kind: str) -> None:
    lines = {
        "csv": [f"external_id,{name}\n", "p-1,admin\n", "p-2,true\n"],
        "jsonl": [json.dumps({"external_id": "p-1", name: RIGHTS[name]}) + "\n"],
    }[kind]
    with suppress(ImportFault):  # the column is refused
        import_file("users", lines, kind=kind, caller=SYSTEM)
    assert not User.objects.filter(is_staff=True).exists()
    assert not User.objects.filter(is_superuser=True).exists()
    for user in User.objects.all():
        assert not user.has_usable_password()


def test_attributes_named_like_rights_grant_nothing(ada: User) -> None:
    sync = quiet(ApiKey.make(name="sync", scopes=["users:write"])[1])
    done = sync.put(
        f"{V1}/users/{ada.uuid}",
        {"attributes": {"is_staff": True, "staff_role": "admin", "scopes": ["*"]}},
        format="json",
    )
    assert done.status_code == 200, done.content
    assert person(ada).get(f"{V1}/users").status_code == 403


def test_a_person_changes_nothing_of_themselves_but_preferences_and_devices(ada: User) -> None:
    before = rights_of(ada)
    for method in ("put", "patch", "post"):
        for path in (f"users/{ada.pk}", f"users/{ada.uuid}", "users/bulk", "users/me"):
            answer = getattr(person(ada), method)(f"{V1}/{path}", dict(RIGHTS), format="json")
            assert answer.status_code in (401, 403, 404, 405), (method, path, answer.content)
    assert rights_of(ada) == before


def test_an_issued_key_has_no_scope_that_its_issuer_lacks() -> None:
    weak = quiet(ApiKey.make(name="weak", scopes=["api-keys:write", "users:read"])[1])
    for scopes in (
        ["*"],
        ["users:write"],
        ["users:read", "operations"],
        ["API-KEYS:WRITE"],
        ["**"],
    ):
        made = weak.post(f"{V1}/api-keys", {"name": "more", "scopes": scopes}, format="json")
        assert made.status_code in (400, 403), (scopes, made.content)
    assert ApiKey.objects.count() == 1


def test_a_test_key_issues_no_live_key() -> None:
    key = ApiKey.make(name="test", scopes=["api-keys:write", "users:read"], kind="test")[1]
    made = quiet(key).post(
        f"{V1}/api-keys", {"name": "live", "scopes": ["users:read"], "kind": "live"}, format="json"
    )
    assert made.status_code in (400, 403), made.content
    assert not ApiKey.objects.filter(kind="live").exists()


def test_a_user_in_a_context_is_no_caller(ada: User, bob: User) -> None:
    make_user(username="eve")
    body = {
        "template_path": "test.hello", "channel": "in_app", "user_id": ada.pk,
        "context": {"amount": 1, "user": {"id": bob.pk, "is_staff": True}, "caller": "system"},
    }  # fmt: skip
    answer = person(ada).post(f"{V1}/notifications/send", body, format="json")
    assert answer.status_code in (201, 400), answer.content
    assert person(ada).get(f"{V1}/users").status_code == 403
