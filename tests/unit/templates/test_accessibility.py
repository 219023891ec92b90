"""What keeps people from reading a mail: each finding, and what is none."""

from __future__ import annotations

import time

import pytest

from notifications.domain.errors import TemplateFault
from notifications.features.templates.accessibility.warnings import (
    accessibility_warnings,
    sentence_of,
)
from notifications.features.templates.trials import ShownText
from notifications.rendering.accessibility.checks import LONGEST, find_barriers
from notifications.rendering.accessibility.colours import (
    BLACK,
    WHITE,
    Colour,
    contrast,
    parse_colour,
)
from notifications.rendering.accessibility.markup import Tag, read_markup, style_of
from notifications.rendering.pool import wire
from notifications.rendering.render import CompiledVersion

PAGE = '<!doctype html><html lang="en"><body>{}</body></html>'


def codes(body: str, *, locale: str = "en", is_whole: bool = True) -> list[str]:
    html = body if "<html" in body else PAGE.format(body)
    return [each.code for each in find_barriers(html, locale=locale, is_whole=is_whole)]


def detail(body: str) -> str:
    (found,) = find_barriers(PAGE.format(body), locale="en", is_whole=True)
    return sentence_of(found)


class TestLanguage:
    def test_a_mail_without_a_language_is_found(self) -> None:
        assert codes("<html><p>x</p></html>") == ["language_missing"]
        assert codes('<html lang=""><p>x</p></html>') == ["language_missing"]
        assert codes('<html lang="und"><p>x</p></html>') == ["language_missing"]

    def test_a_layout_or_partial_may_lack_one(self) -> None:
        assert codes("<html><p>x</p></html>", is_whole=False) == []

    @pytest.mark.parametrize(("lang", "locale"), [("ru", "en"), ("en-GB", "ru_RU")])
    def test_another_language_than_that_of_the_text_is_found(self, lang: str, locale: str) -> None:
        html = f'<html lang="{lang}"><p>x</p></html>'
        assert codes(html, locale=locale) == ["language_differs"]
        assert codes(html, locale=locale, is_whole=False) == ["language_differs"]

    @pytest.mark.parametrize(
        ("lang", "locale"), [("pt-BR", "pt_BR"), ("RU", "ru"), ("en", "en_GB")]
    )
    def test_a_territory_does_not_matter(self, lang: str, locale: str) -> None:
        assert codes(f'<html lang="{lang}"><p>x</p></html>', locale=locale) == []


class TestHeadings:
    @pytest.mark.parametrize(
        ("body", "found"),
        [
            ("<h1>a</h1><h2>b</h2><h3>c</h3><h2>d</h2>", []),
            ("<h2>a</h2>", ["heading_first"]),
            ("<h1>a</h1><h3>b</h3>", ["heading_skipped"]),
            ("<h1>a</h1><h1>b</h1>", ["heading_repeated"]),
            ("<h1> <span></span></h1>", ["heading_empty"]),
            ('<h1><img src="x" alt="Logo"></h1>', []),
            ("<p>no heading</p>", []),
        ],
    )
    def test_they_have_one_order(self, body: str, found: list[str]) -> None:
        assert codes(body) == found


class TestTables:
    @pytest.mark.parametrize(
        ("body", "found"),
        [
            ("<table><tr><td>a</td></tr></table>", ["table_role"]),
            ('<table role="presentation"><tr><td>a</td></tr></table>', []),
            ("<table><tr><th>a</th></tr><tr><td>b</td></tr></table>", []),
            ("<table><caption>a</caption><tr><td>b</td></tr></table>", []),
        ],
    )
    def test_a_layout_says_that_it_is_one(self, body: str, found: list[str]) -> None:
        assert codes(body) == found

    def test_headers_count_for_their_own_table_alone(self) -> None:
        inner = "<table><tr><th>a</th></tr></table>"
        assert codes(f"<table><tr><td>{inner}</td></tr></table>") == ["table_role"]


