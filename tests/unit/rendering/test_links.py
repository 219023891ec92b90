"""Layouts, partials and imported macros: linked, bounded, and reported with their place."""

from __future__ import annotations

from typing import Any

import pytest

from notifications.domain.errors import TemplateFault
from notifications.domain.references import references
from notifications.rendering.render import CompiledVersion

HTML = "email_html_template"
TEXT = "push_template"
CONTEXT: dict[str, Any] = {"user": {"first_name": "<Ann>"}, "app_name": "School", "n": 3}


def version(source: str | dict[str, dict[str, str]], **parts: CompiledVersion) -> CompiledVersion:
    """Returns a version built with others; `layouts__mail` stands for `layouts.mail`."""
    content = {"en": {HTML: source}} if isinstance(source, str) else source
    return CompiledVersion(
        version_id=1,
        path="",
        content=content,
        required_variables=[],
        supported_channels=[],
        default_locale="en",
        parts={name.replace("__", "."): _at(name, part) for name, part in parts.items()},
    )


def _at(name: str, part: CompiledVersion) -> CompiledVersion:
    part.path = name.replace("__", ".")
    return part


def html(compiled: CompiledVersion, locale: str = "en", **more: Any) -> str:
    return compiled.render(channel="email", locale=locale, context={**CONTEXT, **more}).html


def fault_of(compiled: CompiledVersion, **more: Any) -> TemplateFault:
    with pytest.raises(TemplateFault) as caught:
        html(compiled, **more)
    return caught.value


HEAD = "<h1>{% block head %}Hello{% endblock %}</h1>"
LAYOUT = HEAD + "{% block body %}{% endblock %}<i>{{ app_name }}</i>"


class TestLayouts:
    def test_blocks_fill_a_layout_and_other_blocks_remain(self) -> None:
        child = (
            "{% extends 'layouts.mail' %}{% block body %}<p>{{ user.first_name }}</p>{% endblock %}"
        )

        shown = html(version(child, layouts__mail=version(LAYOUT)))

        assert shown == "<h1>Hello</h1><p>&lt;Ann&gt;</p><i>School</i>"

    def test_super_shows_the_layouts_own_text(self) -> None:
        middle = version(
            "{% extends 'base' %}{% block head %}{{ super() }}, all{% endblock %}",
            base=version(LAYOUT),
        )
        child = "{% extends 'middle' %}{% block head %}[{{ super() }}]{% endblock %}"

        assert html(version(child, middle=middle)) == "<h1>[Hello, all]</h1><i>School</i>"

    def test_blocks_within_blocks_are_filled(self) -> None:
        layout = version("{% block a %}<a>{% block b %}b{% endblock %}</a>{% endblock %}")
        child = "{% extends 'l' %}{% block b %}B{{ super() }}{% endblock %}"

        assert html(version(child, l=layout)) == "<a>Bb</a>"

    def test_what_a_child_sets_reaches_its_layout(self) -> None:
        layout = version("<b>{{ accent|default('blue') }}</b>{% block body %}{% endblock %}")

        assert html(version("{% extends 'l' %}{% set accent = 'red' %}", l=layout)) == "<b>red</b>"
        assert html(version("{% extends 'l' %}", l=layout)) == "<b>blue</b>"

    def test_a_title_is_the_layouts(self) -> None:
        layout = version({"en": {TEXT: "{{ app_name }}\n\n{% block body %}{% endblock %}"}})
        child = {"en": {TEXT: "{% extends 'l' %}\n\n{% block body %}Hi\n\nyou{% endblock %}"}}

        shown = version(child, l=layout).render(channel="push", locale="en", context=CONTEXT)

        assert (shown.title, shown.body) == ("School", "Hi\n\nyou")

    @pytest.mark.parametrize(
        ("child", "why"),
        [
            ("{% extends 'l' %}more", "only blocks, set and macros"),
            ("{% extends 'l' %}{% if n %}{% endif %}", "only blocks, set and macros"),
            ("{% if n %}{% extends 'l' %}{% endif %}", "extends may be used once"),
            ("{% extends 'l' %}{% extends 'l' %}", "extends may be used once"),
            ("{% extends n %}", "must be a literal"),
            (
                "{% extends 'l' %}{% block head %}{% endblock %}{% block head %}{% endblock %}",
                "two blocks 'head'",
            ),
            ("{% block own %}{{ super() }}{% endblock %}", "no layout has a block 'own'"),
        ],
    )
    def test_an_invalid_layout_is_reported(self, child: str, why: str) -> None:
        fault = fault_of(version(child, l=version(LAYOUT)))

        assert fault.code == "template_syntax"
        assert why in fault.detail
        assert "line 1" in fault.detail


