"""Texts that only insert values are rendered where they are asked for; all others are not."""

from __future__ import annotations

from typing import Any

import pytest

from notifications.domain.errors import TemplateFault
from notifications.rendering.language.filters import FILTERS
from notifications.rendering.pool import desk
from notifications.rendering.render import CompiledVersion
from notifications.rendering.simple import _FILTERS, MAX_CHARACTERS, is_simple

NOW = "2030-05-01T12:00:00+00:00"


def version(text: str, field: str = "in_app_template", **more: Any) -> CompiledVersion:
    return CompiledVersion(
        version_id=1,
        path="a.b",
        content={"en": {field: text, **more}},
        required_variables=[],
        supported_channels=[],
        default_locale="en",
    )


@pytest.mark.parametrize(
    "text",
    [
        "Hello",
        "Hello {{ user.first_name }}: {{ amount|currency('EUR') }}",
        "Title\n\n{{ due|date('long') }}{% if note is defined and note %}, {{ note }}{% endif %}",
        "{{ a|default('x')|upper }} {{ share|percent(decimals=1) }}",
    ],
)
def test_what_only_inserts_values_is_simple(text):
    assert is_simple(version(text), "in_app")


@pytest.mark.parametrize(
    "text",
    [
        "{% for x in items %}{{ x }}{% endfor %}",
        "{% set x = a %}{{ x }}",
        "{{ a + b }}",
        "{{ a * 1000 }}",
        "{{ a ~ b }}",
        "{{ a[1] }}",
        "{{ a.b() }}",
        "{{ range(9) }}",
        "{{ a|join }}",
        "{{ a|replace('x', 'y') }}",
        "{{ a|wordwrap }}",
        "{{ a|default(b + c) }}",
        "{{ a|currency(*b) }}",
        "{% if a == b %}x{% endif %}",
        "{% if a in b %}x{% endif %}",
        "{% if a is divisibleby 3 %}x{% endif %}",
        "{{ [a, b] }}",
        "{% macro m() %}x{% endmacro %}",
        "{% include 'shared.footer' %}",
        "{{ unfinished",
        "{{ a }}" * 500,
        "x" * (MAX_CHARACTERS + 1),
    ],
)
def test_everything_else_goes_to_a_process(text):
    assert not is_simple(version(text), "in_app")


def test_a_mail_with_html_goes_to_a_process():
    plain = version("Hello", "email_body_template", email_subject_template="Hi {{ name }}")
    html = version("Hello", "email_body_template", email_html_template="<p>Hello</p>")
    looping = version("Hello", "email_body_template", email_subject_template="{{ a * 9 }}")

    assert is_simple(plain, "email")
    assert not is_simple(html, "email")
    assert not is_simple(looping, "email")


def test_a_translation_counts_like_the_text():
    both = CompiledVersion(
        version_id=1,
        path="a.b",
        content={"en": {"sms_template": "x"}, "ru": {"sms_template": "{{ a * 9 }}"}},
        required_variables=[],
        supported_channels=[],
        default_locale="en",
    )

    assert not is_simple(both, "sms")


def test_the_filters_of_simple_texts_exist():
    assert set(FILTERS) >= _FILTERS


@pytest.fixture
def alone(monkeypatch):
    """No render process may be asked."""

    def pools() -> None:
        raise AssertionError("a render process was asked")

    monkeypatch.setattr(desk, "pools", pools)


def shown(text: str, **context: Any) -> Any:
    made = version(text)
    task = desk.render_task(made, channel="in_app", locale="en", context={"user": {}, **context})
    return desk.render_published([task])[0]


def test_a_simple_text_is_rendered_here(alone):
    content = shown(
        "Hi\n\nYou owe {{ amount|currency('EUR') }} by {{ due|date }}", amount=5, due=NOW
    )

    assert (content.title, content.body) == ("Hi", "You owe €5.00 by May 1, 2030")


def test_its_fault_is_told_as_any_other(alone):
    fault = shown("{{ missing }}")

    assert isinstance(fault, TemplateFault)
    assert (fault.code, fault.data["variable"]) == ("missing_variable", "missing")


def test_the_longest_values_stay_within_the_limits_of_a_render(alone):
    fault = shown("{{ a }}" * 130, a="x" * 60_000)

    assert isinstance(fault, TemplateFault)
    assert fault.code in ("template_limit", "template_error")
