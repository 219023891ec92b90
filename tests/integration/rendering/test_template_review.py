"""The review of a template's texts: what its author learns before any message uses them."""

from __future__ import annotations

from typing import Any

import pytest

from notifications.domain.callers import SYSTEM
from notifications.domain.errors import InvalidRequest, TemplateFault
from notifications.features.sending.service import NotificationService
from notifications.features.templates.report_schemas import LocaleGap, ValidationResponse
from notifications.features.templates.service import TemplateService
from tests.integration.factories import make_template

pytestmark = pytest.mark.django_db
service = TemplateService()


def checked(**body: Any) -> ValidationResponse:
    return service.validate(body=body, caller=SYSTEM)


class TestVariables:
    def test_dotted_names_are_compared_up_to_the_shorter_one(self) -> None:
        response = checked(
            push_template="{{ order.total }} {{ order.id }}",
            sms_template="{{ shop.name }}",
            required_variables=["order.id", "order.customer"],
            optional_variables=["shop"],
        )

        assert response.missing_variables == ["order.customer"]
        assert response.extra_variables == ["order.total"]
        assert response.all_variables == ["order", "shop"]
        assert response.valid is False

    def test_a_variable_that_is_passed_as_a_whole_counts_for_all_its_entries(self) -> None:
        response = checked(push_template="{{ order|tojson }}", required_variables=["order.id"])

        assert (response.valid, response.missing_variables, response.extra_variables) == (
            True,
            [],
            [],
        )

    def test_variables_of_every_locale_and_layout_count(self) -> None:
        make_template("layouts.mail", email_html_template="{% block b %}{% endblock %}{{ brand }}")

        response = checked(
            email_html_template="{% extends 'layouts.mail' %}{% block b %}{{ a }}{% endblock %}",
            translations={"ru": {"sms_template": "{{ b }}"}},
        )

        assert response.extra_variables == ["a", "b", "brand"]

    def test_unknown_entries_of_user_are_reported(self) -> None:
        response = checked(push_template="{{ user.first_name }} {{ user.nickname }}")

        assert response.unknown_variables == ["user.nickname"]
        assert response.extra_variables == []
        assert "there is no user.nickname: user has id, uuid, username" in response.warnings[0]


class TestPlainAddresses:
    """Recipients that are plain addresses: `to` instead of a user."""

    def test_a_mail_that_cannot_greet_them_is_reported(self) -> None:
        response = checked(
            email_subject_template="Paid",
            email_body_template="Hello {{ user.first_name }}",
            email_html_template="<html lang='en'><p>{{ user['full_name'] }}</p>",
            sms_template="{{ user.first_name|upper }}",
            push_template="{{ user.last_name }}",
        )

        assert response.valid is True
        assert response.warnings == [
            "a plain address has no user.first_name, user.full_name: a notification to one fails on"
            " email and sms; add a default, such as {{ user.first_name|default('...') }}"
        ]

    def test_channels_without_addresses_cause_no_warning(self) -> None:
        response = checked(
            push_template="{{ user.first_name }}", in_app_template="{{ user.first_name }}"
        )

        assert response.warnings == []

    def test_layouts_and_other_locales_count(self) -> None:
        make_template("layouts.greeting", email_html_template="{{ user.first_name }}")

        response = checked(
            email_html_template="{% include 'layouts.greeting' %}",
            translations={"ru": {"email_html_template": "<p>{{ user.email|default('') }}</p>"}},
        )

        assert len(response.warnings) == 1
        assert "no user.first_name: a notification to one fails on email" in response.warnings[0]

    def test_publishing_warns_and_a_send_fails_as_predicted(self) -> None:
        body = {
            "name": "T",
            "path": "test.t",
            "email_subject_template": "Paid",
            "email_body_template": "Hello {{ user.first_name }}",
            "status": "published",
        }
        made = service.create(body=body, caller=SYSTEM)
        to = {"template_path": "test.t", "to": {"email": "ann@example.org"}}

        assert "add a default" in made.warnings[0]
        with pytest.raises(TemplateFault, match=r"user\.first_name is missing"):
            NotificationService().send(body=to, caller=SYSTEM)

        corrected = service.update(
            identifier=made.id,
            body={"email_body_template": "Hello {{ user.first_name|default('you') }}"},
            caller=SYSTEM,
        )
        assert corrected.warnings == []


class TestErrors:
    def test_every_broken_text_is_reported_with_line_and_column(self) -> None:
        response = checked(
            push_template="fine",
            sms_template="one\n{{ two",
            translations={"ru": {"sms_template": "{% nonsense %}"}},
        )

        found = [(each.path, each.code, each.line, each.column) for each in response.errors]
        assert found == [
            ("sms_template", "template_syntax", 2, 7),
            ("translations.ru.sms_template", "template_syntax", 1, 4),
        ]
        assert response.valid is False

    def test_an_error_of_a_layout_is_reported_at_the_text_that_uses_it(self) -> None:
        response = checked(push_template="x\n{% include 'no.such' %}")

        (error,) = response.errors
        assert (error.path, error.code, error.line) == ("push_template", "unknown_reference", 2)

    def test_publishing_refuses_errors_and_returns_warnings(self) -> None:
        body = {"name": "T", "path": "test.t", "push_template": "{{ amount }}"}
        made = service.create(body=body, caller=SYSTEM)

        published = service.publish(identifier=made.id, caller=SYSTEM)

        assert published.version == 1
        assert len(published.warnings) == 1
        assert "the variable amount is used but not declared" in published.warnings[0]
        with pytest.raises(InvalidRequest) as caught:
            service.update(
                identifier=made.id,
                body={"push_template": "{{ amount", "status": "published"},
                caller=SYSTEM,
            )
        assert caught.value.code == "template_syntax"
        assert service.get(identifier=made.id, caller=SYSTEM).version == 1