class TestPartials:
    def test_a_partial_sees_the_variables_and_sets_none(self) -> None:
        partial = version("{% set n = n + 1 %}{{ n }}")

        assert html(version("{% include 'p' %}{{ n }}", p=partial)) == "43"

    def test_a_partial_in_a_loop_sees_the_loop_variable(self) -> None:
        source = "{% for x in [1, 2] %}{% include 'p' %}{% endfor %}"

        assert html(version(source, p=version("{{ x }};"))) == "1;2;"

    def test_a_partial_may_have_a_layout_of_its_own(self) -> None:
        partial = version("{% extends 'l' %}{% block head %}in{% endblock %}", l=version(LAYOUT))
        source = "{% include 'p' %}{% block head %}out{% endblock %}"

        assert html(version(source, p=partial)) == "<h1>in</h1><i>School</i>out"

    def test_each_is_shown_in_the_language_of_the_text(self) -> None:
        partial = version({"en": {HTML: "bye"}, "ru": {HTML: "пока"}})
        source = {"en": {HTML: "{% include 'p' %}"}, "ru": {HTML: "{% include 'p' %}!"}}
        compiled = version(source, p=partial)

        assert [html(compiled, locale) for locale in ("en", "ru_RU", "fr")] == [
            "bye",
            "пока!",
            "bye",
        ]

    def test_a_missing_partial_is_reported_unless_it_is_optional(self) -> None:
        fault = fault_of(version("one\n{% include 'gone' %}"))

        assert (fault.code, fault.data["path"]) == ("unknown_reference", "gone")
        assert "line 2: there is no published template 'gone'" in fault.detail
        assert html(version("a{% include 'gone' ignore missing %}b")) == "ab"

    def test_a_partial_without_a_text_for_the_field_is_reported(self) -> None:
        fault = fault_of(version("{% include 'p' %}", p=version({"en": {TEXT: "x"}})))

        assert (fault.code, fault.detail) == (
            "unknown_reference",
            "email_html_template (en), line 1: template p has no email_html_template",
        )


class TestMacros:
    BUTTONS = (
        "{% macro button(label, url='#') %}<a href={{ url }}>{{ label }}</a>{% endmacro %}"
        "{% macro two(label) %}{{ button(label) }}{{ button(label) }}{% endmacro %}ignored"
    )

    def test_macros_are_imported_by_name(self) -> None:
        source = "{% from 'b' import button, two as pair %}{{ button('<x>', 'u') }}|{{ pair(1) }}"

        shown = html(version(source, b=version(self.BUTTONS)))

        assert shown == "<a href=u>&lt;x&gt;</a>|<a href=#>1</a><a href=#>1</a>"

    def test_macros_are_imported_as_a_whole(self) -> None:
        source = "{% import 'b' as b %}{{ b.button('x') }}{{ b.two('y')|length }}"

        assert html(version(source, b=version(self.BUTTONS))) == "<a href=#>x</a>30"

    def test_macros_of_the_same_name_do_not_collide(self) -> None:
        layout = version("{% macro m() %}L{% endmacro %}{{ m() }}{% block b %}{% endblock %}")
        child = (
            "{% extends 'l' %}{% macro m() %}C{% endmacro %}{% block b %}{{ m() }}{% endblock %}"
        )

        assert html(version(child, l=layout)) == "LC"

    @pytest.mark.parametrize(
        ("source", "why"),
        [
            ("{% from 'b' import nothing %}", "no macro 'nothing' in b"),
            ("{% import 'b' as b %}{{ b.nothing() }}", "no macro 'nothing' in 'b'"),
            ("{% import 'b' as b %}{{ b }}", "name one of its macros"),
            ("{% from 'b' import button %}{% set button = 1 %}", "not a variable"),
            ("{% from n import button %}", "must be a literal"),
        ],
    )
    def test_an_invalid_import_is_reported(self, source: str, why: str) -> None:
        fault = fault_of(version(source, b=version(self.BUTTONS)))

        assert fault.code == "template_syntax"
        assert why in fault.detail


