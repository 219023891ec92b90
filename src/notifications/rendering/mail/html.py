"""Compiles a mail's HTML: turns MJML into HTML and inlines stylesheets.

Both are done once for a version, never for a message. Mail programs drop `<style>`, so rules are
written into the `style` attributes of the elements that they match. `@media` and other at-rules
remain in the stylesheet, as do rules for a state, such as `a:hover`.
Nothing is fetched: no stylesheet, no font, no include.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from css_inline import CSSInliner, InlineError
from jinja2 import nodes
from mjml import mjml2html

from notifications.domain.errors import TemplateFault
from notifications.rendering.language.meter import MAX_OUTPUT
from notifications.rendering.language.trees import find_all
from notifications.rendering.mail.skeleton import MARK, Skeleton, Unfit
from notifications.rendering.mail.stylesheets import rules_of_states
from notifications.rendering.mail.tags import OPTIONAL_END, sibling_pairs, tags, without_comments

MAX_TAG_DEPTH = 100  # mrml descends the tree by recursion, on the thread's own stack
MAX_SHEETS = 20
MAX_STYLED = 20_000_000  # characters of stylesheets times elements
MAX_MATCHES = 1_000_000
"""Rules times elements, plus pairs of siblings for each rule that matches by siblings."""
_HAS_STYLE = re.compile(r"<(?:mj-)?style\b", re.IGNORECASE)
_SHEET_BEGINS = re.compile(r"<style\b[^<>]*+>", re.IGNORECASE)
_SHEET_ENDS = re.compile(r"</style\s*+>", re.IGNORECASE)
_OWN_STYLE = re.compile(
    r"(<mj-style\b[^<>]{0,200}\binline\s?=\s?[\"']inline[\"'][^<>]{0,200}>)", re.IGNORECASE
)
_BEFORE_BODY = [
    re.compile(each, re.IGNORECASE)
    for each in (r"</head\s*>", r"<html\b[^<>]*>", r"<!doctype[^<>]*>")
]
_ANY_TAG = re.compile(r"<[a-z][^<>]*+>", re.IGNORECASE)
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_MARKED_CLASS = re.compile(
    r"(?:\b|(?<=zjqz))(?:class|id)\s?=\s?(?:\"[^\"]*zqjz|'[^']*zqjz|zqjz)", re.IGNORECASE
)
_CLASS = re.compile(r"\b(?:class|id)\b", re.IGNORECASE)
_MOVING = (
    "rules for a class or id that a branch or variable sets cannot be inlined;"
    " the stylesheet remains"
)
_MANY_SHEETS = f"there are more than {MAX_SHEETS} stylesheets"
_INLINED = "/*zqjzown*/"
_ROWS = re.compile(r"(<table\b[^<>]*>)((?:\s|<!--zqjz\d+zjqz-->)*<tr\b)", re.IGNORECASE)
_BY_SIBLINGS = re.compile(r"~|:(?:nth|last|only|has|is|where|not)")
"""Selectors that may check all siblings of an element; `+` and `:first-child` check one."""
_IGNORED = 'data-css-inline="ignore"'
_OPTIONS: dict[str, Any] = {
    "keep_at_rules": True,
    "keep_link_tags": True,
    "load_remote_stylesheets": False,
}
_HTML = CSSInliner(**_OPTIONS)
_MJML = CSSInliner(**_OPTIONS, keep_style_tags=True)


class Styled(NamedTuple):
    """The statements of a mail whose stylesheets were inlined, if possible."""

    body: list[nodes.Node]
    #: Why the stylesheets are not inlined, or an empty text.
    why_not: str


def styled(body: list[nodes.Node], *, name: str) -> Styled:
    """Returns the statements of a mail's HTML, with MJML compiled and stylesheets inlined.

    A stylesheet that cannot be inlined remains as written: the mail is correct, if plainer.

    Raises:
        TemplateFault: template_syntax, for MJML that cannot be compiled.
    """
    head, page = _split(body)
    if len(page) == 1 and isinstance(page[0], nodes.Scope):  # all of it is one block
        page[0].body, why_not = styled(page[0].body, name=name)
        return Styled(body, why_not)
    static = "".join(data.data for node in page for data in find_all(node, nodes.TemplateData))
    is_mjml = without_comments(static).lstrip().lower().startswith("<mjml")
    if not is_mjml and not _HAS_STYLE.search(static):
        return Styled(body, "")
    try:
        has_many = len(_HAS_STYLE.findall(static)) > MAX_SHEETS
        if has_many and not is_mjml:
            raise Unfit(_MANY_SHEETS)
        skeleton = Skeleton(page)
        is_moving = not is_mjml and _has_moving_classes(skeleton.text)
        why_not = f"{name}: {_MOVING}" if is_moving else ""
        if is_mjml:
            text, why_not = _from_mjml(skeleton.text, name, can_inline=not has_many)
        else:
            text = _inlined(skeleton.text, is_moving)
        return Styled([*head, *skeleton.statements(text)], why_not)
    except Unfit as error:
        if is_mjml:
            raise _fault(name, str(error)) from error
        return Styled(body, _not_inlined(name, error))


def _split(body: list[nodes.Node]) -> tuple[list[nodes.Node], list[nodes.Node]]:
    """Splits the statements before the page, such as macros and `set`, from the page."""
    for place, node in enumerate(body):
        if isinstance(node, nodes.Output):
            if any(not isinstance(d, nodes.TemplateData) or d.data.strip() for d in node.nodes):
                return body[:place], body[place:]
        elif not isinstance(node, nodes.Assign | nodes.Macro):
            return body[:place], body[place:]
    return body, []


def _not_inlined(name: str, error: Unfit) -> str:
    return f"the stylesheets of {name} are not inlined: {error}"


def _from_mjml(text: str, name: str, *, can_inline: bool = True) -> tuple[str, str]:
    """Compiles MJML; returns the HTML, and why its stylesheets are not inlined, or "".

    As with HTML, a mail that exceeds the limits of inlining is still valid: its styles remain.

    Raises:
        TemplateFault: template_syntax, when it cannot be compiled.
    """
    if _depth(text, is_xml=True) > MAX_TAG_DEPTH:
        raise _fault(name, f"elements are nested more than {MAX_TAG_DEPTH} deep")
    if "<mj-include" in text.lower():
        raise _fault(name, "use {% include 'path' %} instead of mj-include")
    try:
        html = mjml2html(_OWN_STYLE.sub(rf"\1{_INLINED}", text), fonts={})
    except ValueError as error:
        raise _fault(name, str(error)) from error
    why_not = ""
    if _INLINED in html:
        try:
            if not can_inline:
                raise Unfit(_MANY_SHEETS)
            html = _run(_MJML, _map_sheets(html, _chosen)).replace(f" {_IGNORED}", "")
        except Unfit as error:
            why_not = _not_inlined(name, error)
    return html.replace(_INLINED, ""), why_not


def _sheets(html: str) -> Iterator[tuple[re.Match[str], int]]:
    """Yields the stylesheets of a page: the start tag, and where the content ends."""
    at = 0
    while begins := _SHEET_BEGINS.search(html, at):
        ends = _SHEET_ENDS.search(html, begins.end())
        if ends is None:
            return
        yield begins, ends.start()
        at = ends.end()


def _map_sheets(html: str, change: Callable[[str, str], str]) -> str:
    """Returns the page with the start tag of each stylesheet changed: change(tag, content)."""
    parts: list[str] = []
    at = 0
    for begins, end in _sheets(html):
        parts += [html[at : begins.start()], change(begins[0], html[begins.end() : end])]
        at = begins.end()
    return "".join([*parts, html[at:]])


def _chosen(tag: str, sheet: str) -> str:
    """Excludes stylesheets that the author did not mark as inline, such as MJML's own rules."""
    return tag if _INLINED in sheet else f"<style {_IGNORED}{tag[6:]}"


