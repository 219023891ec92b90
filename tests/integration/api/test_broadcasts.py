"""The doors of broadcasts: making, changing, listing, and what a source document says of each."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from directory.models import Enrollment, Subject, User
from notifications.infra import clock
from notifications.models import Broadcast, BroadcastRecipient, OperatorAction
from notifications.models.fields import ListsText
from notifications.models.sources.recipients import insert_recipients
from tests.integration.broadcasts.factories import deliver, maintain, make_broadcast, make_people
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
URL = "/api/admin/broadcasts/"
RU = {"HTTP_ACCEPT_LANGUAGE": "ru"}


def body(**changes: Any) -> dict[str, Any]:
    return {
        "target_group": "all_students",
        "message": "Important notification",
        "channels": ["in_app"],
        **changes,
    }


def plan_of(rows: Any) -> str:
    """How the database would read the first page, were the table a long one."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_sort = off")
    return str(rows[:20].explain()).lower()


@pytest.fixture
def staff(db: None) -> User:
    """An admin, and no student: no broadcast to students reaches them."""
    return make_user(is_staff=True, role="admin")


class TestCreating:
    def test_the_documented_request_gives_the_documented_answer(self, as_staff, staff):
        subject = Subject.objects.create(pk=5, name="Mathematics")
        student, _ = make_people(2)
        (teacher,) = make_people(1, role="teacher")
        Enrollment.objects.create(student_id=student, subject=subject, teacher_id=teacher)
        answer = as_staff.post(
            URL,
            {
                "target_group": "all_students",
                "target_filter": {"subject_id": 5},
                "message": "Important notification",
                "send_immediately": False,
            },
            **RU,
        )
        assert answer.status_code == 201
        assert answer.data["success"] is True
        assert answer.data["message"] == "Рассылка успешно создана"
        data = answer.data["data"]
        assert (data["status"], data["status_display"]) == ("draft", "Черновик")
        assert data["target_group_display"] == "Все студенты"  # noqa: RUF001
        assert data["recipient_count"] == 1, "a subject narrows a role, it never widens it"
        assert (data["created_by"], data["created_by_name"]) == (staff.pk, "Ada")
        assert data["channels"] == ["telegram"]
        assert Broadcast.objects.get(pk=data["id"]).target_filter == {"subject_id": 5}

    def test_it_is_reported_in_english_without_a_wish(self, as_staff):
        make_people(1)
        answer = as_staff.post(URL, body())
        assert answer.data["message"] == "The broadcast was created"
        assert answer.data["data"]["target_group_display"] == "All students"

    def test_no_one_found(self, as_staff):
        answer = as_staff.post(URL, body(target_group="all_tutors"))
        assert answer.status_code == 400
        assert answer.data == {
            "success": False,
            "error": "No recipients found for group all_tutors",
            "code": "NO_RECIPIENTS",
        }
        assert not Broadcast.objects.exists()

    def test_send_immediately_sends(self, as_staff):
        make_people(3)
        answer = as_staff.post(URL, body(send_immediately=True))
        assert answer.data["data"]["status"] == "sending"
        assert answer.data["data"]["recipient_count"] == 3
        deliver()
        made = maintain(Broadcast.objects.get())
        assert (made.status, made.sent_count) == ("completed", 3)

    def test_a_time_schedules(self, as_staff, frozen):
        make_people(1)
        at = clock.now() + timedelta(hours=1)
        answer = as_staff.post(URL, body(scheduled_at=at.isoformat()))
        assert answer.data["data"]["status"] == "scheduled"
        assert not BroadcastRecipient.objects.exists()
        frozen.forward(3601)
        assert maintain(Broadcast.objects.get()).status == "sending"

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"message": "x" * 1001}, "invalid"),
            ({"message": " "}, "invalid"),
            ({"message": None}, "required"),
            ({"target_group": None}, "required"),
            ({"target_group": "unknown"}, "unknown_rule"),
            ({"target_group": "by_subject"}, "required"),
            ({"target_filter": {"limit": 5}}, "unknown_field"),
            ({"target_filter": [5]}, "wrong_type"),
            ({"channels": []}, "invalid_channel"),
            ({"channels": ["webhook"]}, "invalid_channel"),
            ({"channels": [5]}, "wrong_type"),
            ({"channels": ["email", "email"]}, "duplicate_channel"),
            ({"category": "gossip"}, "unknown_category"),
            ({"delivery": "some"}, "invalid"),
            ({"priority": 9}, "invalid_priority"),
            ({"priority": [1]}, "invalid_priority"),
            ({"scheduled_at": "tomorrow"}, "invalid_time"),
            ({"scheduled_at": "2020-01-01T00:00:00Z"}, "in_the_past"),
            ({"send_immediately": "yes"}, "wrong_type"),
            ({"sent_count": 5}, "unknown_field"),
        ],
    )
    def test_what_is_wrong_is_named(self, as_staff, changes, code):
        make_people(1)
        answer = as_staff.post(URL, body(**changes))
        assert (answer.status_code, answer.data["code"]) == (400, code)
        assert not Broadcast.objects.exists()

    def test_all_faults_are_reported_at_once(self, as_staff):
        answer = as_staff.post(URL, {"target_group": "unknown", "priority": 7})
        assert answer.data["code"] == "invalid_request"
        assert [
            word in answer.data["error"] for word in ("target_group", "priority", "message")
        ] == [True] * 3

    def test_both_a_time_and_at_once_is_refused(self, as_staff):
        make_people(1)
        at = clock.now() + timedelta(hours=1)
        answer = as_staff.post(URL, body(scheduled_at=at.isoformat(), send_immediately=True))
        assert answer.status_code == 400

    def test_a_repeated_request_makes_one(self, as_staff):
        make_people(1)
        first, second = (as_staff.post(URL, body(), HTTP_IDEMPOTENCY_KEY="once") for _ in range(2))
        assert first.data == second.data
        assert Broadcast.objects.count() == 1

    def test_a_key_makes_broadcasts_of_no_one(self, with_key):
        make_people(1)
        answer = with_key("broadcasts").post(URL, body())
        assert answer.status_code == 201
        assert (answer.data["data"]["created_by"], answer.data["data"]["created_by_name"]) == (
            None,
            "",
        )
        assert OperatorAction.objects.get().action == "broadcast.create"

    def test_a_key_needs_a_scope_for_what_is_critical(self, with_key):
        make_people(1)
        answer = with_key("broadcasts").post(URL, body(priority="critical"))
        assert (answer.status_code, answer.data["scope"]) == (403, "priority:critical")

    def test_a_test_key_makes_a_test(self, with_key):
        make_people(1)
        with_key("broadcasts", kind="test").post(URL, body())
        assert Broadcast.objects.get().is_test

    def test_a_test_key_does_nothing_to_what_people_are_sent(self, with_key):
        make_people(1)
        made = make_broadcast(target_group="all_students")
        client = with_key("broadcasts", kind="test")
        posts = ["send", "cancel", "retry", "recipients/retry", "pause", "resume", "approve"]
        calls = [client.post(f"{URL}{made.pk}/{name}/", {"user_ids": [1]} if "/" in name else None)
                 for name in posts]  # fmt: skip
        calls += [client.post(f"{URL}{made.pk}/reject/", {"note": "x"})]
        calls += [client.patch(f"{URL}{made.pk}/", {"title": "x"})]
        calls += [client.delete(f"{URL}{made.pk}/")]

        assert {(each.status_code, each.data["code"]) for each in calls} == {(403, "test_key")}
        assert client.get(f"{URL}{made.pk}/").status_code == 200
        copy = client.post(f"{URL}{made.pk}/duplicate/").data["data"]["id"]
        assert client.post(f"{URL}{copy}/send/").status_code == 200