class TestContrast:
    @pytest.mark.parametrize(
        "body",
        [
            '<p style="color:#777">x</p>',
            '<div style="background:#222"><p>x</p></div>',
            '<td bgcolor="#ffff00"><font color="#ffffff">x</font></td>',
            '<p style="color:rgb(150, 150, 150)">x</p>',
            '<p style="color:rgba(0,0,0,.3)">x</p>',
            '<div style="background-color:navy"><a href="/x">see the list</a></div>',
            '<p style="color:#949494;font-size:20px">x</p>',
            '<p style="color:#777 !important">x</p>',
        ],
    )
    def test_pale_texts_are_found(self, body: str) -> None:
        assert codes(body) == ["low_contrast"]

    @pytest.mark.parametrize(
        "body",
        [
            '<p style="color:#767676">x</p>',
            '<p style="color:#949494;font-size:24px">x</p>',
            '<p style="color:#949494;font:bold 19px Arial">x</p>',
            '<div style="background:url(x.png)"><p style="color:#fff">x</p></div>',
            '<td background="x.png" style="color:#fff">x</td>',
            '<div style="background:linear-gradient(#000,#111);color:#fff">x</div>',
            '<p style="display:none;color:#fff">preheader</p>',
            '<div style="font-size:0;color:#fff">x</div>',
            '<div style="max-height:0;color:#fff">x</div>',
            '<p style="color:#fff">&nbsp; &mdash;</p>',
            '<p style="color:rebeccapurple">x</p>',
            '<div style="background:#000"><p style="color:#fff">x</p></div>',
            "<style>p{color:#fff}</style><!-- <p style=color:#fff>x --><p>x</p>",
        ],
    )
    def test_others_are_not(self, body: str) -> None:
        assert codes(body) == []

    def test_the_text_and_its_colours_are_named(self) -> None:
        assert detail('<p style="color:#999">Hello</p>') == (
            "texts that differ too little from their background: 1"
            ' ("Hello", #999999 on #ffffff, 2.8:1)'
        )

    def test_the_figures_are_those_of_wcag(self) -> None:
        assert contrast(BLACK, WHITE) == pytest.approx(21)
        assert contrast(WHITE, WHITE) == pytest.approx(1)
        grey = parse_colour("#777")
        assert grey is not None
        assert contrast(grey, WHITE) == pytest.approx(4.478, abs=0.001)

    @pytest.mark.parametrize(
        ("text", "colour"),
        [
            ("#FFF", WHITE),
            ("#00000080", Colour(0, 0, 0, 128 / 255)),
            ("rgb(100% 0% 0% / 50%)", Colour(255, 0, 0, 0.5)),
            ("white url", WHITE),
            ("transparent", Colour(0, 0, 0, 0)),
            ("#12", None),
            ("rgb(1,2)", None),
            ("rgb(1.2.3,2,3)", None),
            ("blanchedalmond", None),
            ("", None),
        ],
    )
    def test_colours_are_read_or_unknown(self, text: str, colour: Colour | None) -> None:
        assert parse_colour(text) == colour


class TestImagesAndLinks:
    @pytest.mark.parametrize(
        ("body", "found"),
        [
            ('<img src="/a/logo.png?x=1">', ["image_without_alt"]),
            ('<img src="a.png" alt="">', []),
            ('<img src="a.png" role="presentation">', []),
            ('<img src="a.png" alt="Our school">', []),
            ('<img src="a.png" alt="logo.png">', ["image_alt_is_file"]),
            ('<a href="/x"><img src="a.png" alt=""></a>', ["link_without_text"]),
            ('<a href="/x"><img src="a.png" alt="The plan"></a>', []),
            ('<a href="/x" aria-label="The plan"></a>', []),
            ('<a href="/x">Click <b>here</b>!</a>', ["link_vague"]),
            ('<a href="/x">Подробнее…</a>', ["link_vague"]),
            ('<a href="/x" aria-label="More about Maths">More</a>', []),
            ('<a href="/x">See your grades</a>', []),
            ('<a name="top"></a>', []),
        ],
    )
    def test_they_say_what_they_are(self, body: str, found: list[str]) -> None:
        assert codes(body) == found

    def test_the_image_is_named_and_counted(self) -> None:
        found = detail('<img src="/a/logo.png?x=1"><img src=b.png>')
        assert found.startswith("images without an alternative text: 2 (logo.png)")


