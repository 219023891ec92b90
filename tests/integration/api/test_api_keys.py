"""API keys by HTTP: issued and shown once, listed, rotated, revoked, and never worth more."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from notifications.models import SCOPES, ApiKey, OperatorAction
from tests.integration.api.conftest import KeyClient, bearer
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
KEYS = "/api/v1/api-keys/"


def issue(client: APIClient, **changes: Any) -> Any:
    return client.post(KEYS, {"name": "shop", "scopes": ["notifications:send"], **changes})


def act(client: APIClient, verb: str, key: ApiKey) -> Any:
    if verb == "revoke":
        return client.delete(f"{KEYS}{key.pk}")
    return client.post(f"{KEYS}{key.pk}/rotate")


def test_a_key_is_shown_once_and_works(as_staff: APIClient) -> None:
    made = issue(as_staff, scopes=["operations"])

    assert made.status_code == 201
    assert made.data["key"].startswith(f"ck_live_{made.data['prefix']}_")
    assert bearer(made.data["key"]).get("/api/v1/kill-switch").status_code == 200
    (listed,) = as_staff.get(KEYS).data["results"]
    assert "key" not in listed
    assert listed["scopes"] == ["operations"]
    assert OperatorAction.objects.get().action == "api-key.issued"


def test_a_test_key_says_so_in_its_text(as_staff: APIClient) -> None:
    assert issue(as_staff, kind="test").data["key"].startswith("ck_test_")


@pytest.mark.parametrize(
    ("changes", "path", "code"),
    [
        ({"scopes": ["fly"]}, "scopes", "unknown_scope"),
        ({"scopes": "operations"}, "scopes", "wrong_type"),
        ({"scopes": [1]}, "scopes", "wrong_type"),
        ({"name": " "}, "name", "invalid"),
        ({"name": "x" * 101}, "name", "wrong_type"),
        ({"name": "a\x00"}, "name", "invalid_text"),
        ({"kind": "gold"}, "kind", "invalid_kind"),
        ({"owner": 1}, "owner", "unknown_field"),
    ],
)
def test_an_invalid_key_request_gets_every_error(
    as_staff: APIClient, changes: dict[str, Any], path: str, code: str
) -> None:
    response = issue(as_staff, **changes)

    assert response.status_code == 400
    assert (path, code) in {(e["path"], e["code"]) for e in response.data["errors"]}
    assert not ApiKey.objects.exists()


def test_a_key_cannot_give_scopes_that_it_lacks(with_key: KeyClient) -> None:
    client = with_key("api-keys:write", "users:read")

    assert issue(client, scopes=["users:read"]).status_code == 201
    for scopes in (["operations"], ["*"]):
        refused = issue(client, scopes=scopes)
        assert (refused.status_code, refused.data["code"]) == (403, "missing_scope")
        assert refused.data["scope"] == scopes[0]


def test_a_key_of_all_scopes_may_make_another(with_key: KeyClient) -> None:
    assert issue(with_key("*"), scopes=["*"]).status_code == 201


def test_a_test_key_makes_test_keys_only(with_key: KeyClient) -> None:
    client = with_key("*", kind="test")

    assert issue(client, kind="test").status_code == 201
    assert issue(client, kind="live").data["code"] == "test_key"


def test_rotating_ends_the_old_text_and_keeps_the_rest(as_staff: APIClient) -> None:
    made = issue(as_staff, scopes=["operations"]).data

    rotated = as_staff.post(f"{KEYS}{made['id']}/rotate/")

    assert rotated.status_code == 200
    assert (rotated.data["id"], rotated.data["scopes"]) == (made["id"], ["operations"])
    assert bearer(made["key"]).get("/api/v1/kill-switch").status_code == 401
    assert bearer(rotated.data["key"]).get("/api/v1/kill-switch").status_code == 200


def test_a_key_cannot_rotate_a_key_with_more_scopes(with_key: KeyClient) -> None:
    strong = ApiKey.make(name="strong", scopes=["operations"])[0]

    refused = with_key("api-keys:write").post(f"{KEYS}{strong.pk}/rotate")

    assert (refused.status_code, refused.data["scope"]) == (403, "operations")


@pytest.mark.parametrize(
    ("held", "scopes", "kind", "code"),
    [
        ((), ["operations"], "live", "missing_scope"),
        (("operations",), ["*"], "live", "missing_scope"),
        (("operations",), ["operations", "providers:write"], "live", "missing_scope"),
        (("operations",), ["operations"], "live", ""),
        (("*",), ["*"], "live", ""),
    ],
)
@pytest.mark.parametrize("verb", ["rotate", "revoke"])
def test_a_key_cannot_manage_a_key_with_more_scopes(
    with_key: KeyClient, held: tuple[str, ...], scopes: list[str], kind: str, code: str, verb: str
) -> None:
    strong, text = ApiKey.make(name="strong", scopes=scopes, kind=kind)

    answer = act(with_key("api-keys:write", *held), verb, strong)

    if code:
        assert (answer.status_code, answer.data["code"]) == (403, code)
        assert bearer(text).get("/api/v1/preferences?user_id=1").status_code != 401
    else:
        assert answer.status_code in (200, 204)


@pytest.mark.parametrize("verb", ["rotate", "revoke"])
def test_a_test_key_cannot_manage_a_live_key(with_key: KeyClient, verb: str) -> None:
    live = ApiKey.make(name="live", scopes=[])[0]

    answer = act(with_key("*", kind="test"), verb, live)

    assert (answer.status_code, answer.data["code"]) == (403, "test_key")


@pytest.mark.parametrize("verb", ["rotate", "revoke"])
@pytest.mark.parametrize("mark", ["is_staff", "is_superuser"])
def test_only_its_owner_and_staff_manage_a_key_of_staff(
    with_key: KeyClient, as_staff: APIClient, verb: str, mark: str
) -> None:
    owner = make_user(**{mark: True})
    theirs = [ApiKey.make(name="theirs", scopes=[], owner_id=owner.pk) for _ in range(3)]
    other = ApiKey.make(name="o", scopes=["api-keys:write"], owner_id=make_user(is_staff=True).pk)

    for client in (with_key("*"), bearer(other[1])):
        answer = act(client, verb, theirs[0][0])
        assert (answer.status_code, answer.data["code"]) == (403, "staff_key")
    ApiKey.objects.filter(pk=theirs[2][0].pk).update(scopes=["api-keys:write"])
    assert act(bearer(theirs[2][1]), verb, theirs[0][0]).status_code in (200, 204)
    assert act(as_staff, verb, theirs[1][0]).status_code in (200, 204)


def test_an_admin_gives_every_scope_and_a_key_what_it_has(
    as_staff: APIClient, with_key: KeyClient
) -> None:
    assert issue(as_staff, scopes=["*"]).status_code == 201
    assert issue(with_key("*"), scopes=["*"]).status_code == 201
    refused = issue(with_key(*SCOPES), scopes=["*"])
    assert (refused.status_code, refused.data["code"]) == (403, "missing_scope")


def test_what_a_key_makes_belongs_to_its_own_owner() -> None:
    owner = make_user(is_staff=True)
    _, text = ApiKey.make(name="k", scopes=["api-keys:write"], owner_id=owner.pk)

    assert issue(bearer(text), scopes=[]).data["owner_id"] == owner.pk


def test_revoking_ends_a_key_for_good(as_staff: APIClient) -> None:
    made = issue(as_staff, scopes=["operations"]).data

    assert as_staff.delete(f"{KEYS}{made['id']}/").status_code == 204
    assert as_staff.delete(f"{KEYS}{made['id']}").status_code == 204
    assert bearer(made["key"]).get("/api/v1/kill-switch").data["code"] == "revoked_api_key"
    rotated = as_staff.post(f"{KEYS}{made['id']}/rotate")
    assert (rotated.status_code, rotated.data["code"]) == (409, "revoked")
    assert [action.action for action in OperatorAction.objects.order_by("pk")] == [
        "api-key.issued",
        "api-key.revoked",
    ]


@pytest.mark.parametrize("name", ["999999", "abc", "1f0c5f5e-0000-4000-8000-000000000000"])
def test_what_is_no_key_is_404(as_staff: APIClient, name: str) -> None:
    for response in (as_staff.delete(f"{KEYS}{name}"), as_staff.post(f"{KEYS}{name}/rotate")):
        assert (response.status_code, response.data["code"]) == (404, "unknown_api_key")


def test_the_list_is_paged_both_ways(as_staff: APIClient) -> None:
    names = [ApiKey.make(name=f"key {number}", scopes=[])[0].name for number in range(5)]

    seen: list[str] = []
    address, previous = f"{KEYS}?limit=2", ""
    while address:
        page = as_staff.get(address).data
        seen += [row["name"] for row in page["results"]]
        address, previous = page["next"], page["previous"]

    assert seen == names
    assert [row["name"] for row in as_staff.get(previous).data["results"]] == names[2:4]


@pytest.mark.parametrize("query", ["cursor=nonsense", "limit=0", "limit=1000", "limit=x"])
def test_an_invalid_cursor_gets_an_error(as_staff: APIClient, query: str) -> None:
    assert as_staff.get(f"{KEYS}?{query}").status_code == 400
