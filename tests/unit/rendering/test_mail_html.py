"""MJML and stylesheets are compiled once, with the template's statements in place."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import pytest
from mjml import mjml2html

from notifications.domain.errors import TemplateFault
from notifications.rendering.engine import CompiledText
from notifications.rendering.language.filters import FORMATS
from notifications.rendering.language.formats import formats_for
from notifications.rendering.language.meter import METER, Meter
from tests.pace import within

FORBIDDEN_WORDS = ("zqjz", "data-css-inline", "mj-")


def show(source: str, *, note: str = "", **context: Any) -> str:
    compiled = CompiledText(source, html=True, name="mail")
    assert compiled.notes == note
    text = compiled.render({**context, FORMATS: formats_for("en", "UTC"), METER: Meter()})
    for word in FORBIDDEN_WORDS:
        assert word not in text.replace("mj-column-per", "").replace("mj-outlook", "")
    return text


def body_of(html: str) -> str:
    found = re.search(r"<body[^>]*>(.*)</body>", html, re.DOTALL)
    assert found is not None
    return found[1].strip().replace("  ", " ")


class TestStylesheets:
    def test_rules_are_inlined_and_at_rules_remain(self) -> None:
        html = show(
            "<!doctype html><html><head><style>.b{color:red} @media print{.b{color:black}}"
            "</style></head><body><p class='b'>{{ x }}</p></body></html>",
            x="<Ann>",
        )

        assert html.startswith("<!DOCTYPE html>")
        assert '<p class="b" style="color: red;">&lt;Ann&gt;</p>' in html
        assert "<style>@media print{.b{color:black}} </style>" in html

    def test_a_loop_over_rows_stays_in_its_table(self) -> None:
        source = (
            "<style>td{color:red}</style><table>{% for r in rows %}<tr><td>{{ r }}</td></tr>"
            "{% else %}<tr><td>none</td></tr>{% endfor %}</table>"
        )
        row = '<tr><td style="color: red;">{}</td></tr>'

        assert body_of(show(source, rows=[1, 2])) == (
            f"<table><tbody>{row.format(1)}{row.format(2)}</tbody></table>"
        )
        assert (
            body_of(show(source, rows=[])) == f"<table><tbody>{row.format('none')}</tbody></table>"
        )

    @pytest.mark.parametrize(
        "given", ["class='{{ x }}'", "{% if x %}class='hot'{% endif %}", "title='a' id={{ x }}"]
    )
    def test_the_stylesheet_of_a_dynamic_class_remains(self, given: str) -> None:
        note = (
            "mail: rules for a class or id that a branch or variable sets cannot be inlined;"
            " the stylesheet remains"
        )

        html = show(f"<style>.hot{{top:0}} p{{left:0}}</style><p {given}>y</p>", note=note, x="hot")

        assert "<style>.hot{top:0} p{left:0}</style>" in html
        assert 'style="left: 0;"' in html

    def test_branches_attributes_and_variables_remain_in_place(self) -> None:
        source = (
            "<style>a{color:red}</style>{% if n == 1 %}<b>one</b>{% elif n == 2 %}<i>two</i>"
            "{% else %}many{% endif %}<a {% if hot %}title='hot'{% endif %}"
            " href='{{ url }}?a=1&amp;b={{ n }}'>{# no #}go</a>"
        )

        link = 'href="https://x.example/?a=1&amp;b={}" style="color: red;">go</a>'
        assert body_of(show(source, n=1, hot=True, url="https://x.example/")) == (
            '<b>one</b><a title="hot" ' + link.format(1)
        )
        assert body_of(show(source, n=2, hot=False, url="https://x.example/")) == (
            "<i>two</i><a " + link.format(2)
        )
        assert body_of(show(source, n=3, hot=False, url="https://x.example/")).startswith("many<a")

    def test_a_stylesheet_with_variables_is_inlined_and_remains(self) -> None:
        html = show("<style>p{color:{{ c }}}</style><p>x</p>", c="red")

        assert '<p style="color: red;">x</p>' in html
        assert "<style>p{color:red}</style>" in html

    @pytest.mark.parametrize(
        "page",
        [
            "<!doctype html><html><head><style>p{color:red}</style></head>BODY</html>",
            "<!doctype html><style>p{color:red}</style>BODY",
            "<html><style>p{color:red}</style>BODY</html>",
            "BODY<style>p{color:red}</style>",
        ],
    )
    def test_a_page_without_a_body_tag_gets_it_before_its_branches(self, page: str) -> None:
        source = page.replace("BODY", "{% if a %}<p>x</p>{% endif %}y")

        assert '<body><p style="color: red;">x</p>y' in show(source, a=True).replace("\n", "")
        assert "<body>y" in show(source, a=False)

    def test_macros_and_set_stand_before_the_page(self) -> None:
        html = show(
            "{% macro m(x) %}<b>{{ x }}</b>{% endmacro %}{% set y = 2 %}"
            "<style>p{color:red}</style><p>{{ m(y) }}</p>"
        )

        assert body_of(html) == '<p style="color: red;"><b>2</b></p>'

    def test_a_title_may_have_blocks_and_branches(self) -> None:
        html = show(
            "<html><head><title>{% block t %}{{ x }}{% if x %}!{% endif %}{% endblock %}</title>"
            "<style>p{color:red}</style></head><body><p>y</p></body></html>",
            x="<b>",
        )

        assert "<title>&lt;b&gt;!</title>" in html
        assert '<p style="color: red;">' in html

    def test_conditional_comments_and_their_variables_remain(self) -> None:
        html = show("<style>p{color:red}</style><!--[if mso]>{{ x }}<![endif]--><p>y</p>", x=1)

        assert "<!--[if mso]>1<![endif]-->" in html

    def test_nothing_is_fetched(self, tmp_path: Any) -> None:
        sheet = tmp_path / "evil.css"
        sheet.write_text("p{color:evil}")

        html = show(
            f"<html><head><link rel='stylesheet' href='{sheet}'><style>b{{color:red}}</style>"
            "</head><body><p>x</p></body></html>"
        )

        assert "<p>x</p>" in html
        assert f'<link rel="stylesheet" href="{sheet}">' in html

    def test_html_without_a_stylesheet_is_unchanged(self) -> None:
        source = "<TABLE><tr><td>x</TABLE>"

        assert show(source) == source

    @pytest.mark.parametrize(
        ("source", "why"),
        [
            ("{% if a %}<div>{% endif %}x{% if a %}</div>{% endif %}", "that it does not close"),
            ("<p {% if a %}class='a'>{% endif %}</p>", "ends outside of it"),
            ("<style>{% if a %}p{}{% endif %}</style>", "a stylesheet has branches"),
            ("zqjz1zjqz", "a meaning of its own"),
            ("<i>" * 101 + "</i>" * 101, "too many rules"),
        ],
    )
    def test_a_page_that_cannot_be_inlined_is_unchanged_and_has_a_note(
        self, source: str, why: str
    ) -> None:
        sheet = "<style>p{color:red}</style>"

        compiled = CompiledText(f"{sheet}{source}", html=True, name="mail")

        assert compiled.notes.startswith("the stylesheets of mail are not inlined: ")
        assert why in compiled.notes
        text = compiled.render({"a": 1, FORMATS: formats_for("en", "UTC"), METER: Meter()})
        assert text.startswith(sheet)


class TestMJML:
    PAGE = (
        "{% block all %}<mjml><mj-head><mj-style inline='inline'>.b{color:blue}</mj-style>"
        "</mj-head><mj-body>BODY</mj-body></mjml>{% endblock %}"
    )

    def test_mjml_becomes_html_with_loops_and_variables_in_place(self) -> None:
        html = show(
            self.PAGE.replace(
                "BODY",
                "{% for r in rows %}<mj-section background-color='{{ colour }}'><mj-column>"
                "<mj-text css-class='b'>Row {{ r }}</mj-text>"
                "<mj-button href='{{ url }}'>Go</mj-button></mj-column></mj-section>{% endfor %}",
            ),
            rows=["<a>", "b"],
            colour="#fed",
            url="https://x.example/?a=1&b=2",
        )

        assert html.lower().startswith("<!doctype html>")
        assert html.count(";background-color:#fed") == 4
        assert html.count('<td class="b" align="left" style="color: blue;') == 2
        assert "Row &lt;a&gt;" in html
        assert html.count('href="https://x.example/?a=1&amp;b=2"') == 2
        assert "googleapis" not in html

    @pytest.mark.parametrize(
        ("source", "why"),
        [
            ("<mj-section <mj-text>", "MJML: "),
            ("<mj-include path='/etc/passwd' />", "use {% include 'path' %}"),
            ("<mj-wrapper>" * 5_000, "nested more than 100 deep"),
            ("<mj-text>" + "<p>" * 5_000, "nested more than 100 deep"),
        ],
    )
    def test_invalid_mjml_is_reported(self, source: str, why: str) -> None:
        with pytest.raises(TemplateFault) as caught:
            CompiledText(f"<mjml><mj-body>{source}</mj-body></mjml>", html=True)

        assert caught.value.code == "template_syntax"
        assert why in caught.value.detail


IMAGE = "<mj-image src='https://x.example/a.png' href='https://x.example' width='100px' />"
CELL = f"<mj-column>{IMAGE}<mj-text><p>Text <a href='#'>a</a></p></mj-text></mj-column>"
ORDINARY = {
    "a menu": "<mj-section><mj-column><mj-navbar base-url='https://x.org' hamburger='hamburger'>"
    + "<mj-navbar-link href='/a'>Home</mj-navbar-link>" * 4
    + "</mj-navbar></mj-column></mj-section>",
    "a carousel": "<mj-section><mj-column><mj-carousel>"
    + "<mj-carousel-image href='#' thumbnails-src='t.png' src='p.jpg' />" * 6
    + "</mj-carousel></mj-column></mj-section>",
    "an accordion": "<mj-section><mj-column><mj-accordion>"
    + "<mj-accordion-element><mj-accordion-title>t</mj-accordion-title>"
    "<mj-accordion-text>x</mj-accordion-text></mj-accordion-element>"
    * 6
    + "</mj-accordion></mj-column></mj-section>",
    "columns": "",
}
ORDINARY["all of it"] = "".join(ORDINARY.values())


class TestOrdinaryMails:
    """Newsletters like those of MJML's gallery: some dozen sections, menus and carousels."""

    @staticmethod
    def page(kind: str, style: str = "a { color: red } .x ~ p, p + p { margin: 0 }") -> str:
        sections = ORDINARY[kind] + f"<mj-section>{CELL * 3}</mj-section>" * 16
        head = f"<mj-head><mj-style inline='inline'>{style}</mj-style></mj-head>"
        return f"<mjml>{head}<mj-body>{sections}</mj-body></mjml>"

    @pytest.mark.parametrize("kind", ORDINARY)
    def test_ordinary_mails_are_inlined(self, kind: str) -> None:
        compiled = CompiledText(self.page(kind), html=True, name="mail")

        assert compiled.notes == ""
        text = compiled.render({FORMATS: formats_for("en", "UTC"), METER: Meter()})
        assert text.count('<a href="#" style="color: red;">') == 48

    @pytest.mark.parametrize("kind", ORDINARY)
    def test_their_html_made_elsewhere_is_inlined(self, kind: str) -> None:
        made = mjml2html(self.page(kind), fonts={})

        compiled = CompiledText(made, html=True, name="mail")

        assert compiled.notes == ""

    def test_many_sibling_rules_are_inlined_if_there_are_few_siblings(self) -> None:
        sheet = "<style>" + ".a ~ p { color: red }" * 100 + "</style>"
        cell = "<td><p class='a'>x</p><p>y</p></td>"

        html = show(sheet + f"<table>{f'<tr>{cell * 2}</tr>' * 4}</table>" * 20)

        assert html.count('<p style="color: red;">') == 160