class TestMarkup:
    def test_attributes_are_read_as_a_browser_does(self) -> None:
        text = "<A Href='a>b' title=\"x &amp; y\" hidden data-x=1/>t<br/><p>u</P>"
        assert list(read_markup(text)) == [
            Tag("a", {"href": "a>b", "title": "x & y", "hidden": "", "data-x": "1/"}, False, False),
            "t",
            Tag("br", {}, False, True),
            Tag("p", {}, False, False),
            "u",
            Tag("p", {}, True, False),
        ]

    def test_what_is_no_tag_is_a_text(self) -> None:
        assert list(read_markup("1 < 2 <<b>x")) == [
            "1 ",
            "< 2 ",
            "<",
            Tag("b", {}, False, False),
            "x",
        ]

    def test_a_tag_without_an_end_ends_the_text(self) -> None:
        assert list(read_markup('a<b c="d"')) == ["a"]
        assert list(read_markup("a<!-- b <p>")) == ["a"]
        assert list(read_markup("<style>p{}")) == [Tag("style", {}, False, False)]

    def test_the_last_declaration_wins(self) -> None:
        tag = Tag("p", {"style": "Color: RED; color:blue !important;x"}, False, False)
        assert style_of(tag) == {"color": "blue"}

    @pytest.mark.parametrize(
        "piece",
        [
            "<",
            "<a ",
            "<a>",
            "</a>",
            '<a x="',
            "<h1>x",
            "<!--",
            "<style>",
            "<table>",
            "<b x=y>z",
            "a=<b '",
        ],
    )
    def test_hostile_mails_cost_linear_time(self, piece: str) -> None:
        text = piece * (LONGEST // len(piece))
        began = time.process_time()
        find_barriers(text, locale="en", is_whole=True)
        assert time.process_time() - began < 1.5

    @pytest.mark.parametrize("number", ["9" * 5_000, "0" * 5_000 + "65", "x" + "f" * 5_000])
    def test_an_entity_that_is_no_character_is_replaced(self, number: str) -> None:
        for end in ("", ";"):
            text = f"&#{number}{end} <a href='&#{number}{end}'>&#65;"
            texts = list(read_markup(text))
            assert texts == ["\ufffd ", Tag("a", {"href": "\ufffd"}, False, False), "A"]

    @pytest.mark.parametrize("piece", ["a", "a ", "a:", "a;", "-"])
    def test_hostile_styles_cost_linear_time(self, piece: str) -> None:
        text = piece * (40_000 // len(piece))
        began = time.process_time()
        style_of(Tag("p", {"style": text}, False, False))
        assert time.process_time() - began < 0.5


def warnings_of(*mails: str) -> list[str]:
    """Returns the warnings of a version with these mails, each in a locale of its own."""
    version = CompiledVersion(
        version_id=0,
        path="a.b",
        content={"en": {"email_subject_template": "x"}},
        required_variables=[],
        supported_channels=[],
        default_locale="en",
    )
    shown: list[ShownText] = [
        ("email", f"a{letter}", wire.Previewed("", "", html, None, None))
        for letter, html in zip("bcdefg", mails, strict=False)
    ]
    return accessibility_warnings(version, shown, principal="user:1")


class TestWarnings:
    def test_mails_are_read_in_a_render_process(self) -> None:
        busy = PAGE.format("<h1>x" * 20_000)
        warnings_of("<html lang=ab>")  # starts the process
        began = time.process_time()
        found = warnings_of(busy, "<html lang=ac><img src=a.png>")
        assert time.process_time() - began < 0.1
        assert "email in ac: images without an alternative text: 1 (a.png)" in found[-1]

    def test_a_mail_whose_check_fails_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            "notifications.features.templates.trials.render_drafts",
            lambda principal, tasks: [TemplateFault("it fails") for _ in tasks],
        )
        assert warnings_of("<p>") == [
            "email in ab: was not checked for accessibility: it fails",
        ]

    def test_mails_beyond_the_limit_are_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("notifications.features.templates.accessibility.warnings.MOST_READ", 5)
        found = warnings_of("<html lang=ab>", "<html lang=xx>")
        assert found == ["from ac on, mails were not checked for accessibility: too long"]
