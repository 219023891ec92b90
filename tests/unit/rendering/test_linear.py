"""Reading any text of an author takes time about linear in its length.

Each reader gets texts that are hard to read, of one length and of four times that length; a
quadratic reader takes sixteen times as long. Python's own compiler takes long for each output, so
texts with outputs are short.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest

from notifications.domain.errors import TemplateFault
from notifications.domain.references import references
from notifications.features.templates.review import locale_gaps
from notifications.infra.tracking.links import LinkSigner
from notifications.rendering import mail_text, titles
from notifications.rendering.engine import CompiledText
from notifications.rendering.lengths import push, sms
from notifications.rendering.mail import html as mail_html
from notifications.rendering.mail import pages, tags
from notifications.rendering.mail.tracked import MailTracker
from notifications.rendering.render import CompiledVersion, text_content
from tests.pace import within

STYLE = "<style>a{b:c}</style>"
FACTOR = 9.0  # for four times the length
MEASURED = 3
"""Measurements of each reader: a slow reader is slow each time, a busy core is not."""
SLACK_S = 0.02


def repeated(unit: str, *, before: str = "", after: str = "") -> Callable[[int], str]:
    return lambda size: before + unit * (size // len(unit)) + after


PLAIN = {
    "one word": repeated("x"),
    "blanks, then a word": lambda size: " " * (size // 2) + "x" * (size // 2),
    "empty lines": repeated("\n"),
    "lines": repeated("a\n"),
    "tabs": repeated(" \t", before="<p>"),
    "an unfinished tag": repeated("a", before=f"{STYLE}<"),
    "unfinished tags": repeated("<a", before=STYLE),
    "unfinished links": repeated("<a ", before=STYLE),
    "tag beginnings": repeated("<", before=STYLE),
    "stylesheets without end": repeated("<style>"),
    "comments without end": repeated("<!--", before=STYLE),
    "quotes without end": repeated("'\"", before=f'{STYLE}<a class="'),
    "attributes": repeated("x=y ", before=f"{STYLE}<a ", after=">"),
    "ends of a head": repeated("</head ", before=STYLE),
    "tables": repeated("<table> ", before=STYLE),
    "bold within bold": repeated("<b>a", before=STYLE),
    "ampersands": repeated("&", before="<p>"),
    "a character's endless number": repeated("1", before="<p>&#"),
    "braces": repeated("{"),
    "statements that begin": repeated("{% "),
    "a statement of blanks": lambda size: "{%" + " " * size + "x",
    "comments": repeated("{#"),
    "raw blocks": repeated("{% raw %}"),
    "a text without end": repeated("\\a", before="{{ '"),
    "a long number": repeated("1_", before="{{ ", after="1.a }}"),
    "a number of digits": repeated("1", before="{{ ", after=" }}"),
    "names of templates": repeated("{% include"),
    "selectors": repeated("a,", before="<style>", after="b{c:d}</style><p>x"),
    "rules": repeated("a{b:c}", before="<style>", after="</style><p>x"),
    "comments of a stylesheet": repeated("/*", before="<style>", after="</style><p>x"),
    "half a mark": repeated("zqjz1", before=STYLE),
    "MJML sections": repeated("<mj-section>", before="<mjml><mj-body>"),
    "MJML styles": repeated("<mj-style inline ", before="<mjml>"),
    "emoji": repeated("\U0001f389"),
}
COMPILED = {
    "outputs": repeated("{{a}}"),
    "outputs in an unfinished tag": repeated("{{x}}", before=f"{STYLE}<a "),
    "outputs in classes": repeated("class='{{x}}", before=f"{STYLE}<a "),
    "names": lambda size: "".join(f"{{{{a{n}}}}}" for n in range(size // 7)),
    "calls of a macro": repeated("{{m()}}", before="{% macro m() %}{% endmacro %}"),
    "branches": repeated("{% if a %}<b>x</b>{% endif %}", before=STYLE),
    "branches within branches": repeated(
        "<b>x</b>", before=STYLE + "{% if a %}" * 40, after="{% endif %}" * 40
    ),
    "blocks within blocks": lambda size: (
        "".join(f"{{% block a{n} %}}" for n in range(30)) + "x" * size + "{% endblock %}" * 30
    ),
}
READERS: dict[str, Callable[[str], object]] = {
    "titles.marked": lambda text: titles.marked("push_template", text),
    "titles.one_line": titles.one_line,
    "text_content": lambda text: text_content(text, text, channel="push"),
    "references": lambda text: references([text]),
    "pages.read_page": lambda text: list(pages.read_page(text)),
    "tags.placed_tags": lambda text: list(tags.placed_tags(text)),
    "tags.Balance": tags.Balance,
    "tags.sibling_pairs": tags.sibling_pairs,
    "mail_html.inlined": lambda text: mail_html._inlined(text, retain_all=False),
    "mail_html.moving": mail_html._has_moving_classes,
    "mail_html.mjml": lambda text: mail_html._from_mjml(text, "x"),
    "tracked.clicks": lambda text: _tracker().clicks(text, text),
    "mail_text.tidied": mail_text.tidied,
    "sms.sms_length": sms.sms_length,
    "push.push_fitted": lambda text: push.push_fitted(text, text),
    "push.push_length": lambda text: push.push_length(text, text),
}


def _tracker() -> MailTracker:
    return MailTracker(LinkSigner(1, "https://links.example"))


def seconds(read: Callable[[str], object], text: str) -> float:
    """Returns the least CPU time of three reads."""
    spent = []
    for _ in range(3):
        began = time.thread_time()
        with contextlib.suppress(TemplateFault, mail_html.Unfit):
            read(text)
        spent.append(time.thread_time() - began)
    return min(spent)


def slow_families(
    read: Callable[[str], object], families: dict[str, Callable[[int], str]], size: int
) -> dict[str, str]:
    """Returns the families of texts for which a reader takes more than linear time."""
    found = {}
    for name, make in families.items():
        for _ in range(MEASURED):
            short, long = seconds(read, make(size)), seconds(read, make(4 * size))
            if long <= FACTOR * short + SLACK_S:
                break
        else:
            found[name] = f"{short:.4f} s, then {long:.4f} s"
    return found


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_of_texts_is_linear(reader: str) -> None:
    assert slow_families(READERS[reader], PLAIN | COMPILED, 5_000) == {}


@pytest.mark.parametrize("html", [False, True], ids=["text", "html"])
@pytest.mark.parametrize("family", PLAIN)
def test_compiling_is_linear(family: str, html: bool) -> None:
    assert slow_families(_compile(html), {family: PLAIN[family]}, 5_000) == {}


@pytest.mark.parametrize("html", [False, True], ids=["text", "html"])
@pytest.mark.parametrize("family", COMPILED)
def test_compiling_outputs_is_linear(family: str, html: bool) -> None:
    assert slow_families(_compile(html), {family: COMPILED[family]}, 700) == {}


def _compile(html: bool) -> Callable[[str], object]:
    field = "email_html_template" if html else "push_template"
    return lambda text: _version({"en": {field: text}}).precompile()


def _version(content: dict[str, dict[str, str]]) -> CompiledVersion:
    return CompiledVersion(
        version_id=0,
        path="a.b",
        content=content,
        required_variables=[],
        supported_channels=[],
        default_locale="en",
    )


def test_a_quadratic_reader_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    # The test sets the clock itself: it checks the measurement, not the machine.
    spent = [0.0]
    monkeypatch.setattr(time, "thread_time", lambda: spent[0])

    def linear(text: str) -> None:
        spent[0] += len(text) * 1e-5

    def quadratic(text: str) -> None:
        spent[0] += len(text) ** 2 * 1e-9

    family = {"a": repeated("<")}
    assert slow_families(linear, family, 5_000) == {}
    assert slow_families(quadratic, family, 5_000) == {"a": "0.0250 s, then 0.4000 s"}


def test_three_texts_that_were_slow_are_read_at_once() -> None:
    for source, html in (
        ("x" * 60_000, False),
        (" " * 1000 + "x" * 1000, False),
        ("<style>a{b:c}</style><" + "a" * 20_000, True),
    ):
        with within(0.2, cpu=True):
            CompiledText(titles.marked("push_template", source), html=html)


def test_locales_are_compared_in_linear_time() -> None:
    content = {f"l{n}": {"push_template": "x"} for n in range(100)}

    with within(0.1, cpu=True):
        locale_gaps(content, "en")