class TestPlaces:
    def test_an_error_names_the_text_and_the_line_in_it(self) -> None:
        layout = version("one\n\n{{ absent }}{% block body %}{% endblock %}")
        child = "{% extends 'l' %}\n{% block body %}\n{{ gone }}{% endblock %}"

        in_layout = fault_of(version(child, l=layout))
        in_child = fault_of(version(child, l=layout), absent="")

        assert in_layout.detail.startswith(
            "email_html_template (en) of l, line 3: the variable absent"
        )
        assert in_child.detail.startswith("email_html_template (en), line 3: the variable gone")

    def test_a_syntax_error_in_a_layout_names_the_layout(self) -> None:
        fault = fault_of(version("{% extends 'l' %}", l=version("\n{{ 1 +")))

        assert fault.detail.startswith("email_html_template (en) of l, line 2")

    def test_the_variables_of_the_parts_count(self) -> None:
        compiled = version("{% include 'p' %}{{ a }}", p=version("{{ b }}{% set c = 1 %}{{ c }}"))

        assert compiled.variables() == {"a", "b"}
        assert compiled.text(HTML, "en").uses == {"p"}


class TestLimits:
    def test_a_cycle_is_reported(self) -> None:
        first, second = version("{% include 'b' %}"), version("{% include 'a' %}")
        first._parts = {"b": _at("b", second)}
        second._parts = {"a": _at("a", first)}

        fault = fault_of(first)

        assert (fault.code, fault.data["chain"]) == ("template_cycle", "a -> b -> a")

    @pytest.mark.parametrize("source", ["{% extends 'a' %}", "{% import 'a' as a %}"])
    def test_every_kind_of_cycle_is_reported(self, source: str) -> None:
        own = _at("a", version(source))
        own._parts = {"a": own}

        assert fault_of(own).code == "template_cycle"

    def test_depth_is_bounded(self) -> None:
        compiled = version("deep")
        for number in range(12):
            compiled = version(f"{{% include 'p{number}' %}}", **{f"p{number}": compiled})

        assert "more than 8 deep" in fault_of(compiled).detail

    def test_partials_within_partials_do_not_grow_without_end(self) -> None:
        compiled = version("x")
        for number in range(7):
            name = f"p{number}"
            compiled = version(f"{{% include '{name}' %}}" * 9, **{name: compiled})

        assert "more than 100 texts" in fault_of(compiled).detail

    def test_super_upon_super_does_not_grow_without_end(self) -> None:
        compiled = version("{% block b %}" + "{{ n }}" * 1_000 + "{% endblock %}")
        for number in range(6):
            name = f"p{number}"
            source = f"{{% extends '{name}' %}}{{% block b %}}{'{{ super() }}' * 9}{{% endblock %}}"
            compiled = version(source, **{name: compiled})

        assert "grows too large" in fault_of(compiled).detail

    def test_blocks_that_hold_one_another_end(self) -> None:
        layout = version("{% block a %}{% block b %}{% endblock %}{% endblock %}")
        child = (
            "{% extends 'l' %}{% block b %}{% block a %}{{ super() }}{% endblock %}{% endblock %}"
        )

        assert fault_of(version(child, l=layout)).code == "template_syntax"


def test_references_are_found_in_every_form() -> None:
    texts = [
        "{% extends 'a.b' %}",
        '{%- include "c-d" ignore missing -%}',
        "{% import 'e' as e %}{% from 'f_g' import h %}",
        "no {{ 'include' }} here {% if x %}",
    ]

    assert references(texts) == ["a.b", "c-d", "e", "f_g"]
