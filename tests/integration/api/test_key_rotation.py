"""API keys: a rotation with an overlap, networks, and what a test key changes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db.models import Model
from rest_framework.test import APIClient

from directory.models import User
from notifications.api.reach import is_for_test_keys
from notifications.api.route import Auth
from notifications.api.routes import ROUTES
from notifications.features.access import callers
from notifications.infra import clock
from notifications.models import ApiKey, NotificationMessage
from tests.conftest import FrozenClock
from tests.integration.api.conftest import KeyClient, bearer, send_body
from tests.integration.api.test_scopes import call, plain
from tests.integration.audit.test_recorded_changes import last
from tests.integration.factories import make_messages, make_user
from vault.values import StoredValue

pytestmark = pytest.mark.django_db
KEYS = "/api/v1/api-keys"
PROBE = "/api/v1/kill-switch"
INSIDE, OUTSIDE = "192.0.2.7", "203.0.113.7"


def make_key(*scopes: str, **values: Any) -> tuple[ApiKey, APIClient]:
    key, text = ApiKey.make(name="k", scopes=[*scopes] or ["operations"], **values)
    return key, bearer(text)


def code_of(client: APIClient, **more: Any) -> str:
    """The code of a refusal; empty where the key is accepted."""
    response = client.get(PROBE, **more)
    return "" if response.status_code == 200 else str(response.data["code"])


class TestOverlap:
    def rotate(self, client: APIClient, key: ApiKey, seconds: int = 0) -> Any:
        return client.post(f"{KEYS}/{key.pk}/rotate?overlap_seconds={seconds}")

    def test_the_old_text_is_void_at_once_without_one(self, as_staff: APIClient) -> None:
        key, old = make_key()
        assert code_of(old) == ""
        new = bearer(as_staff.post(f"{KEYS}/{key.pk}/rotate").data["key"])
        assert (code_of(old), code_of(new)) == ("invalid_api_key", "")

    def test_both_texts_are_valid_until_it_ends(
        self, as_staff: APIClient, frozen: FrozenClock
    ) -> None:
        key, old = make_key()
        made = self.rotate(as_staff, key, 3600)
        new = bearer(made.data["key"])
        assert made.data["previous_until"] == (
            clock.now() + timedelta(hours=1)
        ).isoformat().replace("+00:00", "Z")
        assert (code_of(old), code_of(new)) == ("", "")
        frozen.forward(3599)
        assert code_of(old) == ""
        frozen.forward(2)
        callers.forget_callers()  # or a second later, as another test shows
        assert (code_of(old), code_of(new)) == ("revoked_api_key", "")

    def test_only_the_text_before_is_valid(self, as_staff: APIClient) -> None:
        key, first = make_key()
        second = bearer(self.rotate(as_staff, key, 60).data["key"])
        third = bearer(self.rotate(as_staff, key, 60).data["key"])
        assert [code_of(each) for each in (first, second, third)] == ["invalid_api_key", "", ""]
        last_one = bearer(self.rotate(as_staff, key).data["key"])
        found = [code_of(each) for each in (second, third, last_one)]
        assert found == ["invalid_api_key", "invalid_api_key", ""]

    @pytest.mark.parametrize("method", ["post", "delete"])
    def test_revoking_ends_both(self, method: str, as_staff: APIClient) -> None:
        key, old = make_key()
        new = bearer(self.rotate(as_staff, key, 3600).data["key"])
        url = f"{KEYS}/{key.pk}/revoke" if method == "post" else f"{KEYS}/{key.pk}"
        for _ in range(2):
            assert getattr(as_staff, method)(url).status_code == 204
        assert (code_of(old), code_of(new)) == ("revoked_api_key", "revoked_api_key")
        assert last("api-key.revoked")["row"].target == f"key:{key.pk}"

    @pytest.mark.parametrize("seconds", ["-1", "604801", "x"])
    def test_an_overlap_has_a_range(self, seconds: str, as_staff: APIClient) -> None:
        key, _ = make_key()
        answer = as_staff.post(f"{KEYS}/{key.pk}/rotate?overlap_seconds={seconds}")
        assert answer.status_code == 400
        assert self.rotate(as_staff, key, 604_800).status_code == 200

    def test_each_text_has_its_own_last_use(self, as_staff: APIClient, frozen: FrozenClock) -> None:
        key, old = make_key()
        code_of(old)
        first = clock.now()
        new = bearer(self.rotate(as_staff, key, 86_400).data["key"])
        key.refresh_from_db()
        assert (key.last_used_at, key.previous_used_at) == (None, first)
        frozen.forward(120)
        code_of(old)
        frozen.forward(120)
        code_of(new)
        key.refresh_from_db()
        assert key.previous_used_at == first + timedelta(minutes=2)
        assert key.last_used_at == first + timedelta(minutes=4)

    def test_the_rotation_is_recorded_without_a_hash(self, as_staff: APIClient) -> None:
        key, _ = make_key()
        hashed = key.key_hash
        self.rotate(as_staff, key, 60)
        entry = last("api-key.rotated")
        assert entry["after"]["previous_until"]
        assert hashed not in str(entry)

    def test_its_end_holds_within_a_second_in_each_process(
        self, as_staff: APIClient, frozen: FrozenClock
    ) -> None:
        from notifications.features.access.authentication import Unauthenticated
        from notifications.infra import ports

        key, text = ApiKey.make(name="k", scopes=[])
        self.rotate(as_staff, key, 60)
        cache, seconds = callers.CallerCache(), [100.0]
        with ports.installed(monotonic=lambda: seconds[0]):
            cache.find("bearer", text)
            frozen.forward(61)
            seconds[0] += callers.TRUSTED_S + 0.01
            with pytest.raises(Unauthenticated):
                cache.find("bearer", text)


class TestNetworks:
    def test_a_key_is_used_from_its_networks_alone(self, way_in: None, user: User, template: Any):
        _, client = make_key("notifications:send", addresses=["192.0.2.0/24", "2001:db8::/32"])
        body = send_body(user)
        for address in (INSIDE, "2001:db8::5"):
            sent = client.post("/api/v1/notifications/send", body, REMOTE_ADDR=address)
            assert sent.status_code == 201, sent.data
        for address in (OUTSIDE, "2001:db9::5", "127.0.0.1"):
            sent = client.post("/api/v1/notifications/send", body, REMOTE_ADDR=address)
            assert (sent.status_code, sent.data["code"]) == (401, "address_not_allowed")
        assert NotificationMessage.objects.values("notification").distinct().count() == 2

    def test_behind_a_proxy_the_client_counts(
        self, way_in: None, override_environment: Any
    ) -> None:
        override_environment(trusted_proxies=("10.0.0.1",))
        _, client = make_key("preferences:read", addresses=["192.0.2.0/24"])
        for remote, forwarded, status in (
            ("10.0.0.1", INSIDE, 400),
            ("10.0.0.1", OUTSIDE, 401),
            ("10.0.0.1", f"{INSIDE}, {OUTSIDE}", 401),
            (OUTSIDE, INSIDE, 401),
            (INSIDE, OUTSIDE, 400),
        ):
            answer = client.get(
                "/api/v1/preferences", REMOTE_ADDR=remote, HTTP_X_FORWARDED_FOR=forwarded
            )
            assert answer.status_code == status, (remote, forwarded, answer.data)

    def test_a_health_report_does_not_trust_the_key_from_elsewhere(self) -> None:
        from notifications.models import KillSwitch

        KillSwitch.objects.create(
            scope="channel", value="sms", reason="Bob misused it", actor="x", created_at=clock.now()
        )
        _, client = make_key(addresses=["192.0.2.0/24"])
        for address, shown in ((INSIDE, True), (OUTSIDE, False)):
            text = client.get("/health", REMOTE_ADDR=address).content.decode()
            assert ("Bob misused it" in text) is shown

    def test_the_list_is_set_shown_and_recorded(self, as_staff: APIClient) -> None:
        made = as_staff.post(
            KEYS, {"name": "k", "scopes": [], "addresses": ["192.0.2.7", "192.0.2.7/32"]}
        )
        assert (made.status_code, made.data["addresses"]) == (201, ["192.0.2.7/32"])
        url = f"{KEYS}/{made.data['id']}/addresses"
        done = as_staff.put(url, {"addresses": ["2001:DB8::/32", "::ffff:192.0.2.0/120"]})
        assert (done.status_code, done.data["addresses"]) == (
            200,
            ["2001:db8::/32", "192.0.2.0/24"],
        )
        entry = last("api-key.addresses")
        assert entry["before"] == {"addresses": ["192.0.2.7/32"]}
        assert entry["after"] == {"addresses": ["2001:db8::/32", "192.0.2.0/24"]}
        assert as_staff.put(url, {"addresses": []}).data["addresses"] == []
        assert as_staff.put(f"{KEYS}/999999/addresses", {"addresses": []}).status_code == 404

    @pytest.mark.parametrize(
        ("addresses", "code"),
        [
            (["192.0.2.7/24"], "invalid_network"),
            (["localhost"], "invalid_network"),
            (["192.0.2.0/33"], "invalid_network"),
            ([""], "invalid_network"),
            (["fe80::1%eth0"], "invalid_network"),
            (["192.0.2.1"] * 51, "wrong_type"),
            ([3221225985], "wrong_type"),
        ],
    )
    def test_a_wrong_list_is_refused(
        self, addresses: list[Any], code: str, as_staff: APIClient
    ) -> None:
        body = {"name": "k", "scopes": [], "addresses": addresses}
        answer = as_staff.post(KEYS, body)
        assert (answer.status_code, answer.data["code"]) == (400, code), answer.data

    def test_a_removed_network_is_refused_at_once(self, as_staff: APIClient) -> None:
        key, client = make_key()
        assert code_of(client, REMOTE_ADDR=OUTSIDE) == ""
        as_staff.put(f"{KEYS}/{key.pk}/addresses", {"addresses": ["192.0.2.0/24"]})
        callers.CACHE.clear()  # as the commit of the request does
        assert code_of(client, REMOTE_ADDR=OUTSIDE) == "address_not_allowed"

    def test_a_limited_key_makes_no_key_that_is_less_limited(self) -> None:
        _, client = make_key("api-keys:write", addresses=["192.0.2.0/24"])
        free, _ = make_key("api-keys:write")
        limited, _ = make_key("api-keys:write", addresses=["192.0.2.9/32"])
        body = {"name": "k", "scopes": ["api-keys:write"]}
        at = {"REMOTE_ADDR": INSIDE}
        refused = [
            client.post(KEYS, body, **at),
            client.post(KEYS, {**body, "addresses": ["192.0.2.0/23"]}, **at),
            client.post(KEYS, {**body, "addresses": ["192.0.2.1", "2001:db8::1"]}, **at),
            client.post(f"{KEYS}/{free.pk}/rotate", **at),
            client.put(f"{KEYS}/{limited.pk}/addresses", {"addresses": []}, **at),
            client.put(f"{KEYS}/{free.pk}/addresses", {"addresses": ["192.0.2.1"]}, **at),
        ]
        assert [(each.status_code, each.data["code"]) for each in refused] == [
            (403, "wider_than_own")
        ] * 6
        done = [
            client.post(KEYS, {**body, "addresses": ["192.0.2.128/25"]}, **at),
            client.post(f"{KEYS}/{limited.pk}/rotate", **at),
        ]
        assert [each.status_code for each in done] == [201, 200]

    def test_a_limited_key_makes_no_members_of_staff(self, user: User) -> None:
        """They could come from everywhere."""
        analyst = make_user(staff_role="analyst")
        _, client = make_key("*", addresses=["192.0.2.0/24"])
        at = {"REMOTE_ADDR": INSIDE}
        invitation = {"email": "eve@example.com", "role": "analyst"}
        for answer in (
            client.put(f"/api/v1/staff/{user.pk}", {"staff_role": "analyst"}, **at),
            client.post("/api/v1/staff/invitations", invitation, **at),
            client.post("/api/v1/staff/invitations", {**invitation, "member_id": analyst.pk}, **at),
        ):
            assert (answer.status_code, answer.data["code"]) == (403, "wider_than_own")
        ended = client.put(f"/api/v1/staff/{analyst.pk}", {"staff_role": None}, **at)
        assert ended.status_code == 200


NOT_LIVE = frozenset({"notifications.IdempotencyKey", "notifications.ThrottleCount"})
"""Tables of the calls themselves."""


def rows() -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables, without those of tests, of test keys and of the calls themselves."""
    found = {}
    for model in apps.get_models():
        label = model._meta.label
        if label in NOT_LIVE or not model._meta.managed:
            continue
        found[label] = rows_of(model)
    return found


