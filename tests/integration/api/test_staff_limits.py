"""A member of groups works in the categories of the groups alone, through every door."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from directory.models import User
from notifications.domain.callers import Caller
from notifications.features.access import callers
from notifications.features.access.authentication import issue_access
from notifications.features.access.callers import CallerCache
from notifications.features.access.principals import caller_of_user
from notifications.infra import clock, ports
from notifications.models import (
    Category,
    DeadLetter,
    NotificationTemplate,
    StaffGroup,
    StaffGroupCategory,
    StaffGroupMember,
)
from tests.integration.api.conftest import bearer
from tests.integration.api.test_operations import LETTERS, make_letters
from tests.integration.broadcasts.factories import make_broadcast
from tests.integration.factories import make_template, make_user, make_willing_user

pytestmark = pytest.mark.django_db
TEMPLATES, BROADCASTS = "/api/v1/templates", "/api/admin/broadcasts"
TEXTS = {
    "name": "Lesson",
    "path": "course.lesson",
    "category": "course",
    "supported_channels": ["in_app"],
    "in_app_template": "Lesson\n\nA lesson begins",
}


def limit(user: User, *categories: str, name: str = "Editors") -> StaffGroup:
    group, _ = StaffGroup.objects.get_or_create(name=name)
    for key in categories:
        StaffGroupCategory.objects.create(group=group, category=Category.objects.get(key=key))
    StaffGroupMember.objects.create(group=group, user=user)
    callers.forget_callers()
    return group


def by(user: User) -> APIClient:
    return bearer(issue_access(user, now=clock.now()))


@pytest.fixture
def author() -> User:
    user = make_user(staff_role="author")
    limit(user, "course")
    return user


def own() -> NotificationTemplate:
    return make_template("course.own", category=Category.objects.get(key="course"), name="own")


def foreign(**values: Any) -> NotificationTemplate:
    return make_template("pay.due", category=Category.objects.get(key="payment"), **values)


WRITES: dict[str, Callable[[APIClient, int], Any]] = {
    "change": lambda client, key: client.put(f"{TEMPLATES}/{key}", {"name": "Changed"}),
    "switch off": lambda client, key: client.put(f"{TEMPLATES}/{key}", {"is_active": False}),
    "publish": lambda client, key: client.post(f"{TEMPLATES}/{key}/publish", {}),
    "publish again": lambda client, key: client.post(f"{TEMPLATES}/{key}/publish", {"version": 1}),
    "roll back": lambda client, key: client.post(f"{TEMPLATES}/{key}/rollback", {"version": 1}),
    "preview": lambda client, key: client.post(f"{TEMPLATES}/{key}/preview", {}),
    "delete": lambda client, key: client.delete(f"{TEMPLATES}/{key}"),
}


@pytest.mark.parametrize("verb", WRITES)
def test_an_author_writes_in_their_category_alone(verb: str, author: User) -> None:
    client, theirs, others = by(author), own(), foreign()
    before = NotificationTemplate.objects.filter(pk=others.pk).values().get()

    answer = WRITES[verb](client, others.pk)
    assert (answer.status_code, answer.data["code"]) == (403, "category_not_allowed")
    assert NotificationTemplate.objects.filter(pk=others.pk).values().get() == before
    done = WRITES[verb](client, theirs.pk)
    assert done.status_code in (200, 204), done.data


def test_reading_is_not_limited(author: User) -> None:
    client, others = by(author), foreign()
    assert client.get(f"{TEMPLATES}/{others.pk}").status_code == 200
    assert client.get(f"{TEMPLATES}/{others.pk}/versions").status_code == 200


def test_a_template_is_created_in_an_own_category(author: User) -> None:
    client = by(author)
    made = client.post(TEMPLATES, {**TEXTS, "status": "published"})
    assert made.status_code == 201, made.data
    other = {**TEXTS, "path": "course.other", "name": "Other"}
    without = {name: value for name, value in other.items() if name != "category"}
    for body in ({**other, "category": "payment"}, without):
        answer = client.post(TEMPLATES, body)
        assert (answer.status_code, answer.data["code"]) == (403, "category_not_allowed")


def test_a_wrong_body_is_reported_as_such(author: User) -> None:
    answer = by(author).post(TEMPLATES, {**TEXTS, "category": "nowhere"})
    assert (answer.status_code, answer.data["code"]) == (400, "unknown_category")


def test_a_template_is_moved_neither_in_nor_out(author: User) -> None:
    client, theirs, others = by(author), own(), foreign()
    for row, category in ((theirs, "payment"), (others, "course")):
        answer = client.put(f"{TEMPLATES}/{row.pk}", {"category": category})
        assert (answer.status_code, answer.data["code"]) == (403, "category_not_allowed")


@pytest.mark.parametrize("path", ["pay.due", "pay.*"])
def test_a_path_takes_over_no_wildcard_of_another_category(path: str, author: User) -> None:
    make_template("*.due", category=Category.objects.get(key="payment"))
    answer = by(author).post(TEMPLATES, {**TEXTS, "path": path})
    assert (answer.status_code, answer.data["code"]) == (403, "category_not_allowed")
    make_template("course.*", category=Category.objects.get(key="course"), name="c")
    assert by(author).post(TEMPLATES, TEXTS).status_code == 201


def test_templates_of_other_categories_are_not_republished(author: User) -> None:
    part = own()
    make_template(
        "pay.with",
        category=Category.objects.get(key="payment"),
        name="with",
        email_body_template="{% include 'course.own' %}{{ amount }}",
    )
    client = by(author)
    answer = client.post(f"{TEMPLATES}/{part.pk}/publish", {"dependants": True})
    assert (answer.status_code, answer.data["code"]) == (403, "category_not_allowed")
    assert client.post(f"{TEMPLATES}/{part.pk}/publish", {}).status_code == 200


def test_no_author_writes_a_system_template() -> None:
    row = make_template("system.proof", name="proof")
    for role, status in (("author", 403), ("admin", 200)):
        answer = by(make_user(staff_role=role)).put(f"{TEMPLATES}/{row.pk}", {"name": f"by {role}"})
        assert answer.status_code == status, answer.data


def test_the_categories_of_several_groups_count_together(author: User) -> None:
    limit(author, "payment", name="Payments")
    assert by(author).put(f"{TEMPLATES}/{foreign().pk}", {"name": "Changed"}).status_code == 200


def test_without_a_group_there_is_no_limit_and_an_empty_group_allows_nothing() -> None:
    free, bound = make_user(staff_role="author"), make_user(staff_role="author")
    limit(bound)
    row = foreign()
    assert by(free).put(f"{TEMPLATES}/{row.pk}", {"name": "Changed"}).status_code == 200
    answer = by(bound).put(f"{TEMPLATES}/{row.pk}", {"name": "Again"})
    assert answer.data["code"] == "category_not_allowed"


def test_no_group_limits_an_admin(staff: User, as_staff: APIClient) -> None:
    limit(staff)
    assert as_staff.put(f"{TEMPLATES}/{foreign().pk}", {"name": "Changed"}).status_code == 200


@pytest.fixture
def operator() -> User:
    user = make_user(staff_role="operator")
    limit(user, "course")
    return user


def test_an_operator_of_a_group_broadcasts_in_its_category(operator: User) -> None:
    person, client = make_willing_user(), by(operator)
    body = {
        "target_group": "custom",
        "target_filter": {"user_ids": [person.pk]},
        "message": "Hi",
        "channels": ["in_app"],
    }
    made = client.post(f"{BROADCASTS}/", {**body, "category": "course"}, format="json")
    assert made.status_code == 201, made.content
    key = made.json()["data"]["id"]
    for answer in (
        client.post(f"{BROADCASTS}/", {**body, "category": "payment"}, format="json"),
        client.patch(f"{BROADCASTS}/{key}/", {"category": "payment"}, format="json"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "category_not_allowed")
    other = make_broadcast(category="payment")
    for verb in ("send", "cancel", "pause", "resume", "approve", "duplicate", "retry"):
        answer = client.post(f"{BROADCASTS}/{other.pk}/{verb}/", {}, format="json")
        assert (answer.status_code, answer.json()["code"]) == (403, "category_not_allowed"), verb
    assert client.delete(f"{BROADCASTS}/{other.pk}/").status_code == 403


def test_an_operator_of_a_group_sends_in_its_category(operator: User) -> None:
    person, client = make_willing_user(), by(operator)
    own(), foreign()
    for path, status in (("course.own", 201), ("pay.due", 403)):
        body = {
            "user_id": person.pk,
            "template_path": path,
            "channel": "in_app",
            "context": {"amount": 5},
        }
        assert client.post("/api/v1/notifications/send", body).status_code == status
        del body["user_id"]
        body["recipients"] = [{"user_id": person.pk}]
        bulk = client.post("/api/v1/notifications/bulk", body)
        assert bulk.status_code == (202 if status == 201 else 403), bulk.data
    later = {
        "title": "A",
        "message": "B",
        "scheduled_at": "2190-01-01T00:00:00Z",
        "recipients": [person.pk],
    }
    for kind, status in (("course", 201), ("payment", 403)):
        answer = client.post("/api/notifications/schedule", {**later, "type": kind}, format="json")
        assert answer.status_code == status, answer.content


def test_a_named_category_is_no_way_to_a_template_of_another(operator: User) -> None:
    person, client = make_willing_user(), by(operator)
    own(), foreign()
    send = {"channel": "in_app", "context": {"amount": 5}, "category": "course"}
    for path, refused in (("course.own", False), ("pay.due", True)):
        body = {**send, "template_path": path}
        one = {**body, "user_id": person.pk}
        for answer in (
            client.post("/api/v1/notifications/simulate", one),
            client.post("/api/v1/notifications/send", one),
            client.post(
                "/api/v1/notifications/bulk", {**body, "recipients": [{"user_id": person.pk}]}
            ),
        ):
            assert (answer.status_code == 403) is refused, answer.data
            if refused:
                assert answer.data["code"] == "category_not_allowed"


@pytest.mark.parametrize("verb", ["replay", "discard", "settle"])
def test_an_operator_of_a_group_handles_its_dead_letters(verb: str, operator: User) -> None:
    letters, client = make_letters(2), by(operator)
    DeadLetter.objects.filter(pk=letters[0].pk).update(category="course")
    DeadLetter.objects.filter(pk=letters[1].pk).update(category="payment")
    more = {"outcome": "failed"} if verb == "settle" else {}
    body = {"reason": "cost", **more} if verb != "replay" else {}
    both = client.post(f"{LETTERS}{verb}", {"ids": [row.pk for row in letters], **body})
    assert (both.status_code, both.data["code"]) == (403, "category_not_allowed")
    assert client.post(f"{LETTERS}{verb}", {"ids": [letters[0].pk], **body}).status_code == 200


@pytest.mark.parametrize("verb", ["replay-matching", "discard-matching"])
def test_what_matches_is_what_the_groups_allow(verb: str, operator: User) -> None:
    letters, client = make_letters(2), by(operator)
    DeadLetter.objects.filter(pk=letters[0].pk).update(category="course")
    DeadLetter.objects.filter(pk=letters[1].pk).update(category="payment")
    body = {"channel": "email", **({"reason": "cost"} if verb.startswith("discard") else {})}
    answer = client.post(f"{LETTERS}{verb}", body)
    assert answer.data == {"done": 1, "left": 0}
    assert DeadLetter.objects.get(resolved_at=None).category == "payment"


@pytest.mark.parametrize("kind", ["jwt", "token"])
def test_a_changed_group_holds_within_a_second(kind: str, author: User) -> None:
    from notifications.features.access.authentication import new_drf_token

    words = (
        ("bearer", issue_access(author, now=clock.now()))
        if kind == "jwt"
        else ("token", new_drf_token(author))
    )
    cache, seconds = CallerCache(), [100.0]

    def seen() -> Caller:
        seconds[0] += callers.TRUSTED_S + 0.01
        return cache.find(*words)

    with ports.installed(monotonic=lambda: seconds[0]):
        course, payment = (Category.objects.get(key=key).pk for key in ("course", "payment"))
        assert seen().categories == {course}
        StaffGroupCategory.objects.create(group=StaffGroup.objects.get(), category_id=payment)
        assert seen().categories == {course, payment}
        StaffGroupCategory.objects.all().delete()
        assert seen().categories == frozenset()
        StaffGroupMember.objects.all().delete()
        assert seen().categories is None


def test_a_caller_costs_two_queries_for_groups_and_none_without_a_role(
    author: User, user: User, staff: User, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(2):
        caller_of_user(author)
    with django_assert_num_queries(0):
        caller_of_user(user)
        caller_of_user(staff)
