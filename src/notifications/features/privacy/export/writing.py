"""Writes an export as JSON, or as one page that needs nothing else. Both in parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

import msgspec
from django.utils import translation
from django.utils.html import escape

from notifications.features.privacy.export import words
from notifications.features.privacy.export.sections import NAMES

FORMAT = "carillon-person/1"
MEDIA = {"json": "application/json", "html": "text/html"}
_encode = msgspec.json.Encoder(enc_hook=str).encode
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color:#1a1a1a;background:#fff}h2{border-bottom:1px solid #ccc;margin-top:2.5rem}"
    "dl{display:grid;grid-template-columns:minmax(8rem,14rem) 1fr;gap:.2rem 1rem;margin:.3rem 0}"
    "dt{color:#555}dd{margin:0;overflow-wrap:anywhere;white-space:pre-wrap}"
    "article{border-left:3px solid #ddd;padding-left:1rem;margin:1rem 0}"
    "ul{margin:0;padding-left:1.2rem}"
    "@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}dt{color:#aaa}}"
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


class ExportHead(msgspec.Struct, kw_only=True):
    """What an export begins with."""

    format: str = FORMAT
    user_id: int
    user_uuid: UUID
    #: Whether codes and texts of security messages are in it.
    own: bool
    exported_at: datetime
    service: str
    locale: str


def written(form: str, head: ExportHead, pages: Iterable[tuple[str, list[Any]]]) -> Iterator[bytes]:
    """Yields the parts of a file. form: `json` or `html`."""
    return json_parts(head, pages) if form == "json" else html_parts(head, pages)


def json_parts(head: ExportHead, pages: Iterable[tuple[str, list[Any]]]) -> Iterator[bytes]:
    """Yields one JSON object: the head, and a list for each section."""
    yield _encode(head)[:-1]
    for name, lists in _by_section(pages):
        yield b',"%b":[' % name.encode()
        is_first = True
        for items in lists:
            for item in items:
                yield (b"" if is_first else b",") + _encode(item)
                is_first = False
        yield b"]"
    yield b"}\n"


def html_parts(head: ExportHead, pages: Iterable[tuple[str, list[Any]]]) -> Iterator[bytes]:
    """Yields one page in the language of the person. Its texts are escaped; it has no script."""
    language = words.language_of(head.locale)
    with translation.override(language):
        yield _beginning(head, language).encode()
    for name, lists in _by_section(pages):
        with translation.override(language):
            yield f"<section><h2>{escape(words.section(name))}</h2>\n".encode()
            empty = escape(words.nothing())
        is_empty = True
        for items in lists:
            with translation.override(language):
                text = "".join(f"<article>{_shown(item)}</article>\n" for item in items)
            is_empty &= not items
            yield text.encode()
        yield (f"<p>{empty}</p>" if is_empty else "").encode() + b"</section>\n"
    yield b"</body></html>\n"


def _by_section(
    pages: Iterable[tuple[str, list[Any]]],
) -> Iterator[tuple[str, Iterable[list[Any]]]]:
    """Yields each section once, in order; those without a page are empty."""
    left = iter(NAMES)
    for name, group in groupby(pages, key=lambda page: page[0]):
        for other in left:
            if other == name:
                break
            yield other, ()
        yield name, (items for _, items in group)
    for other in left:
        yield other, ()


def _beginning(head: ExportHead, language: str) -> str:
    title = escape(words.title(head.service))
    facts = _shown({"user_id": head.user_id, "exported_at": head.exported_at.isoformat()})
    hidden = "" if head.own else f"<p>{escape(words.hidden())}</p>"
    return (
        f'<!DOCTYPE html>\n<html lang="{language}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{title}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{title}</h1>{facts}{hidden}\n"
    )


def _shown(value: Any) -> str:
    """Returns a value as escaped HTML: an object as a table of names, a list as items."""
    if isinstance(value, dict):
        rows = "".join(
            f"<dt>{escape(words.label(str(name)))}</dt><dd>{_shown(each)}</dd>"
            for name, each in value.items()
            if each not in (None, "", [], {})
        )
        return f"<dl>{rows}</dl>"
    if isinstance(value, list):
        return f"<ul>{''.join(f'<li>{_shown(each)}</li>' for each in value)}</ul>"
    if isinstance(value, bool):
        return escape(words.yes_or_no(value))
    return str(escape(value))