class TestChanging:
    def test_a_draft_is_changed_in_part(self, as_staff):
        make_people(2)
        key = as_staff.post(URL, body()).data["data"]["id"]
        answer = as_staff.patch(f"{URL}{key}/", {"message": "Later", "title": "News"}, **RU)
        assert answer.status_code == 200
        assert answer.data["message"] == "Рассылка изменена"
        data = answer.data["data"]
        assert (data["message"], data["title"], data["channels"]) == ("Later", "News", ["in_app"])

    def test_another_audience_is_counted_anew(self, as_staff):
        make_people(2)
        make_people(5, role="teacher", prefix="t")
        key = as_staff.post(URL, body()).data["data"]["id"]
        answer = as_staff.patch(f"{URL}{key}/", {"target_group": "all_teachers"})
        assert answer.data["data"]["recipient_count"] == 5

    def test_a_draft_is_scheduled_and_is_a_draft_again(self, as_staff, frozen):
        make_people(1)
        key = as_staff.post(URL, body()).data["data"]["id"]
        at = clock.now() + timedelta(days=1)
        planned = as_staff.patch(f"{URL}{key}/", {"scheduled_at": at.isoformat()})
        assert planned.data["data"]["status"] == "scheduled"
        freed = as_staff.patch(f"{URL}{key}/", {"scheduled_at": None})
        assert (freed.data["data"]["status"], freed.data["data"]["scheduled_at"]) == ("draft", None)

    @pytest.mark.parametrize("status", ["sending", "sent", "completed", "cancelled", "paused"])
    def test_what_has_left_is_not_changed(self, as_staff, status):
        made = make_broadcast(status=status)
        answer = as_staff.patch(f"{URL}{made.pk}/", {"message": "Later"})
        assert answer.status_code == 400
        assert answer.data["error"] == f"Cannot edit broadcast with status {status}"
        gone = as_staff.delete(f"{URL}{made.pk}/")
        assert (gone.status_code, gone.data["code"]) == (400, "broadcast_status")

    def test_a_fault_changes_nothing(self, as_staff):
        make_people(1)
        key = as_staff.post(URL, body()).data["data"]["id"]
        answer = as_staff.patch(f"{URL}{key}/", {"message": "Later", "channels": ["pigeon"]})
        assert (answer.status_code, answer.data["code"]) == (400, "invalid_channel")
        assert Broadcast.objects.get().message == "Important notification"

    def test_a_draft_is_deleted(self, as_staff):
        made = make_broadcast()
        assert as_staff.delete(f"{URL}{made.uuid}/").status_code == 204
        assert not Broadcast.objects.exists()

    def test_send_launches_a_draft_once(self, as_staff):
        make_people(2)
        key = as_staff.post(URL, body(send_immediately=False)).data["data"]["id"]
        answer = as_staff.post(f"{URL}{key}/send/", **RU)
        assert (answer.status_code, answer.data["data"]["status"]) == (200, "sending")
        assert answer.data["message"] == "Рассылка отправляется"
        again = as_staff.post(f"{URL}{key}/send/")
        assert again.status_code == 400
        assert again.data["error"] == "Cannot send broadcast with status sending"
        assert BroadcastRecipient.objects.count() == 2

    def test_a_cancelled_draft_is_cleared_like_any_other(self, as_staff):
        make_people(4)
        key = as_staff.post(URL, body()).data["data"]["id"]
        as_staff.post(f"{URL}{key}/cancel/")
        made = maintain(Broadcast.objects.get())
        assert (made.cleared, made.recipient_count, made.cancelled_count) == (True, 4, 4)
        assert as_staff.get(f"{URL}{key}/progress/").data["data"]["pending_count"] == 0


