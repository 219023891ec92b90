"""Mailing lists by HTTP: who may do what, errors, pages and the CSV file."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from directory.models import ListMembership, SubscriberList, User
from notifications.domain.callers import SYSTEM
from notifications.features.privacy.export.sections import read_pages
from notifications.features.privacy.service import PrivacyService
from notifications.features.privacy.steps import erase_due
from notifications.models import Broadcast, ConsentRecord, OperatorAction
from tests.integration.api.conftest import (
    KeyClient,
    api,
    as_user,
    user,
    with_key,
)
from tests.integration.factories import make_user
from tests.integration.lists.factories import WORDING, make_list, put_on, send_to, status_of

__all__ = ["api", "as_user", "user", "with_key"]
pytestmark = pytest.mark.django_db
LISTS = "/api/v1/lists"
BODY = {"name": "School news", "slug": "school-news", "category": "announcement"}


@pytest.fixture
def writer(with_key: KeyClient) -> APIClient:
    return with_key("users:read", "lists:write")


@pytest.fixture
def reader(with_key: KeyClient) -> APIClient:
    return with_key("users:read")


@pytest.fixture
def found(frozen: Any) -> SubscriberList:
    return make_list(is_public=True)


def codes(response: Any) -> list[tuple[str, str]]:
    assert response.status_code == 400, response.data
    return [(each["path"], each["code"]) for each in response.data["errors"]]


class TestLists:
    def test_a_list_is_made_shown_changed_and_deleted(self, writer):
        made = writer.post(LISTS, {**BODY, "is_public": True, "archive": True})
        assert made.status_code == 201
        assert made.data["double_opt_in"] is True
        assert made.data["counts"] == {"subscribed": 0, "pending": 0, "unsubscribed": 0}
        one = f"{LISTS}/{made.data['id']}"

        assert codes(writer.patch(one, {"name": "www.example.com"})) == [("name", "invalid")]
        changed = writer.patch(one, {"name": "News", "archive": False})
        assert changed.status_code == 200
        assert (changed.data["name"], changed.data["archive"]) == ("News", False)
        assert (changed.data["slug"], changed.data["is_public"]) == ("school-news", True)
        assert writer.get(f"{LISTS}/{made.data['key']}").data["name"] == "News"
        assert [each["name"] for each in writer.get(LISTS).data["results"]] == ["News"]

        assert writer.delete(one).status_code == 204
        assert writer.get(one).status_code == 404
        actions = OperatorAction.objects.order_by("pk").values_list("action", flat=True)
        assert list(actions) == ["list.created", "list.changed", "list.deleted"]

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"slug": "Not A Slug"}, [("slug", "wrong_type")]),
            ({"slug": ""}, [("slug", "wrong_type")]),
            ({"slug": "a" * 61}, [("slug", "wrong_type")]),
            ({"name": " "}, [("name", "invalid")]),
            ({"name": "a\nb"}, [("name", "invalid")]),
            ({"name": "Win at HTTPS://example.com"}, [("name", "invalid")]),
            ({"name": "Win at WWW.example.com"}, [("name", "invalid")]),
            ({"category": "nothing"}, [("category", "unknown_category")]),
            ({"description": "x" * 1001}, [("description", "wrong_type")]),
            ({"members": 1}, [("members", "unknown_field")]),
        ],
    )
    def test_faults_are_named(self, writer, changes, expected):
        assert codes(writer.post(LISTS, {**BODY, **changes})) == expected

    def test_names_and_slugs_are_unique(self, writer, found):
        for each in ({"name": found.name}, {"slug": found.slug}):
            response = writer.post(LISTS, {**BODY, **each})
            assert (response.status_code, response.data["code"]) == (409, "name_taken")

    def test_a_list_with_an_unfinished_broadcast_stays(self, writer, found):
        put_on(found, make_user())
        made = send_to(found)
        response = writer.delete(f"{LISTS}/{found.pk}")
        assert (response.status_code, response.data["code"]) == (409, "list_in_use")

        Broadcast.objects.filter(pk=made.pk).update(status="completed")
        assert writer.delete(f"{LISTS}/{found.pk}").status_code == 204

    def test_a_draft_names_its_list(self, writer, found, with_key):
        put_on(found, make_user())
        body = {
            "target_group": "list",
            "target_filter": {"list_id": found.pk},
            "message": "News",
            "channels": ["email"],
        }
        made = with_key("broadcasts").post("/api/admin/broadcasts/", body)

        assert made.status_code == 201
        assert made.data["data"]["target_group_display"] == "Mailing list"
        draft = Broadcast.objects.get()
        assert (draft.list_id, draft.in_archive) == (found.pk, False)
        SubscriberList.objects.update(has_archive=True, is_public=True)
        changed = with_key("broadcasts").patch(f"/api/admin/broadcasts/{draft.pk}/", body)
        assert changed.status_code == 200, changed.content
        draft.refresh_from_db()
        assert draft.in_archive is True
        assert writer.delete(f"{LISTS}/{found.pk}").status_code == 409

    def test_counts_are_by_status(self, reader, found):
        put_on(found, make_user(), make_user())
        found.double_opt_in = True
        found.save()
        put_on(found, make_user())

        counts = reader.get(f"{LISTS}/{found.pk}").data["counts"]
        assert counts == {"subscribed": 2, "pending": 1, "unsubscribed": 0}


class TestMembers:
    def test_a_service_puts_people_on_and_takes_them_off(self, writer, found):
        user = make_user(external_id="p-9")
        one = f"{LISTS}/{found.uuid}"
        body = {"external_id": "p-9", "wording": WORDING, "source": "form"}

        joined = writer.post(f"{one}/subscribe", body)
        assert (joined.status_code, joined.data["status"]) == (200, "subscribed")
        assert joined.data["consent_id"] == ConsentRecord.objects.get().pk
        assert joined.data["source"] == "form"
        left = writer.post(f"{one}/unsubscribe", {"user_id": user.pk})
        assert (left.status_code, left.data["status"]) == (200, "unsubscribed")
        again = writer.post(f"{one}/unsubscribe", {"user_id": user.pk})
        assert again.data == left.data

        refused = writer.post(f"{one}/subscribe", {"user_id": user.pk})
        assert (refused.status_code, refused.data["code"]) == (409, "opted_out")
        back = writer.post(f"{one}/subscribe", body)
        assert back.data["status"] == "subscribed"

    def test_errors_of_joining(self, writer, found):
        marketing = make_list(category="marketing")
        user, gone = make_user(), make_user(is_active=False)
        careful = make_list(double_opt_in=True)
        unreachable = make_user(email="")

        def post(where: SubscriberList, who: User) -> Any:
            return writer.post(f"{LISTS}/{where.pk}/subscribe", {"user_id": who.pk})

        assert codes(post(marketing, user)) == [("wording", "required")]
        assert post(found, gone).data["code"] == "inactive_user"
        assert post(careful, unreachable).data["code"] == "no_address"
        statuses = [post(careful, user).status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        unknown = writer.post(f"{LISTS}/{found.pk}/subscribe", {"user_id": 10**12})
        assert unknown.data["code"] == "unknown_user"
        assert writer.post(f"{LISTS}/{10**9}/subscribe", {"user_id": user.pk}).status_code == 404

    def test_consents_for_other_mails_need_their_own_scope(self, writer, with_key, as_user, user):
        one = f"{LISTS}/{make_list(category='marketing', is_public=True).pk}/subscribe"
        body = {"user_id": user.pk, "wording": WORDING}

        refused = writer.post(one, body)
        assert (refused.status_code, refused.data["scope"]) == (403, "preferences:write")
        assert not ConsentRecord.objects.exists()
        assert codes(as_user.post(one, {"wording": " "})) == [("wording", "required")]
        assert as_user.post(one, {"wording": WORDING}).data["status"] == "subscribed"
        both = with_key("lists:write", "preferences:write")
        body["user_id"] = make_user().pk
        assert both.post(one, body).data["status"] == "subscribed"

    def test_who_left_unasked_is_never_added(self, writer, reader, found):
        user = make_user()
        writer.post(f"{LISTS}/{found.pk}/unsubscribe", {"user_id": user.pk})

        assert status_of(found, user) == "unsubscribed"

    def test_pages_follow_the_cursor(self, reader, found):
        people = [make_user() for _ in range(5)]
        put_on(found, *people)
        members = f"{LISTS}/{found.pk}/members"

        first = reader.get(f"{members}?limit=2&status=subscribed")
        second = reader.get(first.data["next"])
        seen = [each["user_id"] for each in (*first.data["results"], *second.data["results"])]
        assert seen == [user.pk for user in people[:4]]
        assert reader.get(f"{members}?status=pending").data["results"] == []
        assert codes(reader.get(f"{members}?status=gone")) == [("status", "invalid")]

    def test_the_csv_file_has_everyone_and_runs_no_formula(self, reader, found, monkeypatch):
        monkeypatch.setattr("notifications.features.lists.members.PAGE", 2)
        people = [make_user(email=f"a{n}@example.com", external_id=f"={n}") for n in range(5)]
        put_on(found, *people)

        response = reader.get(f"{LISTS}/{found.pk}/members.csv")
        lines = b"".join(response.streaming_content).decode().splitlines()

        assert lines[0].startswith("user_id,uuid,external_id,email,status,source,created_at")
        assert len(lines) == 6
        assert f"{people[0].pk},{people[0].uuid},'=0,a0@example.com,subscribed,api" in lines[1]

    def test_an_import_is_idempotent_by_its_key(self, writer, found):
        body = {"rows": [{"user_id": make_user().pk}], "wording": WORDING}
        first = writer.post(f"{LISTS}/{found.pk}/import", body, HTTP_IDEMPOTENCY_KEY="k")
        again = writer.post(f"{LISTS}/{found.pk}/import", body, HTTP_IDEMPOTENCY_KEY="k")

        assert first.data == again.data
        assert first.data["subscribed"] == 1

    def test_an_import_is_bounded(self, writer, found):
        rows = [{"user_id": 1}] * 10_001

        wrong = writer.post(f"{LISTS}/{found.pk}/import", {"rows": rows, "wording": "x"})
        assert codes(wrong) == [("rows", "wrong_type")]
        none = writer.post(f"{LISTS}/{found.pk}/import", {"rows": [], "wording": "x"})
        assert codes(none) == [("rows", "wrong_type")]


class TestPersons:
    def test_a_person_joins_public_lists_and_leaves(self, found, as_user, user):
        private = make_list()
        joined = as_user.post(f"{LISTS}/{found.pk}/subscribe", {"wording": WORDING})
        assert joined.data["status"] == "subscribed"
        for action in ("subscribe", "unsubscribe"):
            refused = as_user.post(f"{LISTS}/{private.pk}/{action}", {"source": "app"})
            assert (refused.status_code, refused.data["code"]) == (404, "unknown_list")
        put_on(private, user)
        assert as_user.post(f"{LISTS}/{private.pk}/unsubscribe", {}).status_code == 200
        assert as_user.post(f"{LISTS}/{found.pk}/unsubscribe", {}).status_code == 200
        back = as_user.post(f"{LISTS}/{found.pk}/subscribe", {})
        assert back.data["status"] == "subscribed", "a person may always come back"

    def test_a_person_acts_for_no_one_else(self, found, as_user):
        other = {"user_id": make_user().pk}
        assert as_user.post(f"{LISTS}/{found.pk}/subscribe", other).status_code == 403
        assert as_user.post(f"{LISTS}/{found.pk}/unsubscribe", other).status_code == 403
        for path in (LISTS, f"{LISTS}/{found.pk}", f"{LISTS}/{found.pk}/members"):
            assert as_user.get(path).status_code == 403
        assert not ListMembership.objects.exists()


class TestPrivacy:
    def test_an_export_has_the_lists(self, found):
        user = make_user()
        put_on(found, user)
        pages = [items for name, items in read_pages(user.pk, own=True) if name == "lists"]

        assert [each["list"] for each in pages[0]] == [found.name]
        assert pages[0][0]["state"] == "subscribed"

    def test_an_erasure_takes_memberships_and_keeps_evidence(self, found, frozen):
        user = make_user()
        put_on(found, user, ip="203.0.113.9")
        PrivacyService().erase_user(identifier=user.pk, reason="asked", caller=SYSTEM)
        assert erase_due(now=frozen.now) == 1

        assert not ListMembership.objects.exists()
        entry = ConsentRecord.objects.get(purpose=found.purpose)
        assert (entry.user_id, entry.ip) == (user.pk, None)