TOO_MUCH = {
    "siblings": (".a ~ p { color: red }", "<p>x</p>" * 3_000, "too many rules"),
    "rules": ("p { color: red } " * 600, "<p>x</p>" * 2_000, "too many rules"),
    "depth": ("p { color: red }", "<i>" * 101 + "</i>" * 101, "too many rules"),
}


class TestBeyondTheLimits:
    """HTML and MJML alike: the mail can be published, its styles remain, its author is warned."""

    @pytest.mark.parametrize("kind", TOO_MUCH)
    @pytest.mark.parametrize("form", ["html", "mjml"])
    def test_the_stylesheet_remains_if_inlining_exceeds_the_limits(
        self, kind: str, form: str
    ) -> None:
        sheet, inside, why = TOO_MUCH[kind]
        if form == "html":
            source = f"<style>{sheet}</style>{inside}"
        else:
            text = f"<mj-section><mj-column><mj-text>{inside}</mj-text></mj-column></mj-section>"
            source = f"<mjml><mj-head><mj-style inline='inline'>{sheet}</mj-style></mj-head>"
            source += f"<mj-body>{text}</mj-body></mjml>"
        if (kind, form) == ("depth", "mjml"):  # the compiled page is deeper than its source
            source = source.replace("<i>" * 101, "<i>" * 95).replace("</i>" * 101, "</i>" * 95)

        html = show(
            source, note=f"the stylesheets of mail are not inlined: there are {why} and elements"
        )

        assert sheet.strip().split(" { ")[0] in html
        assert 'style="color' not in html

    @pytest.mark.parametrize("form", ["html", "mjml"])
    def test_too_many_stylesheets_remain(self, form: str) -> None:
        sheet = "p{color:red}"
        if form == "html":
            source = f"<style>{sheet}</style>" * 21 + "<p>x</p>"
        else:
            styles = f"<mj-style inline='inline'>{sheet}</mj-style>" * 21
            text = "<mj-section><mj-column><mj-text><p>x</p></mj-text></mj-column></mj-section>"
            source = f"<mjml><mj-head>{styles}</mj-head><mj-body>{text}</mj-body></mjml>"

        html = show(
            source,
            note="the stylesheets of mail are not inlined: there are more than 20 stylesheets",
        )

        assert sheet in html
        assert "<p>x</p>" in html


