"""Previews of a draft: each text in a frame of its own, rendered when the frame is loaded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from django.http import HttpResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from console import words
from console.authoring.texts import (
    changes_of,
    given_texts,
    language_tag,
    locales_of,
    may_write,
)
from console.faults import said, status_of
from console.guard import Visit
from console.notices.listing import FilterGroup, FilterLink
from console.sentences.translating import translated
from console.shell import framed, page, url_with
from notifications.domain.errors import CarillonError
from notifications.features.access.throttles import count_call
from notifications.features.templates.drafts import NO_TEXT, DraftService
from notifications.features.templates.report_schemas import PreviewItem
from notifications.features.templates.schemas import TemplateResponse
from notifications.features.templates.service import TemplateService
from notifications.infra import clock

FRAMES_A_MINUTE = 240
MOST_LOCALES = 4
"""The most locales that stand side by side."""
WIDTHS = ("700", "390")
SCHEMES = ("light", "dark")
_MAIL = "email"
_ON, _OFF = "on", "off"
_SCHEME = re.compile(r"prefers-color-scheme\s*+:\s*+(dark|light)", re.IGNORECASE)
_DOCTYPE = re.compile(r"\s*+<!doctype[^<>]*+>", re.IGNORECASE)
_NAMED = "color-scheme"
_TRUE, _FALSE = "min-width:0", "max-width:0"


class Shown(NamedTuple):
    """What a page of previews shows."""

    channel: str
    locale: str
    width: str
    scheme: str
    images: str

    @property
    def query(self) -> dict[str, str]:
        """The fields of a link to it, without those that stand for themselves."""
        given = self._asdict()
        usual = {"width": WIDTHS[0], "scheme": SCHEMES[0], "images": _ON}
        return {name: value for name, value in given.items() if value != usual.get(name, "")}


class PreviewFrame(NamedTuple):
    """A frame of the page."""

    title: str
    url: str
    #: The class of its size.
    size: str


class PreviewColumn(NamedTuple):
    """One locale of the page."""

    locale: str
    frames: Sequence[PreviewFrame]


def previews(visit: Visit, number: int) -> HttpResponse:
    """Shows a draft on one channel, in one locale or in several side by side."""
    row = TemplateService().get(identifier=number, caller=visit.caller)
    shown = _shown(visit, row)
    path = f"/console/templates/{number}/preview"
    locales = [shown.locale] if shown.locale else locales_of(row)[:MOST_LOCALES]
    context = {
        "row": row,
        "shown": shown,
        "columns": [PreviewColumn(each, _frames(number, shown, each)) for each in locales],
        "lacking": [
            each
            for each in row.required_variables
            if each.partition(".")[0] not in row.example_context
        ],
        "more_locales": not shown.locale and len(locales_of(row)) > MOST_LOCALES,
        "groups": _groups(path, shown, row),
        "may_write": may_write(visit, row),
    }
    return page(visit, "authoring/preview.html", context, section="templates")


def _shown(visit: Visit, row: TemplateResponse) -> Shown:
    """Returns what the query names; a value that no link has is left out."""

    def chosen(name: str, values: Sequence[str], otherwise: str) -> str:
        given = visit.given(name)
        return given if given in values else otherwise

    first = _MAIL if _MAIL in row.channels else "".join(row.channels[:1])
    return Shown(
        channel=chosen("channel", row.channels, first),
        locale=chosen("locale", locales_of(row), ""),
        width=chosen("width", WIDTHS, WIDTHS[0]),
        scheme=chosen("scheme", SCHEMES, SCHEMES[0]),
        images=chosen("images", (_ON, _OFF), _ON),
    )


def _groups(path: str, shown: Shown, row: TemplateResponse) -> list[FilterGroup]:
    def links(
        name: str, values: Iterable[str], labels: Mapping[str, str] | None = None
    ) -> list[FilterLink]:
        return [
            FilterLink(
                (labels or {}).get(each, each),
                url_with(path, **shown._replace(**{name: each}).query),
                getattr(shown, name) == each,
            )
            for each in values
        ]

    channels = {each: words.channel(each) for each in row.channels}
    groups = [
        FilterGroup(_("Channel"), links("channel", channels, channels)),
        FilterGroup(
            _("Language"), links("locale", ["", *locales_of(row)], {"": _("Side by side")})
        ),
        FilterGroup(_("Width"), links("width", WIDTHS, {each: f"{each} px" for each in WIDTHS})),
        FilterGroup(
            _("Colours"), links("scheme", SCHEMES, {"light": _("light"), "dark": _("dark")})
        ),
    ]
    if shown.channel == _MAIL:
        names = {_ON: _("shown"), _OFF: _("switched off")}
        groups.append(FilterGroup(_("Images"), links("images", (_ON, _OFF), names)))
    return groups


def _frames(number: int, shown: Shown, locale: str) -> list[PreviewFrame]:
    path = f"/console/templates/{number}/frame"
    query = {**shown.query, "channel": shown.channel, "locale": locale}
    query.pop("width", None)
    if not shown.channel:
        return []
    name = f"{words.channel(shown.channel)}, {locale}"
    text = PreviewFrame(name, url_with(path, **query), f"small width-{shown.width}")
    if shown.channel != _MAIL:
        return [text]
    head = text._replace(title=f"{name}: {_('subject and plain text')}")
    html = PreviewFrame(
        f"{name}: HTML", url_with(path, **query, part="html"), f"large width-{shown.width}"
    )
    return [html, head]


def frame(visit: Visit, number: int) -> HttpResponse:
    """Returns one text of a draft for the frame that shows it: no script, no cookies.

    A form sends the texts as they are being written; nothing of them is saved.
    """
    scheme = "dark" if visit.given("scheme") == "dark" else "light"
    status, item, fault = 200, None, ""
    locale = visit.given("locale", longest=20)
    try:
        item = _item(visit, number, locale)
        fault = translated(item.error or "")
    except CarillonError as error:
        status, fault = (200 if error.code == NO_TEXT else status_of(error)), said(error)
    wants_html = visit.given("part") == "html" and visit.given("channel") == _MAIL
    if item is not None and item.html and wants_html:
        text = in_scheme(item.html, scheme)
    else:
        context: dict[str, Any] = {"item": item, "fault": fault, "scheme": scheme}
        context |= {"is_html": wants_html, "tag": language_tag(locale) or "en"}
        text = render_to_string("console/authoring/frame.html", context)
    has_images = visit.given("images") != _OFF
    return framed(text, has_images=has_images, viewer=visit.user.pk, status=status)


def _item(visit: Visit, number: int, locale: str) -> PreviewItem:
    count_call("template-frame", visit.caller, most=FRAMES_A_MINUTE, now=clock.now())
    changes = None
    if visit.is_post:
        row = TemplateService().get(identifier=number, caller=visit.caller)
        changes = changes_of(row, locale, given_texts(visit))
    return DraftService().show(
        identifier=number,
        channel=visit.given("channel", longest=20),
        locale=locale,
        caller=visit.caller,
        changes=changes,
    )


def in_scheme(html: str, scheme: str) -> str:
    """Returns a mail as a program with a light or dark scheme shows it.

    The frame follows the browser's own scheme, so the conditions of its stylesheets are replaced.
    A mail that names no scheme looks the same in both: programs do not darken it by themselves.
    """
    lower = html.lower()
    if _NAMED not in lower:
        scheme = SCHEMES[0]

    def chosen(found: re.Match[str]) -> str:
        return _TRUE if found[1].lower() == scheme else _FALSE

    parts, at = [], 0
    while (begin := lower.find("<style", at)) >= 0:
        end = lower.find("</style", begin)
        end = len(html) if end < 0 else end
        parts += [html[at:begin], _SCHEME.sub(chosen, html[begin:end])]
        at = end
    text = "".join([*parts, html[at:]])
    doctype = _DOCTYPE.match(text)
    after = doctype.end() if doctype else 0
    style = f"<style>:root{{color-scheme:{scheme}}}</style>"
    return text[:after] + style + text[after:]
