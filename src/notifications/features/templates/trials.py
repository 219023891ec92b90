"""Compiles and renders templates in render processes, before any message uses them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from notifications.domain.errors import FieldError, TemplateFault
from notifications.infra.packing import packed
from notifications.rendering.language.meter import LIMIT
from notifications.rendering.pool import wire
from notifications.rendering.pool.render_client import Task, name_of, render_drafts
from notifications.rendering.render import CompiledVersion

Content = Mapping[str, Mapping[str, str]]
TriedText = wire.Reviewed | TemplateFault
ShownText = tuple[str, str, wire.Previewed | TemplateFault]
"""A channel, a locale, and its rendered example or the fault."""


def tried_texts(
    version: CompiledVersion, content: Content, *, principal: str
) -> dict[tuple[str, str], TriedText]:
    """Compiles each text of a version; returns the results by locale and field of `content`.

    Each principal has one text in process at a time.

    Raises:
        RenderingBusy: no render process was free in time.
    """
    name = name_of(version)
    places = [
        (locale, field)
        for locale, texts in content.items()
        for field, source in texts.items()
        if source
    ]
    tasks = [Task(wire.ReviewJob(name, field, locale), version) for locale, field in places]
    replies = render_drafts(principal, tasks)
    return {
        place: reply
        for place, reply in zip(places, replies, strict=True)
        if isinstance(reply, wire.Reviewed | TemplateFault)
    }


def previews(
    version: CompiledVersion,
    context: Mapping[str, Any],
    *,
    principal: str,
    only: tuple[str, str] | None = None,
) -> list[ShownText]:
    """Renders every channel in every locale.

    only: the one channel and locale to render.

    Raises:
        InvalidRequest: the context cannot be encoded, such as number_out_of_range.
        RenderingBusy: no render process was free in time.
    """
    name, example = name_of(version), msgspec.Raw(packed(context))
    places = [(channel, locale) for channel in version.channels for locale in version.locales]
    places = places if only is None else [only]
    tasks = [
        Task(wire.PreviewJob(name, channel, locale, example), version) for channel, locale in places
    ]
    replies = render_drafts(principal, tasks)
    return [
        (channel, locale, reply)
        for (channel, locale), reply in zip(places, replies, strict=True)
        if isinstance(reply, wire.Previewed | TemplateFault)
    ]


def limit_errors(version: CompiledVersion, shown: Iterable[ShownText]) -> list[FieldError]:
    """Returns the texts whose rendered examples exceed the limits.

    An example may lack variables: such faults are not errors here.
    """
    errors: dict[str, FieldError] = {}
    for channel, locale, text in shown:
        if isinstance(text, TemplateFault) and text.code == LIMIT:
            field = version.field_of(channel) or f"{channel}_template"
            at_home = locale == version.default_locale
            place = field if at_home else f"translations.{locale}.{field}"
            errors.setdefault(place, FieldError(place, LIMIT, text.detail))
    return list(errors.values())


def first_fault(
    version: CompiledVersion, context: Mapping[str, Any], *, principal: str
) -> TemplateFault | None:
    """Returns why a version cannot be sent, or None. Faults of limits come first.

    Raises:
        RenderingBusy: no render process was free in time.
    """
    tried = tried_texts(version, version.content, principal=principal).values()
    faults = [each for each in tried if isinstance(each, TemplateFault)]
    for fault in sorted(faults, key=lambda each: each.code != LIMIT):
        return fault
    for error in limit_errors(version, previews(version, context, principal=principal)):
        return TemplateFault(error.detail, code=error.code)
    return None


def compared(old: str, new: str, *, principal: str) -> str | None:
    """Returns a unified diff with three lines of context; None when it would take too long.

    Raises:
        RenderingBusy: no render process was free in time.
    """
    (reply,) = render_drafts(principal, [Task(wire.CompareJob(old, new))])
    return reply.diff if isinstance(reply, wire.Compared) else None


def barriers(
    mails: Iterable[tuple[str, str]], *, is_whole: bool, principal: str
) -> list[wire.Barriers | TemplateFault]:
    """Returns what keeps people from reading rendered mails; a fault for one not checked.

    mails: the locale and the HTML of each. is_whole: see find_barriers.

    Raises:
        RenderingBusy: no render process was free in time.
    """
    tasks = [Task(wire.BarrierJob(html, locale, is_whole)) for locale, html in mails]
    replies = render_drafts(principal, tasks) if tasks else []
    return [each for each in replies if isinstance(each, wire.Barriers | TemplateFault)]