class TestShowing:
    def test_details_are_as_documented(self, as_staff, staff):
        (person,) = make_people(1)
        made = make_broadcast(
            created_by=staff,
            status="sending",
            recipient_count=100,
            sent_count=45,
            failed_count=5,
        )
        BroadcastRecipient.objects.create(
            broadcast=made, recipient_id=person, telegram_sent=True, telegram_message_id="9"
        )
        data = as_staff.get(f"{URL}{made.pk}/", **RU).data["data"]
        assert data["status_display"] == "Отправляется"
        assert (data["recipient_count"], data["sent_count"], data["failed_count"]) == (100, 45, 5)
        (row,) = data["recipients"]
        assert row["user_id"] == person
        assert row["user_name"] == "Ada"
        assert row["email"].endswith("@example.com")
        assert (row["telegram_sent"], row["error_message"]) == (True, None)
        assert {"id", "telegram_id", "sent_at"} <= row.keys()
        assert {"created_at", "sent_at", "completed_at", "target_filter"} <= data.keys()

    def test_a_uuid_is_as_good_as_an_id(self, as_staff):
        made = make_broadcast()
        assert as_staff.get(f"{URL}{made.uuid}/").data["data"]["id"] == made.pk

    @pytest.mark.parametrize("key", ["99999", "nonsense", "6f1c0a52-8a1e-4b0e-9f0e-1d2c3b4a5f60"])
    def test_there_is_no_such_broadcast(self, as_staff, key):
        answer = as_staff.get(f"{URL}{key}/")
        assert answer.status_code == 404
        assert answer.data["error"] == f"Broadcast {key} not found"

    def test_lists_are_paged_by_number(self, as_staff):
        made = [make_broadcast(message=f"number {n}") for n in range(5)]
        page = as_staff.get(f"{URL}?page=2&page_size=2").data
        assert [row["id"] for row in page["results"]] == [made[2].pk, made[1].pk]
        places = ("count", "next", "previous", "page", "page_size", "total_pages")
        assert [page[name] for name in places] == [5, 3, 1, 2, 2, 3]
        last = as_staff.get(f"{URL}?page=3&page_size=2").data
        assert (last["next"], last["previous"], len(last["results"])) == (None, 2, 1)
        beyond = as_staff.get(f"{URL}?page=9&page_size=2").data
        assert (beyond["results"], beyond["next"], beyond["previous"]) == ([], None, 3)

    def test_an_empty_list(self, as_staff):
        page = as_staff.get(URL).data
        assert (page["count"], page["results"], page["total_pages"]) == (0, [], 0)
        assert (page["next"], page["previous"], page["page_size"]) == (None, None, 20)

    def test_filters(self, as_staff, frozen):
        old = make_broadcast(message="Snow everywhere", status="sent")
        frozen.forward(86_400 * 2)
        new = make_broadcast(message="The lake is frozen")
        Broadcast.objects.filter(pk=old.pk).update(created_at=clock.now() - timedelta(days=2))
        Broadcast.objects.filter(pk=new.pk).update(created_at=clock.now())
        today = clock.now().date().isoformat()

        def found(query: str) -> list[int]:
            return [row["id"] for row in as_staff.get(f"{URL}?{query}").data["results"]]

        assert found("status=sent") == [old.pk]
        assert found("search=LAKE") == [new.pk]
        assert found(f"date_from={today}") == [new.pk]
        assert found("date_to=" + (clock.now() - timedelta(days=1)).date().isoformat()) == [old.pk]
        assert found(f"date_to={today}") == [new.pk, old.pk]

    def test_filters_by_group_channel_and_creator(self, as_staff, staff, frozen):
        other = make_user(external_id="p-9")
        one = make_broadcast(created_by=staff, channels=["telegram", "email"])
        two = make_broadcast(created_by=other, target_group="all_teachers", channels=["sms"])
        make_broadcast(target_group="all")

        def found(query: str) -> list[int]:
            page = as_staff.get(f"{URL}?{query}").data
            assert page["count"] == len(page["results"])
            return [row["id"] for row in page["results"]]

        assert found("target_group=all_teachers") == [two.pk]
        assert found("channel=email") == found("channel=telegram") == [one.pk]
        assert found("channel=push") == []
        assert found(f"created_by={staff.pk}") == found(f"created_by={staff.uuid}") == [one.pk]
        assert found("created_by=ext:p-9") == [two.pk]
        assert found(f"created_by={other.pk}&channel=sms&status=draft") == [two.pk]
        assert found(f"created_by={other.pk}&channel=email") == []

    def test_a_creator_who_is_no_one_is_reported(self, as_staff):
        answer = as_staff.get(f"{URL}?created_by=ext:unknown")
        assert (answer.status_code, answer.data["code"]) == (404, "unknown_user")
        answer = as_staff.get(f"{URL}?created_by=me")
        assert (answer.status_code, answer.data["code"]) == (400, "invalid_user")
        assert "created_by" in answer.data["error"]

    def test_indexes_serve_the_filters(self, staff):
        make_broadcast(created_by=staff)
        rows = Broadcast.objects.order_by("-created_at", "-pk")
        assert "broadcast_of_group" in plan_of(rows.filter(target_group="all_students"))
        assert "broadcast_by_author" in plan_of(rows.filter(created_by=staff).order_by())
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL enable_indexscan = off")
            listing = rows.filter(ListsText("channels", "email")).order_by()
            assert "broadcast_on_channel" in plan_of(listing)

    @pytest.mark.parametrize(
        "query",
        [
            "channel=pigeon",
            "target_group=unknown",
            "status=lost",
            "date_from=yesterday",
            "page=0",
            "page=x",
            "page_size=201",
            "search=%00",
        ],
    )
    def test_filters_that_cannot_be_are_reported(self, as_staff, query):
        assert as_staff.get(f"{URL}?{query}").status_code == 400

    def test_a_list_costs_the_same_whatever_its_length(self, as_staff, staff):
        def cost() -> int:
            with CaptureQueriesContext(
                connection,
            ) as queries:
                as_staff.get(f"{URL}?page_size=100")
            return len(queries)

        make_broadcast(created_by=staff)
        cost()  # the caller is authenticated once
        one = cost()
        for _ in range(30):
            make_broadcast(created_by=staff)
        assert cost() == one

    @pytest.mark.parametrize("filters", [{}, {"created_at__gte": "2030-01-01T00:00:00Z"}])
    def test_an_index_serves_the_list_and_its_days(self, filters):
        make_broadcast()
        assert "broadcast_newest" in plan_of(
            Broadcast.objects.filter(**filters).order_by("-created_at", "-pk")
        )


