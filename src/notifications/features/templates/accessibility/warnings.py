"""Puts what keeps people from reading a template's mails into warnings for its author."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from notifications.domain.channels import Channel
from notifications.domain.errors import TemplateFault
from notifications.features.templates.trials import ShownText, barriers
from notifications.rendering.accessibility.checks import LONGEST, AccessibilityFinding
from notifications.rendering.pool import wire
from notifications.rendering.render import CompiledVersion

MOST_READ = 4 * LONGEST
"""Characters of all mails of a template that are read."""
_DETAILS = {
    "language_missing": gettext_lazy(
        "no <html lang=...> or <mjml lang=...> says the language, so a screen reader guesses it"
    ),
    "language_differs": gettext_lazy(
        "<html lang> names another language than that of the text: %(example)s"
    ),
    "heading_first": gettext_lazy("the first heading is %(example)s: begin with h1"),
    "heading_skipped": gettext_lazy("a heading skips a level: %(example)s"),
    "heading_repeated": gettext_lazy("h1 stands %(count)d times: write one"),
    "heading_empty": gettext_lazy("headings without a text: %(count)d (%(example)s)"),
    "table_role": gettext_lazy(
        'tables without role="presentation" and without header cells (th): %(count)d;'
        " a screen reader reads their rows and columns aloud"
    ),
    "low_contrast": gettext_lazy(
        "texts that differ too little from their background: %(count)d (%(example)s)"
    ),
    "image_without_alt": gettext_lazy(
        'images without an alternative text: %(count)d (%(example)s); alt="" is for those that'
        " say nothing"
    ),
    "image_alt_is_file": gettext_lazy(
        "alternative texts that are names of files: %(count)d (%(example)s)"
    ),
    "link_without_text": gettext_lazy("links without a text: %(count)d (%(example)s)"),
    "link_vague": gettext_lazy("links that do not say where they lead: %(count)d (%(example)s)"),
}


def accessibility_warnings(
    version: CompiledVersion, shown: Iterable[ShownText], *, principal: str
) -> list[str]:
    """Returns what keeps people from reading the rendered mails of a version, by locale.

    shown: its rendered examples. A mail whose example cannot be rendered is not checked.

    Raises:
        RenderingBusy: no render process was free in time.
    """
    mails: list[tuple[str, str]] = []
    found: list[str] = []
    left = MOST_READ
    for channel, locale, text in shown:
        if channel != Channel.EMAIL or not isinstance(text, wire.Previewed) or not text.html:
            continue
        if left <= 0:
            detail = _("from %(locale)s on, mails were not checked for accessibility: too long")
            found = [detail % {"locale": locale}]
            break
        mails.append((locale, text.html[:LONGEST]))
        left -= len(mails[-1][1])
    is_whole = any("email_subject_template" in texts for texts in version.content.values())
    checked = barriers(mails, is_whole=is_whole, principal=principal)
    warnings: list[str] = []
    for (locale, _html), reply in zip(mails, checked, strict=True):
        if isinstance(reply, TemplateFault):
            details = [_("was not checked for accessibility: %(fault)s") % {"fault": reply.detail}]
        else:
            details = [sentence_of(each) for each in reply.found]
        warnings += [
            _("email in %(locale)s: %(detail)s") % {"locale": locale, "detail": each}
            for each in details
        ]
    return warnings + found


def sentence_of(found: AccessibilityFinding) -> str:
    """Returns a finding as a sentence that says what is wrong."""
    return str(_DETAILS[found.code]) % {"count": found.times, "example": found.example}
