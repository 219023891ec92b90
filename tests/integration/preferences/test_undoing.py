"""The pages behind links to unsubscribe: whom they speak to, and the button that undoes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from directory.models import ContactPoint, User
from notifications.engine.shared_rows import refresh_categories
from notifications.features.preferences.consents import ConsentService
from notifications.features.preferences.service import PreferenceService, preferences_of
from notifications.features.preferences.unsubscribe import link_caller
from notifications.infra.links import LinkKind, sign_link, unsubscribe_url
from notifications.models import (
    Category,
    ConsentRecord,
    NotificationCategoryPreference,
    UserNotificationPreference,
)
from tests.integration.factories import make_willing_user

pytestmark = pytest.mark.django_db
ADDRESS = "ada@example.com"


@pytest.fixture
def user() -> User:
    return make_willing_user(email=ADDRESS)


@pytest.fixture
def browser() -> Client:
    """No login, CSRF enforced."""
    return Client(enforce_csrf_checks=True)


def path_for(user: User, category: str, address: str = ADDRESS) -> str:
    return unsubscribe_url(user.pk, category, address).removeprefix("http://127.0.0.1:8000")


def rows_of(user: User) -> tuple[Any, ...]:
    """All that unsubscribing may touch, but for times."""
    wanted = UserNotificationPreference.objects.filter(user=user)
    overall = wanted.values("notifications_enabled", "marketing_enabled", "chosen", "dnd_until")
    rows = NotificationCategoryPreference.objects.filter(user=user).order_by("category").values()
    times = ("id", "created_at", "updated_at")
    own = [{name: row[name] for name in row if name not in times} for row in rows]
    return list(overall), own


def ended(browser: Client, path: str, **more: str) -> dict[str, str]:
    """Presses a button; returns the form of the undo."""
    text = browser.post(path, {"page": "1", **more}).content.decode()
    return {"page": "1", "undo": re.findall(r'name="undo" value="([^"]+)"', text)[0]}


def choose(user: User, **switches: bool) -> None:
    changes = {"categories": {"course": switches}}
    PreferenceService().update(changes=changes, caller=link_caller(user.pk))


@pytest.mark.parametrize("said", [{}, {"push_enabled": False}, {"sms_enabled": True},
                                  {"email_enabled": True, "telegram_enabled": False}])  # fmt: skip
def test_undoing_brings_back_exactly_what_was_chosen(browser, user, said):
    if said:
        choose(user, **said)
    before = rows_of(user)
    form = ended(browser, path_for(user, "course"))
    assert rows_of(user) != before

    answer = browser.post(path_for(user, "course"), form)

    assert "Your earlier preferences are restored." in answer.content.decode()
    assert rows_of(user) == before


@pytest.mark.parametrize(("category", "more"), [("marketing", {}), ("course", {"everything": "1"}),
                                                ("", {})])  # fmt: skip
def test_undoing_brings_back_what_was_on_in_general(browser, user, category, more):
    before = rows_of(user)
    form = ended(browser, path_for(user, category), **more)
    assert preferences_of(user.pk).overall.marketing_enabled is False

    browser.post(path_for(user, category), form)

    assert rows_of(user) == before


def test_undoing_leaves_off_in_general_what_was_off(browser, user):
    UserNotificationPreference.objects.filter(user=user).update(marketing_enabled=False)

    browser.post(path_for(user, "marketing"), ended(browser, path_for(user, "marketing")))

    assert preferences_of(user.pk).overall.marketing_enabled is False
    assert preferences_of(user.pk).categories == {}


def test_undoing_twice_is_undoing_once_and_the_ledger_only_grows(browser, user):
    form = ended(browser, path_for(user, "course"))
    answers = [browser.post(path_for(user, "course"), form) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert all(b"Your earlier preferences are restored." in answer.content for answer in answers)
    told = ConsentRecord.objects.order_by("pk").values_list("purpose", "granted", "source", "actor")
    assert list(told) == [
        ("category:course", False, "unsubscribe_page", "link"),
        ("category:course", True, "unsubscribe_undo", "link"),
    ]


def test_an_old_undo_does_not_overrule_what_was_said_since(browser, user):
    form = ended(browser, path_for(user, "course"))
    choose(user, push_enabled=True)
    choose(user, push_enabled=False)
    before = rows_of(user)

    answer = browser.post(path_for(user, "course"), form)

    assert "Something has changed since" in answer.content.decode()
    assert rows_of(user) == before


def test_marketing_that_was_ended_elsewhere_since_does_not_come_back(browser, user):
    form = ended(browser, path_for(user, "marketing"))
    ConsentService().withdraw(purpose="marketing", source="api", caller=link_caller(user.pk))

    browser.post(path_for(user, "marketing"), form)

    assert preferences_of(user.pk).overall.marketing_enabled is False


def test_an_undo_of_one_category_outlives_the_end_of_another(browser, user):
    form = ended(browser, path_for(user, "course"))
    ended(browser, path_for(user, "announcement"))

    browser.post(path_for(user, "course"), form)

    assert sorted(preferences_of(user.pk).categories) == ["announcement"]


def test_an_undo_lasts_for_a_day(browser, user, frozen):
    form = ended(browser, path_for(user, "course"))
    frozen.forward(24 * 3_600)

    assert b"or 24 hours have passed" in browser.post(path_for(user, "course"), form).content
    assert preferences_of(user.pk).categories["course"].email_enabled is False


def test_what_changed_nothing_offers_no_undo(browser, user):
    ended(browser, path_for(user, "course"))
    text = browser.post(path_for(user, "course"), {"page": "1"}).content.decode()

    assert "It was off already: nothing was changed." in text
    assert 'name="undo"' not in text


@pytest.mark.parametrize("form", [{}, {"page": "1"}], ids=["one click", "the page"])
def test_who_ends_the_same_once_more_is_not_overruled_by_an_undo(browser, user, form):
    """A mail was forwarded: a stranger ended it and kept their page, then the person ended it."""
    undo = ended(browser, path_for(user, "course"))
    for _ in range(3):
        browser.post(path_for(user, "course"), form)

    answer = browser.post(path_for(user, "course"), undo)

    assert b"Nothing was undone" in answer.content
    assert preferences_of(user.pk).categories["course"].email_enabled is False
    told = ConsentRecord.objects.order_by("pk").values_list("granted", "source")
    assert list(told) == [(False, "unsubscribe_page"), (False, "unsubscribe_again")]


def test_an_undo_that_was_not_made_here_or_for_somebody_else_is_refused(browser, user):
    path = path_for(user, "course")
    good = ended(browser, path)["undo"]
    other = make_willing_user(email="bob@example.com")
    theirs = path_for(other, "course", "bob@example.com")
    before = rows_of(user)
    wrong = [good[:-1], f"{good}=", "", "я", "b.1", sign_link(LinkKind.UNSUBSCRIBE, "1", "course")]

    for undo in wrong:
        answer = browser.post(path, {"page": "1", "undo": undo})
        assert answer.status_code == 400, undo
        assert b"Nothing was changed." in answer.content
    assert browser.post(theirs, {"page": "1", "undo": good}).status_code == 400
    assert rows_of(user) == before
    assert ConsentRecord.objects.count() == 1


def test_an_undo_of_somebody_who_was_erased_brings_nothing_back(browser, user):
    path = path_for(user, "course")
    form = ended(browser, path)
    user.delete()

    assert browser.post(path, form).status_code == 200
    assert not NotificationCategoryPreference.objects.exists()


def test_what_changed_is_told_in_the_words_of_the_preferences(browser, user):
    Category.objects.filter(key="course").update(marketing=True)
    refresh_categories()
    text = browser.post(f"{path_for(user, 'course')}?lang=ru", {"page": "1"}).content.decode()

    assert "Вы больше не будете получать сообщения" in text
    assert "<li>«Учёба»: выключено на всех каналах</li>" in text
    assert "<li>Новости и предложения: выключено</li>" in text
    assert "Отменить отписку" in text


def test_an_own_category_keeps_its_name_in_every_language(browser, user):
    Category.objects.create(key="lab", name="Lab <news>")
    refresh_categories()
    shown = [
        browser.get(f"{path_for(user, 'lab')}?lang={code}").content.decode()
        for code in ("en", "ru")
    ]

    assert "Stop receiving messages about “Lab &lt;news&gt;”?" in shown[0]
    assert "Больше не получать сообщения из раздела «Lab &lt;news&gt;»?" in shown[1]


def test_a_page_names_the_address_cut_short_and_leads_to_the_preferences_for_an_hour(
    browser, user, frozen
):
    text = browser.get(path_for(user, "course")).content.decode()

    assert "For <strong>a***@example.com</strong>" in text
    assert ADDRESS not in text
    link = re.findall(r'href="http://127.0.0.1:8000(/preferences/p[^"?]+)', text)[0]
    assert browser.get(link).status_code == 200
    frozen.forward(3_600)
    assert browser.get(link).status_code == 404


@pytest.mark.parametrize("given", ["", "old@example.com"])
def test_a_link_to_an_address_that_is_theirs_no_more_shows_nothing_of_them(browser, user, given):
    """It still ends what it was made to end."""
    ContactPoint.objects.set_primary(user_id=user.pk, kind="email", address="new@example.com")
    path = path_for(user, "course", given)
    shown = browser.get(path).content.decode()
    done = browser.post(path, {"page": "1"}).content.decode()

    for text in (shown, done):
        assert "example.com" not in text
        assert 'href="/preferences?lang=en"' in text
    assert preferences_of(user.pk).categories["course"].email_enabled is False
