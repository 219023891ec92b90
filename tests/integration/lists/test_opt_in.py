"""Double opt-in: a person is on a list once they pressed the button behind the link of a mail."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from directory.models import ContactPoint, ListMembership, SubscriberList, User
from notifications.domain.callers import SYSTEM
from notifications.features.lists.confirmation_mail import MOST_A_DAY
from notifications.features.lists.joining import MAILS_A_DAY, JoinResult, leave
from notifications.features.preferences.service import PreferenceService, preferences_of
from notifications.features.preferences.unsubscribe import link_caller
from notifications.infra.links import LinkKind, sign_link
from notifications.models import ConsentRecord, NotificationMessage, SandboxMessage
from tests.integration.factories import make_user
from tests.integration.lists.factories import (
    HOME,
    link_in_newest_mail,
    make_list,
    put_on,
    status_of,
)
from tests.integration.preferences.conftest import work

pytestmark = pytest.mark.django_db
DAY_S = 24 * 3600


@pytest.fixture(autouse=True)
def public(override_environment: Any) -> None:
    override_environment(public_url=HOME)


@pytest.fixture
def found(frozen: Any) -> SubscriberList:
    return make_list(double_opt_in=True, is_public=True, category="marketing")


@pytest.fixture
def user() -> User:
    return make_user()


def ask(found: SubscriberList, user: User) -> str:
    """Asks a person to confirm; returns the path of the link in the mail."""
    assert put_on(found, user, ask_again=True, again=True)[user.pk] is JoinResult.PENDING
    work()
    return link_in_newest_mail("confirm")


def press(path: str) -> int:
    return int(Client(enforce_csrf_checks=True).post(path).status_code)


def test_a_person_is_on_the_list_only_after_the_button_is_pressed(found, user):
    path = ask(found, user)
    shown = Client().get(path)

    assert shown.status_code == 200
    assert f"I want to receive “{found.name}” from Carillon" in shown.content.decode()
    assert status_of(found, user) == "pending"
    assert not ConsentRecord.objects.exists()

    assert press(path) == 200

    row = ListMembership.objects.get()
    entry = ConsentRecord.objects.get(purpose=found.purpose)
    assert (row.state, row.source, row.consent_id) == ("subscribed", "double_opt_in", entry.pk)
    assert (entry.granted, entry.actor, entry.ip) == (True, "link", "127.0.0.1")
    assert entry.wording.startswith("I want to receive “")
    overall = preferences_of(user.pk).overall
    assert (overall.data_processing_consent, overall.marketing_enabled) == (True, True)
    assert ContactPoint.objects.get(user=user, kind="email").verified_at is not None


@pytest.mark.parametrize("method", ["get", "head"])
def test_programs_that_open_links_change_nothing(found, user, method):
    path = ask(found, user)

    for _ in range(3):
        assert getattr(Client(), method)(path).status_code == 200
    assert status_of(found, user) == "pending"
    assert not ConsentRecord.objects.exists()


def test_a_second_press_writes_nothing(found, user):
    path = ask(found, user)

    assert [press(path), press(path)] == [200, 200]
    assert ConsentRecord.objects.filter(purpose=found.purpose).count() == 1


def test_a_link_that_was_used_does_not_bring_back_who_left(found, user, frozen):
    path = ask(found, user)
    press(path)
    frozen.forward(60)
    leave(found, user.pk, caller=SYSTEM, source="api")

    assert press(path) == 404
    assert status_of(found, user) == "unsubscribed"

    frozen.forward(60)
    newer = ask(found, user)
    assert press(path) == 404, "it is older than the request"
    assert status_of(found, user) == "pending"
    assert press(newer) == 200


def test_a_link_expires_after_a_week(found, user, frozen):
    path = ask(found, user)
    frozen.forward(7 * DAY_S - 1)
    assert Client().get(path).status_code == 200
    frozen.forward(1)

    assert Client().get(path).status_code == 404
    assert press(path) == 404
    assert status_of(found, user) == "pending"


def test_a_link_counts_for_the_address_it_was_sent_to(found, user):
    path = ask(found, user)
    ContactPoint.objects.set_primary(user_id=user.pk, kind="email", address="new@example.com")

    assert press(path) == 404
    assert status_of(found, user) == "pending"


def test_a_link_opens_no_other_list_and_no_other_person(found, user):
    other_list, other_user = make_list(double_opt_in=True), make_user()
    put_on(other_list, user)
    put_on(found, other_user)
    path = ask(found, user)
    head, _, tag = path.rpartition(".")
    kind, number, list_id, mark, ticks = head.removeprefix("/confirm/").split(".")
    fields = [
        (kind, number, str(other_list.pk), mark, ticks),
        (kind, str(other_user.pk), list_id, mark, ticks),
        (kind, number, list_id, mark, str(int(ticks) + 1)),
        ("c", number, list_id, mark, ticks),
    ]
    forged = [".".join((*each, tag)) for each in fields]
    forged += [sign_link(LinkKind.LIST_LEAVE, number, list_id, mark), f"l.{number}", "l."]

    for token in forged:
        assert Client().get(f"/confirm/{token}").status_code == 404
        assert press(f"/confirm/{token}") == 404
    statuses = set(ListMembership.objects.values_list("state", flat=True))
    assert statuses == {"pending"}
    assert not ConsentRecord.objects.exists()


def test_a_link_of_a_deleted_list_or_person_is_dead(found, user):
    path = ask(found, user)
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert press(path) == 404
    User.objects.filter(pk=user.pk).update(is_active=True)
    found.delete()
    make_list(slug=found.slug, name=found.name, double_opt_in=True)

    assert press(path) == 404
    assert not ListMembership.objects.exists()


def test_a_person_gets_few_mails_for_one_list(found, user, frozen):
    results = [put_on(found, user, ask_again=True, again=True)[user.pk] for _ in range(5)]

    expected = [JoinResult.PENDING] * MAILS_A_DAY + [JoinResult.THROTTLED] * 2
    assert results == expected
    leave(found, user.pk, caller=SYSTEM, source="api")
    again = put_on(found, user, ask_again=True, again=True)
    assert again[user.pk] is JoinResult.THROTTLED, "leaving does not begin the count anew"

    frozen.forward(DAY_S)
    assert put_on(found, user, again=True)[user.pk] is JoinResult.PENDING


def test_a_person_gets_few_mails_for_many_lists(user, frozen):
    results = [put_on(make_list(double_opt_in=True), user)[user.pk] for _ in range(8)]
    work()

    assert results == [JoinResult.PENDING] * MOST_A_DAY + [JoinResult.THROTTLED] * 3
    assert SandboxMessage.objects.count() == MOST_A_DAY

    SubscriberList.objects.all().delete()
    frozen.forward(DAY_S - 60)
    put_on(make_list(double_opt_in=True), user)
    work()
    assert SandboxMessage.objects.count() == MOST_A_DAY, "deleted lists count, too"
    assert NotificationMessage.objects.filter(status="suppressed").count() == 1

    SubscriberList.objects.all().delete()
    frozen.forward(120)
    assert put_on(make_list(double_opt_in=True), user)[user.pk] is JoinResult.PENDING
    work()
    assert SandboxMessage.objects.count() == MOST_A_DAY + 1


def test_who_waits_is_asked_again_only_on_request(found, user):
    ask(found, user)

    assert put_on(found, user)[user.pk] is JoinResult.UNCHANGED
    assert NotificationMessage.objects.count() == 1


def test_somebody_without_an_address_cannot_confirm(found):
    unreachable = make_user(email="")

    assert put_on(found, unreachable)[unreachable.pk] is JoinResult.NO_ADDRESS
    assert not ListMembership.objects.exists()


def test_a_confirmation_overrules_an_earlier_choice_against_the_category(found, user):
    PreferenceService().unsubscribe(
        caller=link_caller(user.pk), source="one_click", category="marketing"
    )

    press(ask(found, user))

    overall = preferences_of(user.pk)
    assert overall.overall.marketing_enabled is True
    assert overall.categories["marketing"].email_enabled is True
