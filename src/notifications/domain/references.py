"""Finds the templates that a text names: by `extends`, `include`, `import`, `from ... import`."""

from __future__ import annotations

import re
from collections.abc import Iterable

_REFERENCE = re.compile(
    r"\{%[-+]?\s*(?:extends|include|import|from)\s+(?:\"([\w.*-]{1,200})\"|'([\w.*-]{1,200})')"
)


def references(texts: Iterable[str]) -> list[str]:
    """Returns the paths that texts name, sorted. A path in a comment counts too, without harm."""
    found: set[str] = set()
    for text in texts:
        if "{%" in text:
            found |= {double or single for double, single in _REFERENCE.findall(text)}
    return sorted(found)
