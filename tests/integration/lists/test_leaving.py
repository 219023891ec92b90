"""Leaving a list by the link of its mails: one click, the page, forged links, and in the middle of
a broadcast."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from directory.models import ListMembership, SubscriberList
from notifications.domain.callers import SYSTEM
from notifications.features.lists.joining import leave
from notifications.features.preferences.service import preferences_of
from notifications.features.sending.service import NotificationService
from notifications.infra.links import leave_list_url
from notifications.models import Category, ConsentRecord, NotificationMessage, SandboxMessage
from notifications.policy.decide import steps_of
from tests.integration.factories import delete_row, make_template, make_user
from tests.integration.lists.factories import (
    HOME,
    link_in_newest_mail,
    make_list,
    make_subscriber,
    put_on,
    send_to,
    status_of,
)
from tests.integration.preferences.conftest import work

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def public(override_environment: Any) -> None:
    override_environment(public_url=HOME)


@pytest.fixture
def found(frozen: Any) -> SubscriberList:
    return make_list()


def one_click(path: str) -> Any:
    """Posts like a mail program: no cookies, CSRF enforced."""
    response = Client(enforce_csrf_checks=True).post(path, {"List-Unsubscribe": "One-Click"})
    assert response.cookies == {}
    return response


def test_a_mail_leaves_its_list_with_one_click(found):
    user, other_list = make_subscriber(found), make_list()
    put_on(other_list, user)
    send_to(found)
    work()
    mail = SandboxMessage.objects.get().content
    path = mail["headers"]["List-Unsubscribe"].strip("<>").removeprefix(HOME)

    assert mail["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert link_in_newest_mail("unsubscribe") == path
    assert mail["body"].startswith("What is new in May\n\n-- \nYou get this email because")
    assert [one_click(path).status_code, one_click(path).status_code] == [200, 200]

    assert status_of(found, user) == "unsubscribed"
    assert status_of(other_list, user) == "subscribed"
    assert preferences_of(user.pk).overall.notifications_enabled is True
    entry = ConsentRecord.objects.get(purpose=found.purpose, granted=False)
    assert (entry.source, entry.actor) == ("one_click", "link")
    assert ListMembership.objects.get(list=found).consent_id == entry.pk


def test_a_footer_is_in_the_language_of_the_person_and_on_mails_alone(found):
    make_subscriber(found, locale="ru")
    send_to(found, channels=["email", "in_app"])
    work()

    assert "Отписаться:" in SandboxMessage.objects.get().content["body"]


def test_the_page_asks_first(found):
    user = make_subscriber(found)
    path = leave_list_url(user.pk, found.pk, user.email).removeprefix(HOME)

    shown = Client().get(path).content.decode()
    assert f"messages about “{found.name}”" in shown
    assert status_of(found, user) == "subscribed"

    done = Client(enforce_csrf_checks=True).post(path, {"page": "1"}).content.decode()
    assert f"You are no longer on the list “{found.name}”." in done
    assert status_of(found, user) == "unsubscribed"
    again = Client().post(path, {"page": "1"}).content.decode()
    assert "It was off already" in again
    assert ConsentRecord.objects.filter(granted=False).count() == 1
    assert "“" in ConsentRecord.objects.get(granted=False).wording


def test_the_page_is_in_russian(found):
    user = make_subscriber(found, locale="ru")
    path = leave_list_url(user.pk, found.pk, user.email).removeprefix(HOME)

    assert "Вы больше не подписаны" in Client().post(path, {"page": "1"}).content.decode()


def test_forged_links_change_nothing(found):
    user, other = make_subscriber(found), make_subscriber(found)
    path = leave_list_url(user.pk, found.pk, user.email).removeprefix(HOME)
    forged = [
        path.replace(f"e.{user.pk}.", f"e.{other.pk}."),
        path.replace("/e.", "/u."),
        path[:-1],
        f"{path}A",
        "/unsubscribe/e.1.2",
    ]

    for each in forged:
        assert one_click(each).status_code == 400
        assert Client().post(each, {"page": "1"}).status_code == 400
    assert {status_of(found, user), status_of(found, other)} == {"subscribed"}


def test_a_link_is_200_for_an_erased_person_and_a_deleted_list(found):
    user, other_list = make_subscriber(found), make_list()
    of_list = leave_list_url(user.pk, other_list.pk, user.email).removeprefix(HOME)
    of_person = leave_list_url(user.pk, found.pk, user.email).removeprefix(HOME)
    other_list.delete()
    assert one_click(of_list).status_code == 200
    assert Client().get(of_list).status_code == 200
    delete_row(user.pk)

    assert one_click(of_person).status_code == 200
    assert not ListMembership.objects.exists()


def test_who_leaves_during_a_broadcast_gets_nothing(found):
    stays, leaves = make_subscriber(found), make_subscriber(found)
    made = send_to(found)
    leave(found, leaves.pk, caller=SYSTEM, source="one_click")
    work()

    statuses = dict(NotificationMessage.objects.values_list("user_id", "status"))
    assert statuses == {stays.pk: "sent", leaves.pk: "suppressed"}
    message = NotificationMessage.objects.get(user=leaves)
    reasons = [each["reason"] for each in message.history()]
    assert reasons[-1] == "not_on_list"
    assert steps_of("not_on_list")[-1] == ("list", "not_on_list")
    assert made.list_id == found.pk


def test_who_comes_back_before_the_decision_gets_it(found):
    user = make_subscriber(found)
    send_to(found)
    leave(found, user.pk, caller=SYSTEM, source="api")
    put_on(found, user, again=True)
    work()

    assert NotificationMessage.objects.get().status == "sent"


def test_a_list_that_is_deleted_during_a_broadcast_sends_nothing(found):
    make_subscriber(found)
    send_to(found)
    found.delete()
    work()

    assert NotificationMessage.objects.get().status == "suppressed"


def test_other_messages_need_no_list(found):
    """Somebody who left still gets what went to them by another way."""
    user = make_subscriber(found)
    leave(found, user.pk, caller=SYSTEM, source="api")
    send_to(found, target_group="custom", target_filter={"user_ids": [user.pk, make_user().pk]})
    work()

    assert set(NotificationMessage.objects.values_list("status", flat=True)) == {"sent"}


def test_a_bulk_call_to_a_list_leaves_it_and_asks_again(found):
    make_template(
        category=Category.objects.get(key="announcement"),
        required_variables=[],
        email_body_template="News: {{ unsubscribe_url }}",
    )
    stays, leaves = make_subscriber(found), make_subscriber(found)
    body = {
        "template_path": "test.hello",
        "audience": {"rule": "list", "list_id": found.pk},
        "channel": "email",
        "context": {"amount": 1},
    }
    assert NotificationService().send_bulk(body=body, caller=SYSTEM).accepted == 2
    leave(found, leaves.pk, caller=SYSTEM, source="api")
    work()

    statuses = dict(NotificationMessage.objects.values_list("user_id", "status"))
    assert statuses == {stays.pk: "sent", leaves.pk: "suppressed"}
    assert one_click(link_in_newest_mail("unsubscribe")).status_code == 200
    assert status_of(found, stays) == "unsubscribed"
