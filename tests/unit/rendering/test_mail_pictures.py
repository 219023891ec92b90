"""Pictures of a mail that get another URL for a preview."""

from __future__ import annotations

import pytest

from notifications.rendering.mail.pictures import MOST_PICTURES, with_pictures


def shown(html: str) -> str:
    return with_pictures(html, lambda url: f"/p?u={url}&x")


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<img src="https://a.example/x.png">', '<img src="/p?u=https://a.example/x.png&amp;x">'),
        ("<IMG alt='>' SRC = 'http://a.example/'/>", "<IMG alt='>' src=\"/p?u=http://a.example/&amp;x\"/>"),
        ("<img src=https://a.example/x>", '<img src="/p?u=https://a.example/x&amp;x">'),
        (
            '<img src="https://a.example/?a=1&amp;b=2">',
            '<img src="/p?u=https://a.example/?a=1&amp;b=2&amp;x">',
        ),
        (
            '<img srcset="https://a.example/2x 2x" src="https://a.example/1x">',
            '<img  src="/p?u=https://a.example/1x&amp;x">',
        ),
    ],
)  # fmt: skip
def test_pictures_of_other_hosts_get_another_url(html: str, expected: str) -> None:
    assert shown(html) == expected


@pytest.mark.parametrize(
    "html",
    [
        '<img src="data:image/png;base64,AA">',
        '<img src="cid:logo">',
        '<img src="/static/x.png">',
        '<img src="javascript:alert(1)">',
        '<img src="https://user@a.example/x">',
        '<img src="">',
        "<img alt='src=https://a.example/'>".replace("src=", "source "),
        '<a href="https://a.example/">x</a>',
        '<imgs src="https://a.example/x">',
        '<img alt="x src=https://a.example/x" data-src="https://a.example/x">',
        '<img src="https://a.example/x"',
        "<img",
    ],
)
def test_all_else_stays_as_it_is(html: str) -> None:
    assert shown(html) == html


def test_no_url_leaves_its_attribute() -> None:
    found = with_pictures('<img src="https://a.example/">', lambda _: '"><script>')
    assert found == '<img src="&quot;&gt;&lt;script&gt;">'


def test_later_pictures_stay_as_they_are() -> None:
    picture = '<img src="https://a.example/x">'
    assert shown(picture * (MOST_PICTURES + 5)).count("/p?u=") == MOST_PICTURES


def test_a_long_text_takes_linear_time() -> None:
    for text in (
        "<img " * 50_000,
        '<img "' * 50_000,
        "<img src=" * 50_000,
        "<img a=" + " " * 300_000,
    ):
        assert shown(text) == text
