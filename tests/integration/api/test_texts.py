"""Texts at every door: NUL and half characters are a 400 that says where, and nothing is stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rest_framework.test import APIClient, APIRequestFactory, force_authenticate

from notifications.api.route import Route
from notifications.api.routes import ROUTES
from notifications.broadcast_views import BroadcastViewSet
from notifications.domain.callers import SYSTEM
from notifications.domain.errors import InvalidRequest
from notifications.models import Broadcast, Notification
from notifications.scheduler import NotificationScheduler
from notifications.services import NotificationService
from tests.integration.api.conftest import send_body
from tests.integration.broadcasts.factories import make_people
from tests.integration.factories import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.strict, pytest.mark.usefixtures("template")]
WRITING = [route for route in ROUTES if route.body is not None and not route.reads_body]
RAW = ["\\u0000", "\\ud83c", "\\uDF89", "\\ud83c\\ud83c"]
WRONG = ["\x00", "\ud83c", "\udf89"]


def call(client: APIClient, route: Route, body: str, **names: str) -> Any:
    path = route.path
    for name in ("id", "job_id", "provider"):
        path = path.replace(f"{{{name}}}", names.get(name, "1"))
    return client.generic(route.method, path, body, content_type="application/json")


@pytest.fixture
def root(staff) -> APIClient:
    """Staff who may do everything."""
    staff.is_superuser = True
    staff.save()
    client = APIClient()
    client.force_authenticate(staff)
    return client


@pytest.mark.parametrize("route", WRITING, ids=lambda route: route.name)
def test_every_door_says_where_a_text_cannot_be_stored(route, as_staff):
    for raw in RAW[:2]:
        for body in (f'{{"a": {{"b": ["x", "y{raw}"]}}}}', f'{{"a": {{"{raw}": 1}}}}'):
            answer = call(as_staff, route, body)
            if answer.status_code in (401, 403):  # another caller's door
                continue
            assert answer.status_code == 400, (body, answer.content)
            reported = json.loads(answer.content)
            if "errors" in reported:
                assert reported["code"] == ("invalid_text" if raw == RAW[0] else "invalid_json")
                assert (
                    "a.b[1]" in reported["detail"]
                    or "a: must" in reported["detail"]
                    or ("a must" in reported["detail"])
                )
            assert "half a character" in (reported.get("detail") or reported["error"])


@pytest.mark.parametrize("depth", [99, 101, 300, 700, 900, 980, 1_100])
def test_nesting_of_any_depth_is_taken_or_a_400(as_staff, user, depth):
    deep = '{"a":' * depth + "1" + "}" * depth
    whole = {
        "template_path": "test.hello",
        "user_id": user.pk,
        "channel": "in_app",
        "title": "T",
        "message": "M",
        "target_group": "composed",
        "name": "n",
        "path": "a.b",
        "key": "k",
        "scheduled_at": "2031-01-01T00:00:00Z",
    }
    for route in WRITING:
        fields = route.body.__struct_fields__
        recipients = [{"user_id": user.pk}] if "bulk" in route.path else [user.pk]
        base = {k: v for k, v in {**whole, "recipients": recipients}.items() if k in fields}
        for name in fields:
            body = json.dumps({**base, name: "deep"}).replace('"deep"', deep)
            answer = APIClient.generic(
                as_staff,
                route.method,
                route.path.replace("{id}", "1").replace("{provider}", "generic"),
                body,
                content_type="application/json",
            )
            busy = b"rendering_busy" in answer.content  # so many drafts of one author at once
            assert answer.status_code < 500 or busy, (route.name, name, answer.content)


@pytest.mark.parametrize(
    "route", [r for r in ROUTES if "{" in r.path], ids=lambda route: route.name
)
def test_an_address_with_nul_is_no_server_error(route, as_staff):
    for odd in ("%00", "a%00b", "%ED%A0%BC", "%F0%9F"):
        answer = call(as_staff, route, "{}", id=odd, job_id=odd, provider=odd)
        assert answer.status_code < 500, (odd, answer.content)


@pytest.mark.parametrize("route", [r for r in ROUTES if r.query], ids=lambda route: route.name)
def test_a_query_with_nul_is_a_400(route, as_staff):
    for query in route.query:
        path = route.path.replace("{id}", "1").replace("{provider}", "generic")
        answer = as_staff.generic(route.method, f"{path}?{query.name}=a%00b")
        assert answer.status_code in (400, 401, 403, 404), (query.name, answer.content)


@pytest.mark.parametrize("page", ["/outbox/?channel=%00", "/outbox/?before=%00", "/outbox/?q=%00"])
def test_pages_take_any_query(admin_client, page):
    assert admin_client.get(page).status_code < 500


def test_forms_take_any_text(client, admin_client):
    for path, form in (
        ("/account/login", {"login": "a\x00", "password": "\x00"}),
        ("/account/password/reset", {"email": "a\x00@example.org"}),
        ("/account/2fa/passkeys/login", {"credential": '{"a": "\x00"}'}),
        ("/preferences/x", {"timezone": "\x00", "shown": "\x00"}),
        ("/unsubscribe/x", {"page": "\x00"}),
    ):
        assert client.post(path, form).status_code < 500, path
    for name in ("user", "contactpoint"):
        found = admin_client.get(f"/admin/directory/{name}/?q=%00")
        assert found.status_code < 500


class TestInPython:
    """The documented Python names refuse the same."""

    @pytest.mark.parametrize("wrong", WRONG)
    @pytest.mark.parametrize(
        "change",
        [
            lambda wrong: {"context": {"amount": wrong}},
            lambda wrong: {"context": {"amount": 1, "a": [{wrong: 1}]}},
            lambda wrong: {"collapse_key": wrong},
            lambda wrong: {"template_path": f"a.{wrong}"},
            lambda wrong: {"options": {"reply_to": f"a{wrong}@example.com"}},
        ],
    )
    def test_a_send(self, wrong, change):
        body = send_body(make_user(), **change(wrong))
        with pytest.raises(InvalidRequest):
            NotificationService().send(body=body, caller=SYSTEM)
        assert not Notification.objects.exists()

    @pytest.mark.parametrize("wrong", WRONG)
    def test_a_bulk_rejects_whose_context_it_is(self, wrong):
        bad, good = make_user(), make_user()
        body = {
            "template_path": "test.hello",
            "channel": "in_app",
            "recipients": [
                {"user_id": bad.pk, "context": {"amount": wrong}},
                {"user_id": good.pk, "context": {"amount": 1}},
            ],
        }
        answer = NotificationService().send_bulk(body=body, caller=SYSTEM)
        assert (answer.accepted, [each.index for each in answer.rejected]) == (1, [0])

    @pytest.mark.parametrize("wrong", WRONG)
    def test_a_schedule(self, wrong):
        for title, message, data in (
            (wrong, "M", {}),
            ("T", f"a{wrong}", {}),
            ("T", "M", {"a": wrong}),
            ("T", "M", {wrong: "a"}),
        ):
            with pytest.raises(ValueError, match=r"half|halves"):
                NotificationScheduler().schedule_notification(
                    [make_user()], title, message, "2031-01-01T00:00:00Z", data=data
                )

    def test_pairs_are_joined(self):
        (key,) = NotificationScheduler().schedule_notification(
            [make_user()], "\ud83c\udf89", "M", "2031-01-01T00:00:00Z"
        )
        assert Notification.objects.get(pk=key).title == "\U0001f389"

    def test_a_projects_own_view_of_broadcasts(self, staff):
        make_people(1)
        for raw in RAW:
            body = f'{{"target_group": "all_students", "message": "a{raw}"}}'
            request = APIRequestFactory().post("/x/", body, content_type="application/json")
            force_authenticate(request, staff)
            answer = BroadcastViewSet.as_view({"post": "create"})(request)
            assert answer.status_code == 400, answer.data
        assert not Broadcast.objects.exists()


@pytest.mark.parametrize("raw", RAW)
def test_an_import_rejects_the_line(raw, as_staff):
    lines = [
        f'{{"username": "a", "first_name": "x{raw}"}}',
        f'{{"username": "b", "attributes": {{"a": "{raw}"}}}}',
        '{"username": "c", "attributes": {"a": "\\\\u0000 is how JSON writes it"}}',
    ]
    answer = as_staff.generic(
        "POST", "/api/v1/users/bulk", "\n".join(lines), content_type="application/x-ndjson"
    )
    assert answer.status_code in (200, 201, 207), answer.content
    from directory.models import User

    assert {user.username for user in User.objects.filter(username__in="abc")} == {"c"}
