"""Puts what keeps people from reading a template's mails into warnings for its author."""

from __future__ import annotations

from collections.abc import Iterable

from notifications.domain.channels import Channel
from notifications.features.templates.trials import ShownText, barriers
from notifications.rendering.accessibility.checks import LONGEST, AccessibilityFinding
from notifications.rendering.pool import wire
from notifications.rendering.render import CompiledVersion

MOST_READ = 4 * LONGEST
"""Characters of all mails of a template that are read."""
_DETAILS = {
    "language_missing": "no <html lang=...> or <mjml lang=...> says the language, so a"
    " screen reader guesses it",
    "language_differs": "<html lang> names another language than that of the text: {example}",
    "heading_first": "the first heading is {example}: begin with h1",
    "heading_skipped": "a heading skips a level: {example}",
    "heading_repeated": "h1 stands {count} times: write one",
    "heading_empty": "headings without a text: {count} ({example})",
    "table_role": 'tables without role="presentation" and without header cells (th): {count};'
    " a screen reader reads their rows and columns aloud",
    "low_contrast": "texts that differ too little from their background: {count} ({example})",
    "image_without_alt": 'images without an alternative text: {count} ({example}); alt="" is for'
    " those that say nothing",
    "image_alt_is_file": "alternative texts that are names of files: {count} ({example})",
    "link_without_text": "links without a text: {count} ({example})",
    "link_vague": "links that do not say where they lead: {count} ({example})",
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
            found = [f"from {locale} on, mails were not checked for accessibility: too long"]
            break
        mails.append((locale, text.html[:LONGEST]))
        left -= len(mails[-1][1])
    is_whole = any("email_subject_template" in texts for texts in version.content.values())
    checked = barriers(mails, is_whole=is_whole, principal=principal)
    warnings: list[str] = []
    for (locale, _html), reply in zip(mails, checked, strict=True):
        if isinstance(reply, wire.Barriers):
            warnings += [f"email in {locale}: {sentence_of(each)}" for each in reply.found]
        else:
            warnings.append(f"email in {locale}: was not checked for accessibility: {reply.detail}")
    return warnings + found


def sentence_of(found: AccessibilityFinding) -> str:
    """Returns a finding as a sentence that says what is wrong."""
    return _DETAILS[found.code].format(count=found.times, example=found.example)