class TestRecipients:
    def made(self) -> Broadcast:
        made = make_broadcast(status="sending", recipient_count=25)
        people = make_people(25)
        insert_recipients(made.pk, people, [0] * 25)
        rows = BroadcastRecipient.objects.filter(broadcast=made)
        rows.filter(recipient_id__in=people[:3]).update(state="failed", error="Network timeout")
        rows.filter(recipient_id__in=people[3:7]).update(state="sent", telegram_sent=True)
        return made

    @pytest.mark.parametrize(
        ("status", "count"), [(None, 25), ("sent", 4), ("failed", 3), ("pending", 18)]
    )
    def test_they_are_paged_by_state(self, as_staff, status, count):
        made = self.made()
        asked = f"&status={status}" if status else ""
        page = as_staff.get(f"{URL}{made.pk}/recipients/?page_size=10{asked}").data
        assert (page["count"], len(page["results"])) == (count, min(10, count))
        assert {row["status"] for row in page["results"]} <= {status or "failed", "sent", "pending"}

    def test_twenty_a_page_in_a_stable_order(self, as_staff):
        made = self.made()
        pages = [
            as_staff.get(f"{URL}{made.pk}/recipients/?page={number}").data["results"]
            for number in (1, 2)
        ]
        assert [len(page) for page in pages] == [20, 5]
        ids = [row["user_id"] for page in pages for row in page]
        assert ids == sorted(set(ids))

    def test_the_reason_is_shown(self, as_staff):
        made = self.made()
        page = as_staff.get(f"{URL}{made.pk}/recipients/?status=failed").data
        assert page["results"][0]["error_message"] == "Network timeout"

    @pytest.mark.parametrize("status", ["", "failed", "pending"])
    def test_an_index_serves_each_state(self, status):
        made = self.made()
        rows = BroadcastRecipient.objects.filter(broadcast=made)
        rows = rows.filter(state=status) if status else rows
        plan = plan_of(rows.order_by("recipient_id").values_list("pk"))
        assert "index" in plan
        assert "seq scan" not in plan