def _has_moving_classes(text: str) -> bool:
    """Returns whether a class or id of a tag is known only when a message is rendered."""
    for tag in _ANY_TAG.findall(text):
        if "zqjz" not in tag:
            continue
        names = _QUOTED.sub("", tag)
        if _MARKED_CLASS.search(tag) or ("zqjz" in names and _CLASS.search(MARK.sub(" ", names))):
            return True
    return False


def _inlined(text: str, retain_all: bool) -> str:
    retained = _retained if retain_all else _retained_where_needed
    text = _with_body(_map_sheets(text, retained))
    # The inliner adds a missing tbody, which would begin before a loop over rows and end in it.
    return _run(_HTML, _ROWS.sub(r"\1<tbody>\2", text)).replace(' data-css-inline="keep"', "")


def _with_body(text: str) -> str:
    """Returns the page with a body tag: an implied one could begin within a branch."""
    if "<body" in text.lower():
        return text
    begin = next((found for each in _BEFORE_BODY if (found := each.search(text))), None)
    at = begin.end() if begin else 0
    return f"{text[:at]}<body>{text[at:]}"


def _retained_where_needed(tag: str, sheet: str) -> str:
    """Returns the start tags for a stylesheet and for its rules that remain.

    A stylesheet with variables remains whole, because a rule that matches nothing would lose its
    variables. Of other stylesheets only rules that cannot be inlined remain, such as `a:hover`.
    """
    if "zqjz" in sheet:
        return _retained(tag, sheet)
    beside = "" if "data-css-inline" in tag else rules_of_states(sheet)
    return f"{_retained(tag, beside)}{beside}</style>{tag}" if beside else tag


def _retained(tag: str, _sheet: str) -> str:
    return f'<style data-css-inline="keep"{tag[6:]}'


def _run(inliner: CSSInliner, html: str) -> str:
    if not _is_bounded(html):
        raise Unfit("there are too many rules and elements")
    try:
        found = inliner.inline(html)
    except InlineError as error:
        raise Unfit(str(error)) from error
    if len(found) > MAX_OUTPUT:
        raise Unfit(f"it grows to more than {MAX_OUTPUT:,} characters")
    return found


def _is_bounded(html: str) -> bool:
    """Returns whether matching every rule with every element takes a bounded time."""
    elements = _elements(html)
    sheets = "".join(
        html[begins.end() : end] for begins, end in _sheets(html) if _IGNORED not in begins[0]
    )
    matches = elements * (sheets.count("{") + sheets.count(","))
    by_siblings = len(_BY_SIBLINGS.findall(sheets))
    if by_siblings and matches <= MAX_MATCHES:
        matches += by_siblings * sibling_pairs(html)
    return (
        len(sheets) * elements <= MAX_STYLED
        and matches <= MAX_MATCHES
        and _depth(html) <= MAX_TAG_DEPTH
    )


def _elements(html: str) -> int:
    """Counts elements: start tags, and end tags of paragraphs without a start tag."""
    begun = surplus = 0
    for name, step in tags(html):
        begun += step >= 0
        if name in ("p", "br"):
            surplus += 1 if step < 0 else -1
    return begun + max(0, surplus)


def _depth(text: str, *, is_xml: bool = False) -> int:
    """Returns the nesting depth of elements; optional end tags of HTML count in XML only."""
    deepest = depth = 0
    for name, step in tags(text):
        if is_xml or name not in OPTIONAL_END:
            depth += step
            deepest = max(deepest, depth)
    return deepest


def _fault(name: str, why: str) -> TemplateFault:
    return TemplateFault(f"{name}: MJML: {why}", code="template_syntax")
