"""Every text that is marked for translation has a Russian one."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages.extract import extract, extract_from_dir
from babel.messages.pofile import read_po
from django.utils import translation
from django.utils.translation.template import templatize

SOURCE = Path(__file__).parents[2] / "src"
CATALOGS = sorted(SOURCE.glob("*/locale/ru/LC_MESSAGES/django.po"))
_ONE, _MANY = None, (1, 2)
_IN_CONTEXT, _MANY_IN_CONTEXT = ((1, "c"), 2), ((1, "c"), 2, 3)
KEYWORDS: dict[str, Any] = {
    name + lazy: form
    for lazy in ("", "_lazy")
    for name, form in {
        "gettext": _ONE,
        "_": _ONE,
        "ngettext": _MANY,
        "pgettext": _IN_CONTEXT,
        "npgettext": _MANY_IN_CONTEXT,
    }.items()
}


def marked() -> Iterator[tuple[str, str, str | None]]:
    """Yields (file, text, context) of the code and of the pages."""
    for name, _, text, _, context in extract_from_dir(
        SOURCE, method_map=[("**.py", "python")], keywords=KEYWORDS
    ):
        yield name, _singular(text), context
    for page in sorted(SOURCE.rglob("*.html")):
        code = templatize(page.read_text(encoding="utf-8"))
        flat = "\n".join(line.lstrip() for line in code.splitlines())  # no block is indented
        for _, text, _, context in extract("python", BytesIO(flat.encode()), keywords=KEYWORDS):
            yield page.name, _singular(text), context


def _singular(text: str | tuple[str, ...]) -> str:
    return text if isinstance(text, str) else text[0]


def test_every_marked_text_is_translated() -> None:
    """By the catalog of one of our apps, or by that of a library whose page it shows."""
    catalogs = [read_po(BytesIO(path.read_bytes()), locale="ru") for path in CATALOGS]
    lacking = []
    found = 0
    with translation.override("ru"):
        for name, text, context in marked():
            found += 1
            entries = [each.get(text, context) for each in catalogs]
            if any(
                each and each.string and all(each.string) and not each.fuzzy for each in entries
            ):
                continue
            if translation.gettext(text) == text:
                lacking.append((name, text))
    assert found > 300
    assert lacking == []