class TestLocales:
    def test_a_locale_without_a_text_is_reported_with_its_replacement(self) -> None:
        response = checked(
            push_template="Paid",
            email_subject_template="Paid",
            email_body_template="Paid",
            translations={"ru": {"push_template": "Оплачено", "email_body_template": "Оплачено"}},
        )

        assert response.gaps == [
            LocaleGap(locale="ru", channel="email", field="email_subject_template", shown_in="en")
        ]
        assert response.warnings == [
            "ru has no email_subject_template: its readers get the text of en"
        ]
        assert response.valid is True

    def test_the_default_may_lack_a_text_too(self) -> None:
        response = checked(
            push_template="Paid", translations={"ru": {"push_template": "Да", "sms_template": "Да"}}
        )

        assert [(gap.locale, gap.channel, gap.shown_in) for gap in response.gaps] == [
            ("en", "sms", "ru")
        ]

    def test_a_territory_lacks_nothing_that_its_language_has(self) -> None:
        response = checked(
            push_template="Paid",
            sms_template="Paid",
            translations={
                "ru": {"push_template": "Да", "sms_template": "Да"},
                "ru_KZ": {"sms_template": "Да"},
            },
        )

        assert response.gaps == []

    def test_a_mail_with_html_needs_no_text(self) -> None:
        response = checked(
            email_html_template="<p>Paid</p>",
            email_body_template="Paid",
            translations={"ru": {"email_html_template": "<p>Оплачено</p>"}},
        )

        assert response.gaps == []


class TestLengths:
    def test_a_push_with_too_much_fixed_text_is_refused(self) -> None:
        response = checked(push_template="word " * 1_000)

        (error,) = response.errors
        assert (error.path, error.code) == ("push_template", "push_too_long")
        assert "is at least 5,000 bytes long: a push has at most 3,500" in error.detail

    def test_a_preview_counts_a_push_and_an_sms(self) -> None:
        body = {
            "name": "T",
            "path": "test.t",
            "push_template": "Paid\n\n{{ text }}",
            "sms_template": "{{ text }}",
            "translations": {"ru": {"sms_template": "Оплачено"}},
        }
        made = service.create(body=body, caller=SYSTEM)

        shown = service.preview(
            identifier=made.id, body={"context": {"text": "word " * 1_000}}, caller=SYSTEM
        )

        found = {(each.channel, each.locale): each for each in shown.previews}
        push = found["push", "en"]
        assert push.push is not None
        assert (push.push.limit, push.push.cut) == (3_500, True)
        assert 3_400 < push.push.bytes <= 3_500
        assert push.body.endswith("word…")
        sms, russian = found["sms", "en"].sms, found["sms", "ru"].sms
        assert sms is not None
        assert (sms.encoding, sms.units, sms.segments) == ("GSM-7", 4_999, 33)
        assert russian is not None
        assert (russian.encoding, russian.units, russian.segments) == ("UCS-2", 8, 1)


class TestMails:
    def test_stylesheets_of_a_layout_are_inlined_and_failures_are_reported(self) -> None:
        make_template(
            "layouts.mail",
            email_html_template="<html><head><style>p{color:red}</style></head>"
            "<body>{% block body %}{% endblock %}</body></html>",
        )
        child = "{% extends 'layouts.mail' %}{% block body %}BODY{% endblock %}"
        body = {
            "name": "T",
            "path": "test.t",
            "email_html_template": child.replace(
                "BODY", "<p>Hi {{ user.first_name|default('you') }}</p>"
            ),
        }
        made = service.create(body=body, caller=SYSTEM)

        (shown,) = service.preview(identifier=made.id, body={}, caller=SYSTEM).previews

        assert made.warnings == []
        assert '<p style="color: red;">Hi Alex</p>' in shown.html
        assert shown.body == "Hi Alex"
        torn = service.validate(
            identifier=made.id,
            body={"email_html_template": child.replace("BODY", "{% if user %}<p><b>{% endif %}")},
            caller=SYSTEM,
        )
        assert (torn.valid, len(torn.warnings)) == (True, 1)
        assert (
            "not inlined: a branch opens a tag that it does not close (line 1)"
            in (torn.warnings[0])
        )

    def test_mjml_that_cannot_be_compiled_is_refused(self) -> None:
        response = checked(email_html_template="<mjml><mj-body><mj-section <mj-text>")

        (error,) = response.errors
        assert (error.path, error.code) == ("email_html_template", "template_syntax")
