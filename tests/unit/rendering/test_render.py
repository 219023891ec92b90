"""A version on every channel: titles, locales, fallbacks and missing variables."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from notifications.domain.errors import TemplateFault
from notifications.infra.conf import environment
from notifications.rendering import PersonalizationService
from notifications.rendering.render import (
    CompiledVersion,
    UserFacts,
    compile_version,
    text_content,
    user_context,
)

ROW = UserFacts(
    7,
    UUID(int=7),
    "ann",
    "ann@example.com",
    "Ann",
    "Lee",
    "en_US",
    "Europe/Paris",
    "",
    "free",
    datetime(2025, 1, 1, tzinfo=UTC),
    None,
    "student",
)
CONTEXT: dict[str, Any] = {
    "user": user_context(ROW),
    "current_time": datetime(2026, 1, 1, 12, tzinfo=UTC),
    "app_name": "School",
    "app_url": "https://school.example",
    "amount": 5,
}


def version(content: dict[str, dict[str, str]], **options: Any) -> CompiledVersion:
    values: dict[str, Any] = {
        "version_id": 1,
        "path": "a.b",
        "content": content,
        "required_variables": [],
        "supported_channels": [],
        "default_locale": "en",
    }
    return compile_version(**{**values, **options})


def shown(compiled: CompiledVersion, channel: str, locale: str = "en", **more: Any) -> Any:
    return compiled.render(channel=channel, locale=locale, context={**CONTEXT, **more})


class TestTitles:
    def test_a_first_line_before_an_empty_one_is_the_title(self) -> None:
        found = shown(
            version({"en": {"push_template": "Paid: {{ amount }}\n\nThank you,\n\nbye"}}), "push"
        )

        assert (found.title, found.body) == ("Paid: 5", "Thank you,\n\nbye")

    def test_line_breaks_in_a_value_make_no_title(self) -> None:
        found = shown(version({"en": {"push_template": "{{ text }}"}}), "push", text="One\n\ntwo")

        assert (found.title, found.body) == ("School", "One\n\ntwo")

    def test_the_mails_subject_is_the_title_if_there_is_none(self) -> None:
        texts = {"in_app_template": "Thank you", "email_subject_template": "Paid: {{ amount }}"}

        assert shown(version({"en": texts}), "in_app").title == "Paid: 5"

    def test_the_apps_name_is_the_title_if_there_is_no_subject(self) -> None:
        assert shown(version({"en": {"telegram_template": "Hi"}}), "telegram").title == "School"

    def test_variables_set_before_the_title_are_known_after_it(self) -> None:
        source = "{% set n = amount * 2 %}Twice {{ n }}\n\nThat is {{ n }}"

        found = shown(version({"en": {"in_app_template": source}}), "in_app")

        assert (found.title, found.body) == ("Twice 10", "That is 10")

    def test_an_sms_is_only_its_text(self) -> None:
        found = shown(version({"en": {"sms_template": "One\n\ntwo {{ 5|currency }}"}}), "sms", "ru")

        assert (found.title, found.body) == ("", "One\n\ntwo $5.00")

    def test_an_sms_contains_only_plain_spaces(self) -> None:
        content = {"ru": {"sms_template": "{{ 1234.5|currency('RUB') }}"}}

        assert shown(version(content, default_locale="ru"), "sms", "ru").body == "1 234,50 ₽"


class TestMail:
    def test_has_subject_text_and_html(self) -> None:
        texts = {
            "email_subject_template": "For {{ user.first_name }}",
            "email_body_template": "Hello {{ name }}",
            "email_html_template": "<p>Hello {{ name }}</p>",
        }

        found = shown(version({"en": texts}), "email", name="A & B")

        assert found.title == "For Ann"
        assert found.body == "Hello A & B"
        assert found.html == "<p>Hello A &amp; B</p>"

    def test_a_subject_is_one_line_whatever_the_value(self) -> None:
        texts = {"email_subject_template": "Hi {{ name }}", "email_body_template": "x"}

        found = shown(version({"en": texts}), "email", name="Ann\r\nBcc: all@example.com")

        assert found.title == "Hi Ann Bcc: all@example.com"

    def test_a_text_part_is_made_from_the_html_with_its_links(self) -> None:
        html = "<h1>Hi</h1><p>See <a href='https://x.example/y'>this</a></p><ul><li>one</li></ul>"

        found = shown(version({"en": {"email_html_template": html}}), "email")

        assert "Hi" in found.body
        assert "https://x.example/y" in found.body
        assert "one" in found.body
        assert "<" not in found.body

    def test_html_in_the_readers_language_replaces_a_text_part_in_another(self) -> None:
        content = {
            "en": {"email_body_template": "Hello", "email_html_template": "<p>Hello</p>"},
            "ru": {"email_html_template": "<p>Привет</p>"},
        }

        assert shown(version(content), "email", "ru").body == "Привет"


class TestLocales:
    CONTENT = {
        "en": {"sms_template": "en {{ amount|number(2) }}", "push_template": "push"},
        "ru": {"sms_template": "ru {{ amount|number(2) }}"},
        "pt-br": {"sms_template": "br"},
    }

    @pytest.mark.parametrize(
        ("locale", "text"),
        [
            ("ru_RU", "ru 5,00"),
            ("ru", "ru 5,00"),
            ("ru-RU", "ru 5,00"),
            ("pt_BR", "br"),
            ("de_DE", "en 5.00"),
            ("", "en 5.00"),
        ],
    )
    def test_falls_back_to_the_language_and_then_the_default(self, locale: str, text: str) -> None:
        assert shown(version(self.CONTENT), "sms", locale).body == text

    def test_each_field_falls_back_on_its_own(self) -> None:
        assert shown(version(self.CONTENT), "push", "ru").body == "push"

    def test_a_text_in_no_wanted_locale_is_still_shown(self) -> None:
        compiled = version({"fr": {"sms_template": "bonjour"}}, default_locale="de")

        assert shown(compiled, "sms", "ru").body == "bonjour"

    def test_times_are_in_the_users_zone(self) -> None:
        compiled = version({"en": {"sms_template": "{{ current_time|time }}"}})

        assert shown(compiled, "sms").body == "1:00 PM"


class TestChannels:
    def test_the_texts_decide_the_channels_if_none_are_listed(self) -> None:
        compiled = version({"en": {"push_template": "x", "email_subject_template": "x"}})

        assert compiled.channels == ["push"]

    def test_a_listed_channel_may_use_a_similar_text(self) -> None:
        compiled = version(
            {"en": {"push_template": "x"}}, supported_channels=["push", "websocket", "webhook"]
        )

        assert compiled.channels == ["push", "websocket", "webhook"]
        assert shown(compiled, "websocket").body == "x"

    def test_a_channel_that_is_not_listed_is_not_served(self) -> None:
        compiled = version(
            {"en": {"push_template": "x", "sms_template": "y"}}, supported_channels=["push"]
        )

        assert not compiled.supports("sms")
        with pytest.raises(TemplateFault) as caught:
            shown(compiled, "sms")
        assert caught.value.code == "channel_not_in_template"
        assert caught.value.detail == "template a.b has no text for sms"


class TestVariables:
    def test_dotted_required_variables_count_as_their_root(self) -> None:
        compiled = version(
            {"en": {"sms_template": "x"}}, required_variables=["order.id", "amount", "user.email"]
        )

        assert compiled.missing_variables({"user": {}}) == ["order.id", "amount"]

    def test_a_missing_variable_names_the_text_and_the_locale(self) -> None:
        with pytest.raises(TemplateFault) as caught:
            shown(version({"en": {"sms_template": "{{ code }}"}}), "sms", "ru")

        assert caught.value.code == "missing_variable"
        assert caught.value.detail == "sms_template (en), line 1: the variable code is missing"

    def test_the_context_is_unchanged(self) -> None:
        context = dict(CONTEXT)

        version({"en": {"sms_template": "x"}}).render(channel="sms", locale="en", context=context)

        assert context == CONTEXT


def test_the_user_of_a_context() -> None:
    user = user_context(ROW)

    assert user["id"] == "7"
    assert user["full_name"] == "Ann Lee"
    assert user["join_date"] == ROW.date_joined
    assert set(user) >= {
        *("first_name", "last_name", "email", "timezone", "locale", "avatar_url"),
        *("subscription_tier", "last_login"),
    }


def test_the_callers_context_cannot_overwrite_the_user() -> None:
    person = SimpleNamespace(id=3, first_name="Ann", last_name="Lee", email="a@example.com")

    context = PersonalizationService().build_user_context(
        person,
        {"user": {"first_name": "Mallory"}, "amount": 1, "app_name": "Evil", "current_time": 0},
    )

    assert context["user"]["full_name"] == "Ann Lee"
    assert context["user"]["locale"] == "en"
    assert context["amount"] == 1
    assert context["app_name"] == environment().app_name
    assert isinstance(context["current_time"], datetime)
    assert "app_url" in context


def test_a_notification_without_a_template_has_a_title_of_one_line() -> None:
    assert text_content("a\nb", "c\nd", channel="in_app").title == "a b"
    assert text_content("a", "c\nd", channel="in_app").body == "c\nd"
