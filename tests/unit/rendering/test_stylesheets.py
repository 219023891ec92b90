"""Rules that cannot be inlined are found in a stylesheet of any form."""

from __future__ import annotations

import pytest
from css_inline import CSSInliner

from notifications.rendering.mail.stylesheets import rules_of_states
from tests.pace import within


@pytest.mark.parametrize(
    ("sheet", "expected"),
    [
        ("a{color:red} a:hover{color:blue}", "a:hover{color:blue}"),
        ("a:HOVER , p{top:0}", "a:HOVER{top:0}"),
        (".b:focus>i,p::first-line,q{top:0}", ".b:focus>i,p::first-line{top:0}"),
        ("p:before{content:'}'}", "p:before{content:'}'}"),
        ("a:not(:hover){top:0}", "a:not(:hover){top:0}"),
        ("a:is(.b,.c):active,.d{top:0}", "a:is(.b,.c):active{top:0}"),
        (r".hover\:x:hover,.hover\:y{top:0}", r".hover\:x:hover{top:0}"),
        ("a:hover{background:url(data:x;{y})}b{}", "a:hover{background:url(data:x;{y})}"),
        ("a:hover{}/* c:hover{ */b:hover{top:0}", "a:hover{} b:hover{top:0}"),
        ("<!-- a:hover{top:0} -->", "a:hover{top:0}"),
        ("@import url(a;b:hover{); a:hover{top:0}", "a:hover{top:0}"),
        ("} a:hover{top:0}", "a:hover{top:0}"),
        ("a:hover{top:0}}b:hover{top:0}", "a:hover{top:0} b:hover{top:0}"),
    ],
)
def test_rules_of_states_are_returned_as_written(sheet: str, expected: str) -> None:
    assert rules_of_states(sheet) == expected


@pytest.mark.parametrize(
    "sheet",
    [
        "",
        "a{color:red}",
        "li:first-child, tr:nth-child(2n) td:LAST-child, a:link{top:0}",
        "a[href='x:hover'], [x=\"a:hover\"]{top:0}",
        r".hover\:x{top:0}",
        "/* a:hover{} */ a{top:0}",
        "@media print{a:hover{top:0}} /* x */ @font-face{src:url(x:y)} @charset 'a:hover';",
        "a{content:':hover'; --x: y:hover}",
        "a:hover{never ends",
    ],
)
def test_other_rules_are_not_returned(sheet: str) -> None:
    assert rules_of_states(sheet) == ""


@pytest.mark.parametrize(
    "name",
    [
        "hover",
        "focus",
        "active",
        "visited",
        "checked",
        "disabled",
        "target",
        "focus-within",
        "is(a)",
        "where(a)",
        ":before",
        "before",
        "after",
        "first-line",
        ":selection",
    ],
)
def test_the_inliner_ignores_the_returned_rules(name: str) -> None:
    sheet = f"a:{name}{{top:0}}"
    page = f"<html><head><style>{sheet}</style></head><body><i>x</i><a href='y'>z</a></body></html>"

    assert rules_of_states(sheet) == sheet
    assert "top" not in CSSInliner().inline(page)


@pytest.mark.parametrize("piece", ["a:hover,", "a:hover{", "/*", "'", "url(", "[:", "(:", "\\"])
def test_the_time_is_linear_in_the_length_of_the_sheet(piece: str) -> None:
    with within(1.0):
        rules_of_states(piece * (100_000 // len(piece)))
