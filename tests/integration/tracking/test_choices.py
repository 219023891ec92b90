"""Who decides that a mail is tracked: the service, the category, the sender and the person."""

from __future__ import annotations

from typing import Any

import pytest

from notifications.models import Category, UserNotificationPreference

pytestmark = pytest.mark.django_db


def tracking_of(mail: Any) -> tuple[bool, bool]:
    """Whether opens and clicks of a mail are tracked."""
    return bool(mail.pixel), bool(mail.links)


@pytest.mark.parametrize(
    ("mode", "options", "expected"),
    [
        ("asked", None, (False, False)),
        ("asked", {"track_opens": True}, (True, False)),
        ("asked", {"track_clicks": True}, (False, True)),
        ("on", None, (True, True)),
        ("on", {"track_opens": False}, (False, True)),
        ("on", {"track_clicks": False, "track_opens": False}, (False, False)),
        ("off", {"track_clicks": True, "track_opens": True}, (False, False)),
    ],
)
def test_the_service_and_the_sender_decide(
    send_mail, override_environment, mode, options, expected
):
    override_environment(track_opens=mode, track_clicks=mode)
    assert tracking_of(send_mail(options=options or {})) == expected


def test_a_person_who_refused_is_not_tracked(send_mail, person):
    UserNotificationPreference.objects.create(user=person, tracking_enabled=False)
    assert tracking_of(send_mail()) == (False, False)


@pytest.mark.parametrize("key", ["security", "system"])
def test_mails_that_sign_in_are_not_tracked(send_mail, key):
    assert not Category.objects.get(key=key).trackable
    category = Category.objects.get(key=key)
    assert tracking_of(send_mail(template={"category": category})) == (False, False)


def test_critical_mails_are_not_tracked(send_mail):
    assert tracking_of(send_mail(priority="critical")) == (False, False)


def test_only_marketing_mails_have_the_hidden_link(send_mail, person):
    assert "aria-hidden" not in send_mail().html
    UserNotificationPreference.objects.create(
        user=person, marketing_enabled=True, data_processing_consent=True
    )
    marketing = Category.objects.get(key="marketing")
    mail = send_mail(path="test.offers", template={"category": marketing})
    assert mail.html.count('aria-hidden="true"') == 1
    assert len(mail.links) == 3
    assert mail.text.count("/track/click") == 2, "no hidden link in the text"


def test_links_begin_with_the_tracking_host(send_mail, override_environment):
    override_environment(tracking_url="https://links.example.org")
    mail = send_mail()
    assert mail.hrefs[0].startswith("https://links.example.org/api/v1/track/click?m=")


def test_the_preference_is_set_by_the_api(as_user):
    body = {"global": {"tracking_enabled": False}}
    response = as_user.put("/api/v1/preferences", body, format="json")
    assert response.data["global"]["tracking_enabled"] is False
    assert not UserNotificationPreference.objects.get().tracking_enabled
