"""The hosted preference centre: by link and by session, one form, without scripts."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from structlog.testing import capture_logs

from directory.models import ContactPoint, User
from notifications.features.preferences.centre import PreferenceCentre
from notifications.features.preferences.service import PreferenceService, preferences_of
from notifications.features.preferences.unsubscribe import link_caller
from notifications.infra import clock
from notifications.infra.links import LinkKind, preferences_url, sign_link
from notifications.models import Category, ConsentRecord, UserNotificationPreference
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    return make_user(timezone="Europe/Paris")


def path_for(user: User, address: str = "") -> str:
    return preferences_url(user.pk, address).removeprefix("http://127.0.0.1:8000")


def form_of(text: str) -> dict[str, str]:
    """Returns what a browser would post if the user changed nothing."""
    values = {}
    for tag in re.findall(r"<input [^>]*>", text):
        given = {name: unescape(value) for name, value in re.findall(r'([\w-]+)="([^"]*)"', tag)}
        if given["type"] not in ("checkbox", "radio") or " checked" in tag:
            values[given["name"]] = given.get("value", "")
    for name, options in re.findall(r'<select id="\w+" name="(\w+)".*?>(.*?)</select>', text, re.S):
        chosen = re.search(r"<option selected>([^<]*)<", options)
        values[name] = chosen.group(1) if chosen else ""
    return values


def opened(client: Client, path: str) -> dict[str, str]:
    response = client.get(path)
    assert response.status_code == 200
    return form_of(response.content.decode())


def save(client: Client, path: str, *, untick: tuple[str, ...] = (), **more: str) -> Any:
    form = opened(client, path) | more
    return client.post(path, {name: form[name] for name in form if name not in untick})


@pytest.fixture
def browser() -> Client:
    """No login, CSRF enforced."""
    return Client(enforce_csrf_checks=True)


def test_saving_an_untouched_form_changes_nothing(browser, user):
    response = save(browser, path_for(user))

    assert (response.status_code, response.url) == (302, f"{path_for(user)}?saved=1&lang=en")
    assert response.cookies == {}
    row = UserNotificationPreference.objects.get()
    assert (row.chosen, row.notifications_enabled, row.quiet_hours_enabled) == ("", True, False)
    assert ConsentRecord.objects.count() == 0
    assert preferences_of(user.pk).categories == {}


def test_changes_are_saved_and_shown_again(browser, user):
    response = save(
        browser, path_for(user), untick=("push_enabled", "course:email_enabled"),
        sms_enabled="on", quiet_hours_enabled="on", quiet_hours_start="21:30",
        quiet_hours_end="07:15", timezone="Asia/Tokyo", digest_frequency="daily",
    )  # fmt: skip

    assert response.status_code == 302
    found = preferences_of(user.pk)
    overall = found.overall
    assert (overall.push_enabled, overall.sms_enabled, overall.email_enabled) == (False, True, True)
    assert (overall.quiet_hours_enabled, overall.timezone) == (True, "Asia/Tokyo")
    assert (overall.quiet_hours_start, overall.quiet_hours_end) == ("21:30:00", "07:15:00")
    assert overall.digest_frequency == "daily"
    assert found.categories["course"].email_enabled is False
    form = opened(browser, path_for(user))
    assert (form["timezone"], form["quiet_hours_start"]) == ("Asia/Tokyo", "21:30")
    assert form["digest_frequency"] == "daily"
    assert "course:email_enabled" not in form
    assert "push_enabled" not in form
    assert "Saved." in browser.get(response.url).content.decode()


def test_consent_is_recorded_with_the_wording_that_was_shown(browser, user):
    save(browser, path_for(user), data_processing_consent="on", marketing_enabled="on")
    save(browser, path_for(user), untick=("marketing_enabled", "notifications_enabled"))

    entries = list(ConsentRecord.objects.order_by("pk"))
    recorded = sorted((e.purpose, e.granted) for e in entries)
    assert recorded == [("all", False), ("data_processing", True), ("marketing", False),
                    ("marketing", True)]  # fmt: skip
    assert {(e.source, e.actor, e.ip) for e in entries} == {
        ("preference_centre", "link", "127.0.0.1")
    }
    words = {e.purpose: e.wording for e in entries}
    assert words["marketing"] == "I want to receive news and offers from Carillon."
    assert words["data_processing"].startswith("I agree that Carillon uses my data")


def test_switching_a_category_off_and_on_is_recorded(browser, user):
    boxes = tuple(
        f"course:{name}_enabled"
        for name in ("push", "email", "sms", "websocket", "in_app", "telegram")
    )
    browser.post(path_for(user), {"shown": " ".join(boxes)})
    save(browser, path_for(user), **{"course:email_enabled": "on"})

    entries = [(e.purpose, e.granted) for e in ConsentRecord.objects.order_by("pk")]
    assert entries == [("category:course", False), ("category:course", True)]


def test_a_concurrent_change_is_not_overwritten(browser, user):
    form = opened(browser, path_for(user))
    PreferenceService().update(
        changes={"global": {"push_enabled": False, "timezone": "Asia/Tokyo"}},
        caller=link_caller(user.pk),
    )

    browser.post(path_for(user), {k: v for k, v in form.items() if k != "email_enabled"})

    overall = preferences_of(user.pk).overall
    assert (overall.push_enabled, overall.email_enabled) == (False, False)
    assert overall.timezone == "Asia/Tokyo"


def test_do_not_disturb_can_be_set_and_ended(browser, user, frozen):
    save(browser, path_for(user), mute="4")
    assert preferences_of(user.pk).overall.dnd_until == clock.now() + timedelta(hours=4)
    text = browser.get(path_for(user)).content.decode()
    assert "Notifications are paused until" in text

    save(browser, path_for(user))
    assert preferences_of(user.pk).overall.dnd_until is not None

    save(browser, path_for(user), mute="0")
    assert preferences_of(user.pk).overall.dnd_until is None


def test_an_invalid_value_is_shown_beside_its_field_and_nothing_is_saved(browser, user):
    response = save(browser, path_for(user), untick=("push_enabled",), quiet_hours_start="25:99")
    text = response.content.decode()

    assert response.status_code == 400
    assert '<a href="#quiet_hours_start">Start of quiet hours</a>' in text
    assert 'value="25:99" required aria-invalid="true" aria-describedby="e_start"' in text
    assert "push_enabled" not in form_of(text)
    assert not UserNotificationPreference.objects.exists()

    again = form_of(text) | {"quiet_hours_start": "21:00"}
    assert browser.post(path_for(user), again).status_code == 302
    assert preferences_of(user.pk).overall.push_enabled is False


def test_boxes_show_what_is_inherited(browser, user):
    Category.objects.filter(key="course").update(default_preferences={"sms_enabled": True})

    form = opened(browser, path_for(user))

    assert "course:sms_enabled" in form
    assert "announcement:sms_enabled" not in form
    assert "sms_enabled" not in form


def test_a_link_is_valid_only_while_its_address_is_the_users(browser, user):
    path = path_for(user, user.email)
    assert browser.get(path).status_code == 200

    ContactPoint.objects.set_primary(user_id=user.pk, kind="email", address="new@example.com")

    assert browser.get(path).status_code == 404
    assert browser.post(path, {"shown": "push_enabled"}).status_code == 404
    assert not UserNotificationPreference.objects.exists()


def test_a_link_shows_a_masked_address(browser, user):
    """The link may have been forwarded. A logged-in user sees the whole address."""
    user.email = "ada@example.com"
    user.save()
    for path in (path_for(user), path_for(user, "ada@example.com")):
        text = browser.get(path).content.decode()
        assert "For <strong>a***@example.com</strong>" in text
        assert "ada@" not in text
    browser.force_login(user)
    assert "For <strong>ada@example.com</strong>" in browser.get("/preferences").content.decode()


def test_forged_links_open_nothing(browser, user):
    other = sign_link(LinkKind.UNSUBSCRIBE, str(user.pk), "")
    good = path_for(user).rpartition("/")[2]
    body, _, tag = good.rpartition(".")
    tokens = [other, body, f"{body}.{'A' * 22}", good[:-1], f"{body.replace('p', 'u', 1)}.{tag}",
              sign_link(LinkKind.PREFERENCES, str(user.pk + 1_000), "", ""), "x"]  # fmt: skip

    for token in tokens:
        assert browser.get(f"/preferences/{token}").status_code == 404, token
        posted = browser.post(f"/preferences/{token}", {"shown": "push_enabled"})
        assert posted.status_code == 404
    assert not UserNotificationPreference.objects.exists()


def test_the_page_has_no_scripts_no_foreign_resources_and_is_not_cached(browser, user):
    response = browser.get(path_for(user))
    text = response.content.decode()

    policy = response["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; img-src 'self'")
    assert "<script" not in text
    assert "style=" not in text
    assert re.findall(r'(?:src|href)="(?!/static/|\?lang=)[^"]*"', text) == []
    assert (response["Cache-Control"], response["Referrer-Policy"]) == ("no-store", "no-referrer")
    assert response.cookies == {}


def test_the_page_uses_the_users_language_or_the_requested_one(browser):
    path = path_for(make_user(locale="ru_RU"))

    russian = browser.get(path).content.decode()
    english = browser.get(f"{path}?lang=en").content.decode()

    assert '<html lang="ru">' in russian
    assert "Ваши настройки уведомлений" in russian
    assert "Новости и предложения: Эл. почта" in russian
    assert "на 4 часа" in russian
    assert "Your notification preferences" in english


def test_the_russian_page_has_no_english_text(browser):
    russian = browser.get(path_for(make_user(locale="ru"))).content.decode()
    english = browser.get(f"{path_for(make_user())}?lang=en").content.decode()

    def words(text: str) -> set[str]:
        return {word for word in re.findall(r">([A-Za-z][^<]{2,})<", text) if "@" not in word}

    zones = {word for word in words(english) if "/" in word or word == "UTC"}
    assert words(russian) & words(english) - zones <= {"Telegram", "English"}


def test_a_logged_in_user_needs_a_csrf_token_and_no_link(user):
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    form = opened(client, "/preferences")

    refused = client.post("/preferences", {"shown": "push_enabled"})
    done = client.post("/preferences", {k: v for k, v in form.items() if k != "push_enabled"})

    assert refused.status_code == 403
    assert done.status_code == 302
    assert preferences_of(user.pk).overall.push_enabled is False


def test_a_visitor_without_a_session_sees_how_to_sign_in(browser):
    text = browser.get("/preferences/").content.decode()

    assert "/account/login?next=/preferences" in text


def test_a_link_for_the_platform_is_valid_for_an_hour(user, frozen, client):
    response = PreferenceCentre().link(caller=link_caller(user.pk))
    path = response.url.removeprefix("http://127.0.0.1:8000")

    assert response.expires_at == clock.now() + timedelta(hours=1)
    assert client.get(path).status_code == 200
    frozen.forward(3_600)
    assert client.get(path).status_code == 404


def test_logs_contain_no_link(browser, user):
    """A refused form is logged without its path, which is a credential."""
    path = path_for(user)
    with capture_logs() as lines:
        save(browser, path, quiet_hours_start="25:99")
        browser.get("/unsubscribe/u.1.course.forged")

    paths = [line["path"] for line in lines if line["event"] == "request.refused"]
    assert paths == ["/preferences/...", "/unsubscribe/..."]
