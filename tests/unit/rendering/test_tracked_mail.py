"""Links of mails are rewritten where that is certain; everything else stays as it was."""

from __future__ import annotations

import re
from html import escape, unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.domain.engagement import EventKind
from notifications.infra.tracking.links import MAX_LINKS, MAX_URL, LinkSigner, read_click
from notifications.rendering.mail.tracked import MailTracker

BASE = "https://links.example"


def tracked(html: str, text: str = "") -> tuple[str, str]:
    return tuple(MailTracker(LinkSigner(77, BASE)).clicks(html, text))


def targets(text: str) -> list[str]:
    """The URLs that the tracking links of a text lead to, each verified."""
    found = []
    for link in re.findall(rf"{BASE}/api/v1/track/click\?[^\s\"'<>)\]]*", text):
        query = parse_qs(urlsplit(unescape(link)).query)
        click = read_click(*(query[name][0] for name in ("m", "s", "url")))
        assert click is not None, link
        found.append(click.url)
    return found


@pytest.mark.parametrize(
    ("html", "urls"),
    [
        ('<a href="https://a.example/?b=1&amp;c=2#d">x</a>', ["https://a.example/?b=1&c=2#d"]),
        ("<A HREF='http://a.example'>x</A>", ["http://a.example"]),
        ("<a class=b href=https://a.example/?q=1>x</a>", ["https://a.example/?q=1"]),
        ('<a\n title="a > b"\n href = "https://a.example/">x</a>', ["https://a.example/"]),
        ("<a title=\"href='https://b.example'\" href='https://a.example'>", ["https://a.example"]),
        ('<a href="https://a.example" href="https://b.example">', ["https://a.example"]),
        ('<a href=" https://a.example/ ">x</a>', ["https://a.example/"]),
        ('<area shape="rect" href="https://a.example/">', ["https://a.example/"]),
        ('<a href="https://a.example:8443/%C3%A9/é?ü=1">', ["https://a.example:8443/%C3%A9/é?ü=1"]),
        (
            '<a href="https://a.example/">1<a href="https://a.example/">2',
            ["https://a.example/"] * 2,
        ),
        (
            '<!--[if !mso]><!--><a href="https://a.example/"><!--<![endif]-->',
            ["https://a.example/"],
        ),
        ('<!--x--><a href="https://a.example/">', ["https://a.example/"]),
        ('<style>a{}</style><a href="https://a.example/">', ["https://a.example/"]),
        ('<base href="https://b.example/"><a href="https://a.example/">', ["https://a.example/"]),
    ],
)
def test_absolute_links_are_rewritten(html: str, urls: list[str]) -> None:
    found, _ = tracked(html)
    assert targets(found) == urls


@pytest.mark.parametrize(
    "html",
    [
        '<a href="mailto:a@b.example">',
        '<a href="tel:+4930123">',
        '<a href="#top">',
        '<a href="/path">',
        '<a href="//evil.example/">',
        '<a href="javascript:alert(1)">',
        '<a href="JaVaScRiPt:alert(1)">',
        '<a href="data:text/html,x">',
        '<a href="ftp://a.example/">',
        '<a href="https://user@a.example/">',
        '<a href="https://a.example\\@b.example/">',
        '<a href="https:\\\\a.example/">',
        '<a href="https:///a.example/">',
        '<a href="https://">',
        '<a href="https://a.example/a b">',
        '<a href="https://a.example/\x01">',
        '<a href="https://a.example/\n x">',
        '<a href="https://a.example/\u202e">',
        '<a href="">',
        "<a href>",
        "<a>",
        f'<a href="https://a.example/{"x" * MAX_URL}">',
        '<a data-track="off" href="https://a.example/">',
        "<a href='https://a.example/' DATA-TRACK=off>",
        '<a data-href="https://a.example/">',
        '<abbr href="https://a.example/">',
        '<link href="https://a.example/"><base href="https://a.example/">',
        '<!-- <a href="https://a.example/"> -->',
        '<!--[if mso]><a href="https://a.example/">x</a><![endif]-->',
        '<!-- <a href="https://a.example/">',
        "<style>x{content:'<a href=\"https://a.example/\">'}</style>",
        '<SCRIPT>"<a href=\\"https://a.example/\\">"</SCRIPT>',
        '<textarea><a href="https://a.example/"></textarea>',
        '<a href="https://a.example/',
        '<a href="http://127.0.0.1:8000/unsubscribe/u.1.x.y">',
        '<a href="http://127.0.0.1:8000/preferences/p.1.x.y?lang=en">',
        '<a href="http://127.0.0.1:8000/new-password/x">',
        '<a href="http://127.0.0.1:8000//account/login">',
        "a < b and <a",
    ],
)
def test_other_links_stay_as_they_are(html: str) -> None:
    assert tracked(html)[0] == html


