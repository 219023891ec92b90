"""Parameters in the links of a mail: which links get them, and which stay as they are."""

from __future__ import annotations

import dataclasses

import pytest

from notifications.rendering.mail.utm import add_parameters

PARAMETERS = (("utm_source", "news letter"), ("utm_campaign", "may&june"))
QUERY = "utm_source=news%20letter&utm_campaign=may%26june"
IN_HTML = QUERY.replace("&", "&amp;")
HOME = "https://notify.example.com"


@pytest.fixture(autouse=True)
def _home(settings):

    settings.CARILLON = dataclasses.replace(settings.CARILLON, public_url=HOME)


def html(link: str) -> str:
    made, _ = add_parameters(f'<p><a href="{link}">x</a></p>', "", PARAMETERS)
    return made.removeprefix('<p><a href="').removesuffix('">x</a></p>')


def text(link: str) -> str:
    _, made = add_parameters("", f"See {link}, please", PARAMETERS)
    return made.removeprefix("See ").removesuffix(", please")


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("https://shop.example", f"https://shop.example?{IN_HTML}"),
        ("http://shop.example/a#top", f"http://shop.example/a?{IN_HTML}#top"),
        ("https://shop.example/?a=1&amp;b=2", f"https://shop.example/?a=1&amp;b=2&amp;{IN_HTML}"),
        ("https://shop.example/?", f"https://shop.example/?{IN_HTML}"),
        ("https://shop.example/?a&amp;", f"https://shop.example/?a&amp;{IN_HTML}"),
    ],
)
def test_links_get_the_parameters_before_their_fragment(link, expected):
    assert html(link) == expected


@pytest.mark.parametrize(
    "link",
    [
        "https://shop.example/?utm_source=own",
        "https://shop.example/?a=1&amp;UTM_Medium=own",
        "mailto:ada@example.com",
        "tel:+123",
        "javascript:alert(1)",
        "//shop.example/x",
        "/relative",
        f"{HOME}/unsubscribe/u.1.abc",
        f"{HOME}/preferences/p.1.abc",
        "https://shop.example/" + "x" * 1_960,
    ],
)
def test_these_links_stay_as_they_are(link):
    assert html(link) == link


def test_a_link_that_the_author_excluded_stays_in_both_parts():
    url = "https://elsewhere.example/leave"
    made = add_parameters(f'<a data-track="off" href="{url}">x</a>', f"Leave: {url}", PARAMETERS)
    assert made == (f'<a data-track="off" href="{url}">x</a>', f"Leave: {url}")


def test_the_text_part_has_the_same_links():
    assert text("https://shop.example/a?b=1") == f"https://shop.example/a?b=1&{QUERY}"
    assert text(f"{HOME}/unsubscribe/u.1.abc") == f"{HOME}/unsubscribe/u.1.abc"
    assert add_parameters("", "no link", PARAMETERS) == ("", "no link")


def test_comments_and_styles_are_no_links():
    page = '<style>a{b:url(https://x.example)}</style><!-- <a href="https://x.example">x</a> -->'
    assert add_parameters(page, "", PARAMETERS)[0] == page


def test_an_apostrophe_cannot_end_a_single_quoted_attribute():
    given = "<p><a href='https://shop.example/?q=O&#39;Neil'>x</a></p>"
    made, _ = add_parameters(given, "", PARAMETERS)
    url = f"https://shop.example/?q=O&#39;Neil&amp;{IN_HTML}"
    assert made == f"<p><a href='{url}'>x</a></p>"
