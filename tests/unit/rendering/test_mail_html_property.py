"""Inlining commutes with rendering.

A stylesheet inlined into the template gives the same result as one inlined into the rendered page.
"""

from __future__ import annotations

import re
from unittest import mock

from css_inline import CSSInliner
from hypothesis import assume, given
from hypothesis import strategies as st

from notifications.rendering import engine
from notifications.rendering.engine import CompiledText
from notifications.rendering.language.filters import FORMATS
from notifications.rendering.language.formats import formats_for
from notifications.rendering.language.meter import METER, Meter
from notifications.rendering.language.sandbox import MAX_LOOP_DEPTH
from notifications.rendering.mail.html import Styled

SHEET = (
    "<style>div{color:red} .hot{margin:1px} td{padding:2px} .hot b{color:blue} a{top:0}"
    " @media print{div{color:black}}</style>"
)
INLINER = CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)
flags = st.sampled_from(["a", "b"])
words = st.sampled_from(["one", "two &amp; three", "{{ word }}", "{{ n + 1 }}", " "])
attributes = st.sampled_from(
    [
        "",
        " class='hot'",
        " class='hot' title='{% if a %}x{% else %}{{ word }}{% endif %}'",
        " style='left:{{ n }}px'",
    ]
)


def wrapped(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def element(name: str) -> st.SearchStrategy[str]:
        return st.builds(lambda given, body: f"<{name}{given}>{body}</{name}>", attributes, inner)

    rows = st.builds(
        lambda given, cell, flag: (
            f"<table>{{% for x in xs %}}<tr{given}><td>{cell}</td></tr>{{% endfor %}}"
            f"{{% if {flag} %}}<tr><td>last</td></tr>{{% endif %}}</table>"
        ),
        attributes,
        inner,
        flags,
    )
    branch = st.builds(
        lambda flag, one, two: f"{{% if {flag} %}}{one}{{% elif n %}}{two}{{% endif %}}",
        flags,
        inner,
        inner,
    )
    loop = st.builds(lambda body: f"{{% for x in xs %}}{body}{{{{ x }}}}{{% endfor %}}", inner)
    several = st.lists(inner, max_size=3).map("".join)
    return st.one_of(element("div"), element("b"), element("span"), rows, branch, loop, several)


pages = st.recursive(words, wrapped, max_leaves=8)


def shown(source: str, context: dict[str, object], *, inlined: bool) -> str:
    as_it_is = mock.patch.object(engine, "styled", lambda body, *, name: Styled(body, ""))
    if inlined:
        compiled = CompiledText(source, html=True)
        assert compiled.notes == ""
    else:
        with as_it_is:
            compiled = CompiledText(source, html=True)
    return compiled.render({**context, FORMATS: formats_for("en", "UTC"), METER: Meter()})


@given(
    page=pages,
    a=st.booleans(),
    b=st.booleans(),
    n=st.integers(0, 2),
    xs=st.lists(st.sampled_from(["<x>", "y"]), max_size=2),
)
def test_inlining_commutes_with_rendering(
    page: str, a: bool, b: bool, n: int, xs: list[str]
) -> None:
    source = f"<html><head>{SHEET}</head><body>{page}</body></html>"
    context: dict[str, object] = {"a": a, "b": b, "n": n, "xs": xs, "word": "<w>"}

    assume(loops_of(source) <= MAX_LOOP_DEPTH)
    wanted = INLINER.inline(shown(source, context, inlined=False))
    found = shown(source, context, inlined=True)

    assert normal(found) == normal(wanted)


def loops_of(source: str) -> int:
    """Returns the nesting depth of loops."""
    depth = deepest = 0
    for word in re.findall(r"for x|endfor", source):
        depth += 1 if word == "for x" else -1
        deepest = max(deepest, depth)
    return deepest


def normal(page: str) -> str:
    """Returns the page as a browser parses it, so that equivalent pages are equal."""
    return INLINER.inline(page).replace("<tbody></tbody>", "")