def test_the_text_part_has_the_links_of_the_html() -> None:
    html, text = tracked(
        '<a href="https://a.example/x_(y)">A</a>',
        "[A](https://a.example/x_(y))[B](http://b.example).",
    )
    link = unescape(re.findall(r'href="([^"]*)"', html)[0])
    assert f"[A]({link})[B](" in text
    assert targets(text) == ["https://a.example/x_(y)", "http://b.example"]
    assert text.endswith(").")


def test_a_link_that_the_author_excluded_is_excluded_in_the_text() -> None:
    _, text = tracked('<a data-track="off" href="https://a.example/">', "see https://a.example/.")
    assert text == "see https://a.example/."


def test_many_links_are_bounded() -> None:
    html = "".join(f'<a href="https://a.example/{n}">' for n in range(MAX_LINKS + 5))
    assert len(targets(tracked(html)[0])) == MAX_LINKS


def test_the_pixel_and_the_hidden_link_are_before_the_end() -> None:
    tracker = MailTracker(LinkSigner(77, BASE))
    html = tracker.pixel(tracker.honeypot("<body><p>x</p></body></html>", "https://app.example"))
    assert html.endswith("</body></html>")
    assert 'aria-hidden="true" tabindex="-1"' in html
    assert "display:none" in html
    assert html.count("<img") == 1
    link = parse_qs(urlsplit(unescape(re.findall(r'href="([^"]*)"', html)[0])).query)
    found = read_click(*(link[name][0] for name in ("m", "s", "url")))
    assert found is not None
    assert found.kind is EventKind.HONEYPOT
    assert MailTracker(LinkSigner(1, BASE)).pixel("<p>no end").startswith("<p>no end<img")


_PIECES = st.sampled_from(
    [
        "<a ",
        "<A\t",
        "href=",
        'href="',
        "'",
        '"',
        ">",
        "<",
        "</a>",
        "<!--",
        "-->",
        "<style>",
        "</style>",
        "https://a.example/",
        "é",
        "&amp;",
        "http://b.example?x=1&amp;y",
        "\\",
        "\x00",
        " ",
        "<body>",
        "</body>",
        "data-track=off ",
        "İ",
        "<script",
        "</script>",
    ]
)


@given(st.lists(_PIECES, max_size=60).map("".join), st.lists(_PIECES, max_size=20).map("".join))
def test_no_text_makes_it_fail_and_nothing_else_changes(html: str, text: str) -> None:
    tracker = MailTracker(LinkSigner(77, BASE))
    found = tracker.clicks(html, text)
    tracker.honeypot(tracker.pixel(found.html), "https://app.example")
    undone = re.sub(
        rf"{BASE}/api/v1/track/click\?m=77\.\d+&amp;s=\w+&amp;url=([^\"'\s>]*)",
        lambda each: escape(parse_qs(f"u={each[1]}")["u"][0], quote=False),
        found.html,
    )
    strip = str.maketrans("", "", "\"' \t\n\f\r")
    assert undone.translate(strip) == html.translate(strip) or "&" in html


def test_a_long_page_takes_a_linear_time() -> None:
    for piece in ("<a ", "<!--", '<a href="', "<style>", "<a href='https://a.example/", "(" * 5):
        tracked(piece * 40_000, ("https://a.example/)" + piece) * 5_000)
