"""The bound of sibling pairs is never below the pairs that an HTML parser finds."""

from __future__ import annotations

import random
from html.parser import HTMLParser

import pytest
from css_inline import CSSInliner

from notifications.rendering.mail.tags import VOID, sibling_pairs

NAMES = ("div", "p", "b", "a", "table", "tr", "td", "li", "ul", "span", "h1", "br", "tbody", "th")
HEAD_AND_BODY = 60  # an upper bound of the pairs that the parser adds


class _Pairs(HTMLParser):
    """Counts the sibling pairs of a page whose tags are all in order."""

    def __init__(self) -> None:
        super().__init__()
        self.found = 0
        self._children = [0]

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.found += self._children[-1]
        self._children[-1] += 1
        if tag not in VOID:
            self._children.append(0)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            self._children.pop()


def read(html: str) -> int:
    """Returns the pairs that html5ever finds, the parser of css-inline."""
    reader = _Pairs()
    reader.feed(CSSInliner().inline(f"<style>x{{}}</style><body>{html}"))
    return reader.found


@pytest.mark.parametrize(
    ("html", "pairs"),
    [
        ("", 0),
        ("<p>a</p><p>b</p><p>c</p>", 3),
        ("<p>a<p>b<p>c", 3),
        ("<div><i></i><br></div><div><i></i></div>", 2),
        ("<ul><li>a<li>b</ul><ul><li>c</ul>", 2),
        ("<table><tr><td><b>x</b></td></tr></table>", 3),
        ("<div><b></div></b>", 16),
        ("<table><b></b></table>", 16),
    ],
)
def test_pages_in_order_are_counted_by_their_parents(html: str, pairs: int) -> None:
    assert sibling_pairs(html) == pairs


def test_random_tags_never_have_more_siblings_than_counted() -> None:
    for seed in range(500):
        chance = random.Random(seed)
        tags = (
            f"<{'/' if chance.random() < 0.45 else ''}{chance.choice(NAMES)}>"
            for _ in range(chance.randint(2, 9))
        )
        html = "".join(tags) * 40
        assert read(html) <= 2 * sibling_pairs(html) + HEAD_AND_BODY, html[: len(html) // 40]