def rows_of(model: type[Model]) -> list[dict[str, Any]]:
    held = model._default_manager.order_by("pk")
    names = {field.name for field in model._meta.fields}
    if "is_test" in names:
        held = held.filter(is_test=False)
    if model is ApiKey:
        held = held.filter(kind="live")
    columns = [field.attname for field in model._meta.concrete_fields]
    return [
        {name: plain_value(row.__dict__.get(name)) for name in columns if name != "last_used_at"}
        for row in held
    ]


def plain_value(value: Any) -> Any:
    """What a column has; a sealed one as it is stored."""
    return value.text if isinstance(value, StoredValue) else value


class TestTestKeys:
    @pytest.mark.once
    def test_no_route_changes_what_is_live(self, user: User, template: Any, staff: User) -> None:
        """Every route, with ids of live rows, and bodies that a live key would be answered."""
        (message,) = make_messages(1, user=user)
        live, _ = make_key()
        client = plain(ApiKey.make(name="t", scopes=["*"], kind="test")[1])
        names = {
            "users": str(user.pk),
            "templates": str(template.pk),
            "api-keys": str(live.pk),
            "staff": str(staff.pk),
            "notifications": str(message.notification.uuid),
            "categories": "course",
        }
        before = rows()
        for route in ROUTES:
            if route.auth is Auth.PUBLIC:
                continue
            noun = route.path.removeprefix("/api/v1/").removeprefix("privacy/").split("/")[0]
            response = call(client, route, id=names.get(noun, "1"), job_id="1")
            expected = is_for_test_keys(route.method, route.name)
            code = "person_required" if route.for_persons else "test_key"
            refused = response.status_code == 403 and response.json()["code"] == code
            assert expected or refused, (route.name, response.status_code)
        after = rows()
        audited = {"notifications.AuditQueued", "notifications.OperatorAction"}
        assert {label for label in after if after[label] != before[label]} <= audited

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("put", "/api/v1/users/ext:p-1", {"first_name": "Ada"}),
            ("post", "/api/v1/templates", {"path": "a.b"}),
            ("post", "/api/v1/kill-switch", {"scope": "all", "reason": "x"}),
            ("put", "/api/v1/preferences", {"user_id": 1}),
            ("post", "/api/v1/webhooks", {"url": "https://example.com/h"}),
            ("put", "/api/v1/providers/twilio", {"settings": {}}),
            ("post", "/api/v1/categories", {"key": "x"}),
            ("post", "/api/v1/staff-groups", {"name": "x", "categories": []}),
            ("get", "/api/v1/preferences/link?user_id=1", None),
        ],
    )
    def test_what_is_live_is_refused(
        self, method: str, path: str, body: Any, with_key: KeyClient
    ) -> None:
        answer = getattr(with_key("*", kind="test"), method)(path, body)
        assert (answer.status_code, answer.data["code"]) == (403, "test_key")
