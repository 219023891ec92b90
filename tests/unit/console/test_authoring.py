"""The plain functions of the pages of templates: columns of a diff, and the scheme of a mail."""

from __future__ import annotations

import pytest

from console.authoring.previews import in_scheme
from console.authoring.template import DiffRow, side_by_side

DARK = "<!DOCTYPE html><html><style>@media (prefers-color-scheme: dark) {p{color:gold}}</style>"


def test_removed_and_added_lines_stand_in_pairs() -> None:
    unified = "@@ -1,5 +1,5 @@\n a\n-b\n-c\n+B\n d\n-e\n+E\n+F"
    assert side_by_side(unified) == [
        DiffRow("gap", "@@ -1,5 +1,5 @@", "@@ -1,5 +1,5 @@"),
        DiffRow("equal", "a", "a"),
        DiffRow("changed", "b", "B"),
        DiffRow("changed", "c", None),
        DiffRow("equal", "d", "d"),
        DiffRow("changed", "e", "E"),
        DiffRow("changed", None, "F"),
    ]


def test_a_change_that_follows_another_begins_anew() -> None:
    assert side_by_side("-a\n+A\n-b\n+B") == [
        DiffRow("changed", "a", "A"),
        DiffRow("changed", "b", "B"),
    ]


def test_a_scheme_replaces_the_conditions_of_stylesheets_alone() -> None:
    html = f"{DARK}<p>prefers-color-scheme: dark</p>"
    dark = in_scheme(html, "dark")
    assert dark.startswith("<!DOCTYPE html><style>:root{color-scheme:dark}</style><html>")
    assert "@media (min-width:0) {p{color:gold}}" in dark
    assert "<p>prefers-color-scheme: dark</p>" in dark
    light = in_scheme(html, "light")
    assert ":root{color-scheme:light}" in light
    assert "@media (max-width:0) {p{color:gold}}" in light


def test_a_mail_that_names_no_scheme_looks_the_same() -> None:
    assert in_scheme("<p>x</p>", "dark") == in_scheme("<p>x</p>", "light")


@pytest.mark.parametrize("html", ["", "<style>prefers-color-scheme:dark", "<STYLE></STYLE>x"])
def test_an_odd_mail_is_not_lost(html: str) -> None:
    assert in_scheme(html, "light").endswith(
        html.replace("prefers-color-scheme:dark", "max-width:0")
    )
