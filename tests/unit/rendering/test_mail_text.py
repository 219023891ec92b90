"""The text part of a mail that has only HTML is made once, as a separate template."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest

from notifications.domain.errors import TemplateFault
from notifications.rendering import render
from notifications.rendering.mail.skeleton import Unfit
from notifications.rendering.mail_text import PlainText, text_of_html, tidied
from notifications.rendering.render import CompiledVersion


def text_of(source: str, *, at_once: bool = True, **context: Any) -> str:
    """Returns the text part; at_once: it must not be converted from the rendered HTML."""
    version = CompiledVersion(
        version_id=1,
        path="test.mail",
        content={"en": {"email_html_template": source}},
        required_variables=[],
        supported_channels=[],
        default_locale="en",
    )
    with mock.patch.object(render, "text_of_html", side_effect=text_of_html) as reading:
        shown = version.render(channel="email", locale="en", context={"user": {}, **context})
    assert reading.called is not at_once
    return shown.body


class TestPages:
    def test_a_page_becomes_words_lines_and_links(self) -> None:
        source = (
            "<!doctype html><html><head><title>Not this</title><style>p{color:red}</style></head>"
            "<body><div style='display: none'>Nor <div>this</div> one</div>"
            "<h1>Hello {{ name }}</h1>\n<p>One\n   two&nbsp;&amp; <b>three</b>.<br>Four</p>"
            "<p><a href='{{ url }}?a=1&amp;b={{ n }}'>Go</a> <a>nowhere</a></p>"
            "<ul><li>x</li><li>y</li></ul><hr><img src='a.png' alt='A picture'>"
            "{# no #}</body></html>"
        )

        assert text_of(source, name="<Ann>", url="https://x.example/", n=2) == (
            "Hello <Ann>\n\nOne two & three.\nFour\n\n[Go](https://x.example/?a=1&b=2) nowhere\n\n"
            "* x\n* y\n\n---\nA picture"
        )

    def test_rows_are_lines_and_cells_stand_apart(self) -> None:
        source = (
            "<table><tr><th>What</th><th>Price</th></tr>{% for row in rows %}\n"
            "<tr><td>{{ row.name }}</td>\n<td align='right'>{{ row.price|currency }}</td></tr>"
            "{% else %}<tr><td>nothing</td></tr>{% endfor %}</table>"
        )
        rows = [{"name": "Tea", "price": 2}, {"name": "Milk", "price": 1}]

        assert text_of(source, rows=rows) == "What  Price\nTea  $2.00\nMilk  $1.00"
        assert text_of(source, rows=[]) == "What  Price\nnothing"

    def test_empty_branches_leave_no_empty_lines(self) -> None:
        source = "<p>a</p>{% if x %}<p>b</p>{% endif %}\n{% if y %}<div>c</div>{% endif %}<p>d</p>"

        assert text_of(source, x=False, y=False) == "a\n\nd"
        assert text_of(source, x=True, y=True) == "a\n\nb\n\nc\n\nd"

    def test_attributes_and_comments_are_omitted_with_their_branches(self) -> None:
        source = (
            "<p {% if hot %}class='hot'{% endif %} id='{{ n }}'>x</p><!-- {{ n }} -->"
            "<a href='{% if hot %}h{% else %}c{% endif %}'>y</a>"
        )

        assert text_of(source, hot=True, n=1) == "x\n\n[y](h)"
        assert text_of(source, hot=False, n=1) == "x\n\n[y](c)"

    def test_macros_return_text(self) -> None:
        source = "{% macro m(x) %}<b>{{ x }}</b><br>{% endmacro %}<p>{{ m('<1>') }}{{ m(2) }}</p>"

        assert text_of(source) == "<1>\n2"

    def test_mjml_and_stylesheets_are_compiled_before(self) -> None:
        source = (
            "<mjml><mj-body><mj-section><mj-column><mj-text>Hi {{ name }}</mj-text>"
            "<mj-button href='{{ url }}'>Go</mj-button></mj-column></mj-section></mj-body></mjml>"
        )

        assert text_of(source, name="Ann", url="https://x.example") == (
            "Hi Ann\n\n[Go](https://x.example)"
        )


class TestImpossibleTextParts:
    @pytest.mark.parametrize(
        ("source", "text"),
        [
            ("<p>{{ x|safe }}</p>", "1 < 2"),
            ("<p>{{ '<b>'|e }}</p>", "<b>"),
            ("<p>{% if x %}a &lt;b&gt;{% endif %}</p>", "a <b>"),
        ],
    )
    def test_the_rendered_page_is_converted(self, source: str, text: str) -> None:
        assert text_of(source, at_once=False, x="<i>1 &lt; 2</i>") == text

    def test_only_the_compiler_gets_the_error(self) -> None:
        with pytest.raises(Unfit):
            PlainText("{{ x|safe }}", html=True)

    def test_a_missing_variable_is_reported_for_the_html(self) -> None:
        with pytest.raises(TemplateFault) as caught:
            text_of("<p>{{ gone }}</p>")

        assert (
            caught.value.detail == "email_html_template (en), line 1: the variable gone is missing"
        )


def test_loops_are_counted_apart_from_those_of_the_html() -> None:
    source = "{% for x in range(9000) %}<i>.</i>{% endfor %}"

    assert text_of(source) == "." * 9_000


@pytest.mark.parametrize("text", [" " * 200_000, "\t" * 200_000, " \n" * 99_999, " \t" * 99_999])
def test_many_blanks_are_normalized_quickly(text: str) -> None:
    assert tidied(f"a{text}b") in ("a b", "a  b", "a\n\nb")


def test_a_wide_table_of_many_rows_makes_no_more_text_than_it_contains() -> None:
    """Otherwise each cell would be padded to the widest of its column."""
    rows = "<tr><td>x</td></tr>" * 9_000
    page = f"<table><tr><td>{'w' * 90_000}</td></tr>{rows}</table>"

    text = text_of_html(page)

    assert text.count("x") == 9_000
    assert len(text) < 2 * len(page)
