"""The pages of unsubscribe links: whose address they show, and their undo button."""

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
from tests.integration.factories import delete_row, make_willing_user

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
    """Returns the rows that unsubscribing may change, without times."""
    wanted = UserNotificationPreference.objects.filter(user=user)
    overall = wanted.values("notifications_enabled", "marketing_enabled", "chosen", "dnd_until")
    rows = NotificationCategoryPreference.objects.filter(user=user).order_by("category").values()
    times = ("id", "created_at", "updated_at")
    own = [{name: row[name] for name in row if name not in times} for row in rows]
    return list(overall), own


def ended(browser: Client, path: str, **more: str) -> dict[str, str]:
    """Presses a button. Returns the form of the undo."""
    text = browser.post(path, {"page": "1", **more}).content.decode()
    return {"page": "1", "undo": re.findall(r'name="undo" value="([^"]+)"', text)[0]}


def choose(user: User, **switches: bool) -> None:
    changes = {"categories": {"course": switches}}
    PreferenceService().update(changes=changes, caller=link_caller(user.pk))


@pytest.mark.parametrize("choices", [{}, {"push_enabled": False}, {"sms_enabled": True},
                                  {"email_enabled": True, "telegram_enabled": False}])  # fmt: skip
def test_an_undo_restores_exactly_what_was_chosen(browser, user, choices):
    if choices:
        choose(user, **choices)
    before = rows_of(user)
    form = ended(browser, path_for(user, "course"))
    assert rows_of(user) != before

    response = browser.post(path_for(user, "course"), form)

    assert "Your earlier preferences are restored." in response.content.decode()
    assert rows_of(user) == before


@pytest.mark.parametrize(("category", "more"), [("marketing", {}), ("course", {"everything": "1"}),
                                                ("", {})])  # fmt: skip
def test_an_undo_restores_general_flags(browser, user, category, more):
    before = rows_of(user)
    form = ended(browser, path_for(user, category), **more)
    assert preferences_of(user.pk).overall.marketing_enabled is False

    browser.post(path_for(user, category), form)

    assert rows_of(user) == before


def test_an_undo_does_not_switch_on_flags_that_were_off(browser, user):
    UserNotificationPreference.objects.filter(user=user).update(marketing_enabled=False)

    browser.post(path_for(user, "marketing"), ended(browser, path_for(user, "marketing")))

    assert preferences_of(user.pk).overall.marketing_enabled is False
    assert preferences_of(user.pk).categories == {}


def test_a_second_undo_changes_nothing_and_the_ledger_only_grows(browser, user):
    form = ended(browser, path_for(user, "course"))
    responses = [browser.post(path_for(user, "course"), form) for _ in range(3)]

    assert [response.status_code for response in responses] == [200] * 3
    assert all(
        b"Your earlier preferences are restored." in response.content for response in responses
    )
    entries = ConsentRecord.objects.order_by("pk").values_list(
        "purpose", "granted", "source", "actor"
    )
    assert list(entries) == [
        ("category:course", False, "unsubscribe_page", "link"),
        ("category:course", True, "unsubscribe_undo", "link"),
    ]


def test_an_old_undo_does_not_overrule_a_newer_choice(browser, user):
    form = ended(browser, path_for(user, "course"))
    choose(user, push_enabled=True)
    choose(user, push_enabled=False)
    before = rows_of(user)

    response = browser.post(path_for(user, "course"), form)

    assert "Something has changed since" in response.content.decode()
    assert rows_of(user) == before


def test_an_undo_does_not_restore_marketing_that_was_withdrawn_since(browser, user):
    form = ended(browser, path_for(user, "marketing"))
    ConsentService().withdraw(purpose="marketing", source="api", caller=link_caller(user.pk))

    browser.post(path_for(user, "marketing"), form)

    assert preferences_of(user.pk).overall.marketing_enabled is False


def test_an_undo_survives_unsubscribing_from_another_category(browser, user):
    form = ended(browser, path_for(user, "course"))
    ended(browser, path_for(user, "announcement"))

    browser.post(path_for(user, "course"), form)

    assert sorted(preferences_of(user.pk).categories) == ["announcement"]


def test_an_undo_lasts_for_a_day(browser, user, frozen):
    form = ended(browser, path_for(user, "course"))
    frozen.forward(24 * 3_600)

    assert b"or 24 hours have passed" in browser.post(path_for(user, "course"), form).content
    assert preferences_of(user.pk).categories["course"].email_enabled is False


