"""The selection of a message's provider."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from notifications.delivery import services
from notifications.delivery.routing import provider_for


@pytest.fixture(autouse=True)
def _no_trouble():
    yield
    services.use_troubled({})


@pytest.fixture
def three_to_one(settings):
    settings.CARILLON = replace(settings.CARILLON, email_provider="ses=3,smtp=1")


def chosen(key, *, attempts=0, pinned=None):
    return provider_for("email", key=key, attempts=attempts, pinned=pinned)


def test_one_provider_sends_everything(settings):
    settings.CARILLON = replace(settings.CARILLON, email_provider="smtp")
    assert {chosen(key) for key in range(100)} == {"smtp"}


def test_weights_share_the_messages(three_to_one):
    counts = Counter(chosen(key) for key in range(4000))
    assert counts["ses"] / 4000 == pytest.approx(0.75, abs=0.04)


@pytest.mark.parametrize(
    ("channel", "key"),
    [("sms", "twilio"), ("telegram", "telegram"), ("chat", "apprise"), ("webhook", "webhook")],
)
def test_weights_share_the_messages_of_other_channels(settings, channel, key):
    read = {f"{channel}_provider": f"{key}=3,sandbox=1"}
    settings.CARILLON = replace(settings.CARILLON, **read)
    counts = Counter(
        provider_for(channel, key=number, attempts=0, pinned=None) for number in range(4000)
    )
    assert counts[key] / 4000 == pytest.approx(0.75, abs=0.04)
    assert set(counts) == {key, "sandbox"}


def test_a_message_always_has_the_same_provider(three_to_one):
    assert all(chosen(key) == chosen(key) for key in range(100))


def test_a_retry_uses_the_next_provider(three_to_one):
    assert all({chosen(key), chosen(key, attempts=1)} == {"ses", "smtp"} for key in range(50))
    assert all(chosen(key) == chosen(key, attempts=2) for key in range(50))


def test_a_blocked_provider_is_skipped_while_it_is_blocked(three_to_one):
    services.block("ses", 60)
    assert {chosen(key) for key in range(50)} == {"smtp"}
    services.block("ses", 0)
    assert {chosen(key) for key in range(50)} == {"ses", "smtp"}


def test_with_all_blocked_a_message_keeps_its_provider(three_to_one):
    before = [chosen(key) for key in range(50)]
    services.block("ses", 60)
    services.block("smtp", 60)
    assert [chosen(key) for key in range(50)] == before
    assert services.blocked_channels() == ["email"]


def test_a_message_that_may_have_arrived_never_fails_over(three_to_one):
    services.block("ses", 60)
    assert {chosen(key, attempts=1, pinned="ses") for key in range(50)} == {"ses"}


def test_an_uncertain_message_without_a_provider_keeps_the_first(three_to_one):
    first = [chosen(key) for key in range(50)]
    services.block("ses", 60)
    assert [chosen(key, attempts=1, pinned="unknown") for key in range(50)] == first


def test_each_host_is_a_separate_service():
    assert services.service_of("webhook", "https://a.example/x") == "webhook|a.example"
    assert services.service_of("apprise", "slack://T/B/secret") == "apprise|slack"
    assert services.service_of("smtp", "a@example.org") == "smtp"


def test_mails_to_a_domain_are_limited_for_each_email_provider(settings):
    limits = ("gmail.com=5/s", "mail.example.org=100/min")
    settings.CARILLON = replace(
        settings.CARILLON, email_domain_limits=limits, rate_limits=("smtp=off", "telegram=off")
    )
    assert services.limited_domain("smtp", "Ann <ann@GMail.com>") == "gmail.com"
    assert services.limited_domain("ses", "a@eu.mail.example.org") == "mail.example.org"
    assert services.limited_domain("smtp", "a@example.org") == ""
    assert services.limited_domain("twilio", "+15005550006") == ""
    assert services.is_limited("smtp")
    assert not services.is_limited("telegram")
    assert services.late_us_for("smtp") == 40_000  # the strictest
    assert services.late_us_for("telegram") is None


def test_the_settings_rate_overrides_the_providers(settings):
    assert str(services.rate_for("ses")) == "14/s"
    assert str(services.rate_for("fcm")) == "10000/min"
    assert str(services.rate_for("twilio")) == "1/s"
    assert str(services.rate_for("telegram")) == "30/s"
    assert str(services.chat_rate_for("telegram")) == "1/s"
    settings.CARILLON = replace(settings.CARILLON, rate_limits=("ses=50/s", "telegram=off"))
    assert str(services.rate_for("ses")) == "50/s"
    assert services.rate_for("telegram") is None
    assert services.chat_rate_for("telegram") is None
