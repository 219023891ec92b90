"""Finds the pictures of a rendered mail that a preview loads, and gives them other URLs."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape, unescape

from notifications.infra.tracking.links import is_own, is_target

MOST_PICTURES = 100
"""Pictures of a mail that get another URL; later ones stay as they are."""
# A tag without its end matches, too, and ends the search in it: else it is read once for each tag.
# The last group matches in any case, so that nothing is tried a second time.
_TAG = re.compile(r"<(?:img|source)(?=[\s/])(?:[^>\"']++|\"[^\"]*+\"|'[^']*+')*(>?)", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"([^\s\"'>/=]++)(?:\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s\"'>]++)))?")


def with_pictures(html: str, new_of: Callable[[str], str]) -> str:
    """Returns the HTML with other URLs for its pictures of other hosts.

    Of several sizes of one picture the first one is loaded: `srcset` is left out. new_of: returns
    the URL of a picture.
    """
    left = MOST_PICTURES

    def new_attribute(found: re.Match[str]) -> str:
        nonlocal left
        name = found[1].lower()
        if name == "srcset":
            return ""
        value = unescape(found[2] or found[3] or found[4] or "").strip()
        if name != "src" or not left or not is_target(value) or is_own(value):
            return found[0]
        left -= 1
        return f'src="{escape(new_of(value))}"'

    def new_tag(tag: re.Match[str]) -> str:
        return _ATTRIBUTE.sub(new_attribute, tag[0]) if tag[1] else tag[0]

    return _TAG.sub(new_tag, html)