HOSTILE = [
    "<style>" + ".a~p{color:red}" * 40 + "</style>" + "<div></p><br></div>" * 4_000,
    "<a" * 49_000,
    "<!--" * 24_000,
    "<style>" * 14_000,
    "<div>" * 19_000,
    "<p>" * 32_000,
    "<table" * 16_000,
    "<table>" + "<!--zqjz-->" * 8_000,
    "<style>" + "p{color:red}" * 4_000 + "</style>" + "<p>" * 15_000,
    "<style>" + "p~p~p~p~p{color:red}" * 40 + "</style>" + "<p>" * 5_000,
    "<style>" + "b b b b b b b i{color:red}" * 90 + "</style>" + ("<b>" * 90 + "</b>" * 90) * 100,
    "<style>p{color:" + "x" * 50_000 + "}</style>" + "<p>" * 10_000,
    "<mjml><mj-body>" + "<mj-section></mj-section>" * 3_800 + "</mj-body></mjml>",
    "<mjml><mj-body>" + "<mj-" * 20_000,
    "<mjml><mj-head><mj-style " + "inline " * 14_000,
    "<mjml><!--" + "<!---->" * 10_000,
]


@pytest.mark.parametrize("source", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_pages_take_little_time(source: str) -> None:
    sheet = "" if "mjml" in source else "<style>p{}</style>"

    with within(2, cpu=True), contextlib.suppress(TemplateFault):  # most take some hundredths
        CompiledText(f"{sheet}{source}", html=True)