def test_an_unsubscribe_that_changed_nothing_offers_no_undo(browser, user):
    ended(browser, path_for(user, "course"))
    text = browser.post(path_for(user, "course"), {"page": "1"}).content.decode()

    assert "It was off already: nothing was changed." in text
    assert 'name="undo"' not in text


@pytest.mark.parametrize("form", [{}, {"page": "1"}], ids=["one click", "the page"])
def test_a_repeated_unsubscribe_ends_the_undo_of_the_first(browser, user, form):
    """A mail was forwarded. Its receiver unsubscribed, and later the user did the same."""
    undo = ended(browser, path_for(user, "course"))
    for _ in range(3):
        browser.post(path_for(user, "course"), form)

    response = browser.post(path_for(user, "course"), undo)

    assert b"Nothing was undone" in response.content
    assert preferences_of(user.pk).categories["course"].email_enabled is False
    entries = ConsentRecord.objects.order_by("pk").values_list("granted", "source")
    assert list(entries) == [(False, "unsubscribe_page"), (False, "unsubscribe_again")]


def test_a_forged_undo_or_one_of_another_user_is_refused(browser, user):
    path = path_for(user, "course")
    good = ended(browser, path)["undo"]
    other = make_willing_user(email="bob@example.com")
    theirs = path_for(other, "course", "bob@example.com")
    before = rows_of(user)
    wrong = [good[:-1], f"{good}=", "", "я", "b.1", sign_link(LinkKind.UNSUBSCRIBE, "1", "course")]

    for undo in wrong:
        response = browser.post(path, {"page": "1", "undo": undo})
        assert response.status_code == 400, undo
        assert b"Nothing was changed." in response.content
    assert browser.post(theirs, {"page": "1", "undo": good}).status_code == 400
    assert rows_of(user) == before
    assert ConsentRecord.objects.count() == 1


def test_an_undo_for_an_erased_user_restores_nothing(browser, user):
    path = path_for(user, "course")
    form = ended(browser, path)
    delete_row(user.pk)

    assert browser.post(path, form).status_code == 200
    assert not NotificationCategoryPreference.objects.exists()


def test_the_page_lists_changes_in_the_terms_of_the_preferences(browser, user):
    Category.objects.filter(key="course").update(marketing=True)
    refresh_categories()
    text = browser.post(f"{path_for(user, 'course')}?lang=ru", {"page": "1"}).content.decode()

    assert "Вы больше не будете получать сообщения" in text
    assert "<li>«Учёба»: выключено на всех каналах</li>" in text
    assert "<li>Новости и предложения: выключено</li>" in text
    assert "Отменить отписку" in text


def test_a_custom_category_has_the_same_name_in_every_language(browser, user):
    Category.objects.create(key="lab", name="Lab <text>")
    refresh_categories()
    shown = [
        browser.get(f"{path_for(user, 'lab')}?lang={code}").content.decode()
        for code in ("en", "ru")
    ]

    assert "Stop receiving messages about “Lab &lt;text&gt;”?" in shown[0]
    assert "Больше не получать сообщения из раздела «Lab &lt;text&gt;»?" in shown[1]


def test_a_page_shows_the_masked_address_and_a_preferences_link_for_an_hour(browser, user, frozen):
    text = browser.get(path_for(user, "course")).content.decode()

    assert "For <strong>a***@example.com</strong>" in text
    assert ADDRESS not in text
    link = re.findall(r'href="http://127.0.0.1:8000(/preferences/p[^"?]+)', text)[0]
    assert browser.get(link).status_code == 200
    frozen.forward(3_600)
    assert browser.get(link).status_code == 404


@pytest.mark.parametrize("given", ["", "old@example.com"])
def test_a_link_to_a_former_address_reveals_nothing_about_the_user(browser, user, given):
    """The link still unsubscribes."""
    ContactPoint.objects.set_primary(user_id=user.pk, kind="email", address="new@example.com")
    path = path_for(user, "course", given)
    shown = browser.get(path).content.decode()
    done = browser.post(path, {"page": "1"}).content.decode()

    for text in (shown, done):
        assert "example.com" not in text
        assert 'href="/preferences?lang=en"' in text
    assert preferences_of(user.pk).categories["course"].email_enabled is False
