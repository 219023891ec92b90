"""Unsubscribing by signed links: the headers of RFC 8058, scanners, mail programs and forged
links."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from directory.models import User
from notifications.features.preferences.service import preferences_of
from notifications.infra.links import LinkKind, preferences_url, sign_link, unsubscribe_url
from notifications.models import (
    Category,
    ConsentRecord,
    NotificationCategoryPreference,
    SandboxMessage,
    UserNotificationPreference,
)
from tests.integration.factories import make_template, make_user, make_willing_user
from tests.integration.preferences.conftest import message, send, work

pytestmark = pytest.mark.django_db
HOME = "https://notify.example.com"
LINKS = "{{ amount }} {{ unsubscribe_url }} {{ preferences_url }}"


@pytest.fixture(autouse=True)
def public(override_environment: Any) -> None:
    override_environment(public_url=HOME)


def sent(user: User, category: str, *, text: str = LINKS, **more: Any) -> dict[str, Any]:
    """Returns the mail that a user got in a category, as the sandbox provider stored it."""
    make_template(category=Category.objects.get(key=category), email_body_template=text)
    send(user, **more)
    work()
    return dict(SandboxMessage.objects.get().content)


def path_of(url: str) -> str:
    assert url.startswith(f"{HOME}/"), url
    return url.removeprefix(HOME)


def header_path(mail: dict[str, Any]) -> str:
    return path_of(mail["headers"]["List-Unsubscribe"].strip("<>"))


def one_click(path: str, **more: Any) -> Any:
    """Posts like a mail program: no cookies, no Referer, CSRF enforced."""
    client = Client(enforce_csrf_checks=True)
    response = client.post(path, {"List-Unsubscribe": "One-Click"}, **more)
    assert response.cookies == {}
    return response


@pytest.mark.parametrize("category", ["marketing", "announcement", "course", "digest"])
def test_an_unsubscribable_mail_has_the_headers_of_rfc_8058(category):
    mail = sent(make_willing_user(), category)

    assert mail["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert re.fullmatch(r"<https://\S+/unsubscribe/u\.\d+\.[a-z]+\.[0-9a-f]{16}\.[\w-]{22}>",
                        mail["headers"]["List-Unsubscribe"])  # fmt: skip
    assert mail["body"].split()[1] == mail["headers"]["List-Unsubscribe"].strip("<>")


@pytest.mark.parametrize("category", ["security", "payment", "system"])
def test_a_transactional_mail_has_no_headers_and_only_a_preferences_link(category):
    mail = sent(make_willing_user(), category, text="[{{ unsubscribe_url }}] {{ preferences_url }}")

    assert mail["headers"] == {}
    assert mail["body"].startswith(f"[] {HOME}/preferences/p.")


def test_a_legal_obligation_is_never_unsubscribable():
    Category.objects.filter(key="course").update(legal_basis="legal_obligation")

    assert sent(make_willing_user(), "course")["headers"] == {}


def test_a_critical_mail_has_no_unsubscribe_headers():
    assert sent(make_willing_user(), "course", priority=1)["headers"] == {}


def test_other_channels_have_no_headers_but_may_show_the_links():
    user = make_willing_user(phone_number="+4915112345678")
    make_template(category=Category.objects.get(key="course"), sms_template="{{ unsubscribe_url }}")
    send(user, channel="sms")
    work()
    content = SandboxMessage.objects.get().content

    assert content["headers"] == {}
    assert content["body"] == unsubscribe_url(user.pk, "course", "+4915112345678")


def test_without_https_there_is_no_header_but_the_links_are_shown(override_environment):
    override_environment(public_url="http://127.0.0.1:8000")
    mail = sent(make_willing_user(), "course")

    assert mail["headers"] == {}
    assert mail["body"].split()[1].startswith("http://127.0.0.1:8000/unsubscribe/u.")


def test_headers_and_links_cost_no_query(django_assert_num_queries):
    with django_assert_num_queries(0):
        unsubscribe_url(7, "course", "ada@example.com")
        preferences_url(7, "ada@example.com")


def test_a_scanner_that_opens_every_link_changes_nothing(client):
    user = make_willing_user()
    mail = sent(user, "marketing")
    before = preferences_of(user.pk)
    links = [*re.findall(r"https://\S+", mail["body"]), HOME + header_path(mail)]

    for url in links:
        for method in (client.get, client.head):
            assert method(path_of(url)).status_code == 200, url
    api = f"/api/v1/preferences/unsubscribe?token={header_path(mail).rpartition('/')[2]}"
    assert client.get(api).status_code == 405

    assert len(links) == 3
    assert preferences_of(user.pk) == before
    assert ConsentRecord.objects.count() == 0


def test_one_click_works_without_cookies_and_suppresses_the_next_mail():
    user = make_willing_user()
    mail = sent(user, "marketing")

    response = one_click(header_path(mail), REMOTE_ADDR="192.0.2.7")

    assert (response.status_code, response.content) == (200, b"unsubscribed\n")
    assert preferences_of(user.pk).overall.marketing_enabled is False
    entry = ConsentRecord.objects.get()
    assert (entry.user_id, entry.purpose, entry.granted) == (user.pk, "category:marketing", False)
    assert (entry.source, entry.actor, entry.ip) == ("one_click", "link", "192.0.2.7")
    again = send(user, scheduled_at="2030-01-01T00:00:00Z")
    assert message(again).status == "pending"


def test_the_same_click_again_writes_nothing():
    user = make_willing_user()
    path = header_path(sent(user, "course"))

    statuses = [one_click(path).status_code for _ in range(3)]

    assert statuses == [200, 200, 200]
    assert ConsentRecord.objects.count() == 1
    assert preferences_of(user.pk).categories["course"].email_enabled is False
    assert preferences_of(user.pk).overall.notifications_enabled is True


def test_the_api_route_unsubscribes_like_the_page():
    user = make_user()
    token = sign_link(LinkKind.UNSUBSCRIBE, str(user.pk), "course")

    response = one_click(f"/api/v1/preferences/unsubscribe?token={token}")
    other = one_click(f"/api/v1/preferences/unsubscribe?token={token}&category=announcement")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert other.status_code == 200
    assert sorted(preferences_of(user.pk).categories) == ["announcement", "course"]
    assert [e.source for e in ConsentRecord.objects.all()] == ["one_click"] * 2


def forged(user: User) -> list[str]:
    good = sign_link(LinkKind.UNSUBSCRIBE, str(user.pk), "course")
    other = sign_link(LinkKind.UNSUBSCRIBE, str(user.pk + 1), "course")
    mark = sign_link(LinkKind.PREFERENCES, str(user.pk), "course")
    body, _, tag = good.rpartition(".")
    return [
        body, f"{body}.", f"{body}.{'A' * 22}", f"{body}.{tag[:-1]}", f"{body}.{tag}=",
        f"{body}.{other.rpartition('.')[2]}", mark, good.replace(".course.", ".marketing."),
        good.replace("u", "c", 1), "u", ".", "я" * 9, "x" * 5_000,
    ]  # fmt: skip


def test_forged_and_truncated_tokens_change_nothing_and_get_an_error():
    user = make_willing_user()
    tokens = forged(user)

    posted = [one_click(f"/unsubscribe/{token}") for token in tokens]
    called = [one_click(f"/api/v1/preferences/unsubscribe?token={token}") for token in tokens]

    pages = [Client().post(f"/unsubscribe/{token}", {"page": "1"}) for token in tokens]
    shown = [Client().get(f"/unsubscribe/{token}") for token in tokens]
    empty = one_click("/api/v1/preferences/unsubscribe")

    for response in (*posted, *called, *pages, *shown, empty):
        assert response.status_code == 400
        assert b"othing was changed" in response.content
    assert {response.json()["code"] for response in (*called, empty)} == {"invalid_link"}
    assert ConsentRecord.objects.count() == 0
    assert NotificationCategoryPreference.objects.count() == 0
    assert UserNotificationPreference.objects.get().marketing_enabled is True


def test_a_token_of_another_installation_does_nothing(settings):
    user = make_user()
    settings.SECRET_KEY = "another installation's" + "x" * 40
    foreign = sign_link(LinkKind.UNSUBSCRIBE, str(user.pk), "course")
    settings.SECRET_KEY = "ours" + "y" * 40

    assert one_click(f"/unsubscribe/{foreign}").status_code == 400
    assert Client().get(f"/unsubscribe/{foreign}").status_code == 400
    assert ConsentRecord.objects.count() == 0


def test_links_stay_valid_with_a_fallback_key(settings):
    user = make_user()
    path = path_of(unsubscribe_url(user.pk, "course"))
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new one" + "z" * 40

    assert one_click(path).status_code == 200
    assert ConsentRecord.objects.count() == 1


def test_links_of_erased_users_and_retired_categories_get_200():
    user = make_user()
    gone = path_of(unsubscribe_url(user.pk + 1_000, "course"))
    retired = path_of(unsubscribe_url(user.pk, "no_more"))

    assert [one_click(path).status_code for path in (gone, retired)] == [200, 200]
    assert Client().get(gone).status_code == 200
    assert ConsentRecord.objects.count() == 0


def test_the_page_unsubscribes_from_the_category_or_from_everything():
    user = make_willing_user()
    path = path_of(unsubscribe_url(user.pk, "course"))
    client = Client(enforce_csrf_checks=True)

    shown = client.get(path)
    done = client.post(path, {"page": "1"})
    ended = client.post(path, {"page": "1", "everything": "1"})

    assert 'method="post"' in shown.content.decode()
    assert "Stop receiving course notices?" in shown.content.decode()
    assert "You will receive no more course notices." in done.content.decode()
    assert "“Course”: off on every channel" in done.content.decode()
    assert "From now on you receive only urgent messages." in ended.content.decode()
    entries = [(e.purpose, e.source) for e in ConsentRecord.objects.order_by("pk")]
    assert entries == [("category:course", "unsubscribe_page"), ("all", "unsubscribe_page")]
    words = [entry.wording for entry in ConsentRecord.objects.order_by("pk")]
    assert words == [
        "Stop receiving course notices?",
        "Stop receiving everything except urgent messages?",
    ]
    assert preferences_of(user.pk).overall.notifications_enabled is False


def test_a_link_for_everything_leaves_urgent_messages():
    user = make_willing_user()

    one_click(path_of(unsubscribe_url(user.pk, "")))

    assert preferences_of(user.pk).overall.notifications_enabled is False
    assert ConsentRecord.objects.get().purpose == "all"


def test_the_page_is_localised_not_cached_and_sends_no_referer():
    path = path_of(unsubscribe_url(make_user().pk, "course"))

    response = Client().get(f"{path}?lang=ru")

    assert "Больше не получать сообщения" in response.content.decode()
    assert '<html lang="ru">' in response.content.decode()
    assert response["Cache-Control"] == "no-store"
    assert response["Referrer-Policy"] == "no-referrer"
    assert response["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")
    assert response.cookies == {}


def test_other_methods_are_refused(client):
    path = path_of(unsubscribe_url(make_user().pk, "course"))

    assert client.put(path).status_code == 405
    assert client.delete(path).status_code == 405
