"""Lists in the preference centre: what a person sees, joins and leaves there."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from directory.models import ContactPoint, ListMembership, SubscriberList, User
from notifications.domain.callers import SYSTEM
from notifications.features.lists.choices import MOST_SHOWN, ListChoices
from notifications.features.lists.confirmation_mail import MOST_A_DAY
from notifications.features.lists.joining import leave
from notifications.infra import clock
from notifications.infra.links import preferences_url
from notifications.models import ConsentRecord, SandboxMessage
from tests.integration.factories import make_user, make_willing_user
from tests.integration.lists.factories import HOME, make_list, put_on, status_of
from tests.integration.preferences.conftest import work

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def public(override_environment: Any) -> None:
    override_environment(public_url=HOME)


@pytest.fixture
def user(frozen: Any) -> User:
    return make_willing_user()


def path_of(user: User) -> str:
    return preferences_url(user.pk, user.email).removeprefix(HOME)


def save(user: User, before: list[SubscriberList], wanted: list[SubscriberList]) -> str:
    """Presses the button; returns where it leads."""
    form = {
        "lists": "1",
        "lists_shown": " ".join(str(each.pk) for each in before),
        "list": [each.pk for each in wanted],
    }
    response = Client(enforce_csrf_checks=True).post(path_of(user), form)
    assert response.status_code == 302
    return str(response["Location"])


def test_it_shows_public_lists_and_ones_own(user):
    public = make_list(is_public=True, description="Once a month")
    private, hidden, left = make_list(), make_list(), make_list()
    put_on(private, user)
    put_on(left, user)
    leave(left, user.pk, caller=SYSTEM, source="api")
    text = Client().get(path_of(user)).content.decode()

    assert f"{public.name}: Once a month" in text
    assert private.name in text
    assert [each.name for each in (hidden, left) if each.name in text] == []
    shown = {each.id: each.is_on for each in ListChoices().of(user=user)}
    assert shown == {public.pk: False, private.pk: True}


def test_nothing_is_shown_without_lists(user):
    assert 'id="lists"' not in Client().get(path_of(user)).content.decode()


def test_a_person_joins_and_leaves(user):
    first, second = make_list(is_public=True), make_list(is_public=True)
    put_on(first, user)

    assert "lists=saved" in save(user, [first], [second])

    assert (status_of(first, user), status_of(second, user)) == ("unsubscribed", "subscribed")
    entry = ConsentRecord.objects.get(purpose=second.purpose)
    assert (entry.source, entry.actor, entry.granted) == ("preference_centre", "link", True)
    assert entry.wording.startswith(f"I want to receive “{second.name}” from Carillon")
    assert ConsentRecord.objects.filter(purpose=first.purpose, granted=False).count() == 1

    save(user, [second], [first, second])
    assert status_of(first, user) == "subscribed", "a person may always come back"


def test_double_opt_in_asks_by_email(user):
    found = make_list(is_public=True, double_opt_in=True)

    assert "lists=asked" in save(user, [], [found])
    work()

    assert status_of(found, user) == "pending"
    assert SandboxMessage.objects.count() == 1
    text = Client().get(f"{path_of(user)}?lists=asked").content.decode()
    assert "(not confirmed yet)" in text
    assert "We have sent you an email" in text
    save(user, [found], [])
    assert status_of(found, user) == "unsubscribed"


def test_a_list_without_a_mail_to_confirm_is_not_shown_as_saved(user):
    lists = [make_list(is_public=True, double_opt_in=True) for _ in range(MOST_A_DAY + 1)]

    assert "lists=asked" in save(user, [], lists[:-1])
    assert "lists=not_asked" in save(user, lists[:-1], lists)
    assert status_of(lists[-1], user) == ""
    for language, text in (("en", "Not all lists were saved"), ("ru", "Сохранены не все списки")):
        page = Client().get(f"{path_of(user)}?lists=not_asked&lang={language}").content.decode()
        assert text in page

    ContactPoint.objects.filter(user=user).update(state="bounced")
    plain, other = make_list(is_public=True), make_list(is_public=True, double_opt_in=True)
    assert "lists=not_asked" in save(user, [], [plain, other])
    assert status_of(plain, user) == "subscribed"


def test_lists_that_a_person_is_on_come_before_those_they_left(user):
    lists = SubscriberList.objects.bulk_create(
        [SubscriberList(name=f"L {n}", slug=f"l-{n}") for n in range(MOST_SHOWN)]
    )
    ListMembership.objects.bulk_create(
        [
            ListMembership(list=each, user=user, state="unsubscribed", changed_at=clock.now())
            for each in lists
        ]
    )
    mine = make_list()
    put_on(mine, user)

    assert [each.id for each in ListChoices().of(user=user)] == [mine.pk]


def test_only_what_the_form_changed_is_saved(user):
    """Another device left the list after this form was shown."""
    found, other = make_list(is_public=True), make_list(is_public=True)
    put_on(found, user)
    leave(found, user.pk, caller=SYSTEM, source="api")

    save(user, [found], [found, other])

    assert (status_of(found, user), status_of(other, user)) == ("unsubscribed", "subscribed")


def test_a_private_list_cannot_be_joined(user):
    private = make_list()
    left = make_list()
    put_on(left, user)
    leave(left, user.pk, caller=SYSTEM, source="api")

    save(user, [], [private, left])

    assert (status_of(private, user), status_of(left, user)) == ("", "unsubscribed")


def test_wrong_numbers_are_ignored(user):
    form = {"lists": "1", "lists_shown": "x -1 999999999999999999999", "list": ["y", "0", "77"]}

    assert Client().post(path_of(user), form).status_code == 302
    assert not ConsentRecord.objects.exists()


def test_the_page_is_bounded(user):
    SubscriberList.objects.bulk_create(
        [
            SubscriberList(name=f"L {n}", slug=f"l-{n}", is_public=True)
            for n in range(MOST_SHOWN + 9)
        ]
    )
    mine = make_list()
    put_on(mine, user)

    shown = ListChoices().of(user=user)
    assert len(shown) == MOST_SHOWN
    assert mine.pk in {each.id for each in shown}


def test_a_session_needs_the_csrf_token(user):
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    make_list(is_public=True)

    assert "csrfmiddlewaretoken" in client.get("/preferences").content.decode()
    assert client.post("/preferences", {"lists": "1"}).status_code == 403


def test_another_persons_lists_are_not_shown(user):
    private = make_list()
    put_on(private, make_user())

    assert private.name not in Client().get(path_of(user)).content.decode()
