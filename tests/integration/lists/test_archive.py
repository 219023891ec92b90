"""The public archive of a list: what it shows to everyone, and what it never shows."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from directory.models import SubscriberList
from notifications.features.broadcasts.delivery import launch as launching
from notifications.infra import clock
from notifications.models import Broadcast
from tests.integration.lists.factories import make_list, make_subscriber, send_to, write_to

pytestmark = pytest.mark.django_db


@pytest.fixture
def found(frozen: Any) -> SubscriberList:
    made = make_list(is_public=True, has_archive=True, name="School news", slug="school-news")
    make_subscriber(made, first_name="Zebulon", email="zebulon@example.com")
    return made


def issue(found: SubscriberList, status: str = "completed", **values: Any) -> Broadcast:
    made = send_to(found, **values)
    Broadcast.objects.filter(pk=made.pk).update(status=status)
    return made


def page_of(made: Broadcast) -> str:
    return f"/lists/school-news/archive/{made.uuid}"


def get(path: str) -> Any:
    return Client().get(path)


ARCHIVE = "/lists/school-news/archive"


def test_it_lists_and_shows_what_was_sent(found):
    made = issue(found, title="May", message="See https://example.com/a?b=1 <b>now</b>")
    listed, shown = get(ARCHIVE), get(page_of(made))

    assert (listed.status_code, shown.status_code) == (200, 200)
    assert page_of(made) in listed.content.decode()
    text = shown.content.decode()
    assert '<a href="https://example.com/a?b=1" rel="nofollow">' in text
    assert "&lt;b&gt;now&lt;/b&gt;" in text
    for response in (listed, shown):
        policy = response["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'")
        assert "X-Robots-Tag" not in response
        assert 'name="robots"' not in response.content.decode()
        assert response.cookies == {}
        words = ("Zebulon", "zebulon", "unsubscribe", "/track/", "preferences", "<script")
        assert [word for word in words if word in response.content.decode()] == []


def test_it_is_in_russian_too(found):
    assert "По этому списку ещё ничего не отправляли." in get(f"{ARCHIVE}?lang=ru").content.decode()


@pytest.mark.parametrize("values", [{"is_public": False}, {"has_archive": False}])
def test_a_private_list_and_one_without_an_archive_show_nothing(found, values):
    made = issue(found)
    SubscriberList.objects.filter(pk=found.pk).update(**values)
    missing = get("/lists/no-such-list/archive")

    for path in (ARCHIVE, page_of(made)):
        response = get(path)
        assert response.status_code == 404
        assert response["X-Robots-Tag"] == "noindex"
        assert response.content == missing.content, "it looks like a list that does not exist"


@pytest.mark.parametrize("values", [{"is_public": False}, {"has_archive": False}])
def test_what_was_sent_before_stays_out_when_a_list_becomes_public(found, values):
    SubscriberList.objects.filter(pk=found.pk).update(**values)
    before = issue(found, title="Secret")
    SubscriberList.objects.filter(pk=found.pk).update(is_public=True, has_archive=True)
    after = issue(found, title="Open")

    listed = get(ARCHIVE).content.decode()
    assert ("Open" in listed, "Secret" in listed) == (True, False)
    assert (get(page_of(before)).status_code, get(page_of(after)).status_code) == (404, 200)


@pytest.mark.parametrize("values", [{"is_public": False}, {"has_archive": False}])
def test_what_was_written_before_stays_out_when_a_list_becomes_public(found, values):
    rows = SubscriberList.objects.filter(pk=found.pk)
    rows.update(**values)
    private = write_to(found, title="Secret")
    rows.update(is_public=True, has_archive=True)
    open_ones = [write_to(found, title="Open") for _ in range(2)]
    launching.begin(private.pk, now=clock.now())
    launching.begin(open_ones[0].pk, now=clock.now())
    rows.update(**values)
    launching.begin(open_ones[1].pk, now=clock.now())
    rows.update(is_public=True, has_archive=True)
    Broadcast.objects.update(status="completed")

    statuses = [get(page_of(each)).status_code for each in (private, *open_ones)]
    assert statuses == [404, 200, 404]


def test_tests_parts_of_the_list_and_unfinished_ones_stay_out(found):
    on = {"rule": "list", "list_id": found.pk}
    part = {"from": on, "except": {"rule": "all_teachers"}}
    hidden = [
        issue(found, title="Part", target_group="composed", target_filter=part),
        issue(found, title="Test", is_test=True),
        issue(found, title="Elsewhere", target_group="all", target_filter={}),
        *(issue(found, status, title="Unfinished") for status in
          ("sending", "paused", "failed", "cancelled")),
    ]  # fmt: skip

    assert "Nothing was sent to this list yet." in get(ARCHIVE).content.decode()
    assert {get(page_of(each)).status_code for each in hidden} == {404}


def test_an_issue_of_another_list_is_not_shown(found):
    other = make_list(is_public=True, has_archive=True)
    make_subscriber(other)
    made = issue(other)

    assert get(page_of(made)).status_code == 404
    assert get(f"/lists/{other.slug}/archive/{made.uuid}").status_code == 200


def test_it_is_paged(found):
    made = [issue(found, title=f"Issue {number:02}") for number in range(23)]
    first = get(ARCHIVE).content.decode()
    second = get(f"{ARCHIVE}?before={made[3].pk}").content.decode()

    assert [f"Issue {n:02}" in first for n in (22, 3, 2)] == [True, True, False]
    assert f"?before={made[3].pk}" in first
    assert [f"Issue {n:02}" in second for n in (3, 2, 0)] == [False, True, True]
    assert "before=" not in second.partition("<ul>")[2]
    for wrong in ("x", "-1", "0", "9" * 30):
        assert get(f"{ARCHIVE}?before={wrong}").content.decode().count("Issue 22") == 1


def test_only_reading_is_possible(found):
    assert Client().post(ARCHIVE).status_code == 405
