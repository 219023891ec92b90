"""Puts what keeps people from reading a template's mails into warnings for its author."""

from __future__ import annotations

from collections.abc import Iterable

from notifications.domain.channels import Channel
from notifications.features.templates.accessibility.checks import LONGEST, find_barriers
from notifications.features.templates.trials import ShownText
from notifications.rendering.pool import wire
from notifications.rendering.render import CompiledVersion

MOST_READ = 2 * LONGEST
"""Characters of all mails of a template that are read."""


def accessibility_warnings(version: CompiledVersion, shown: Iterable[ShownText]) -> list[str]:
    """Returns what keeps people from reading the rendered mails of a version, by locale.

    shown: its rendered examples. A mail whose example cannot be rendered is not checked.
    """
    found: list[str] = []
    left = MOST_READ
    is_whole = any("email_subject_template" in texts for texts in version.content.values())
    for channel, locale, text in shown:
        if channel != Channel.EMAIL or not isinstance(text, wire.Previewed) or not text.html:
            continue
        if left <= 0:
            return [*found, f"from {locale} on, mails were not checked for accessibility: too long"]
        left -= min(len(text.html), LONGEST)
        found += [
            f"email in {locale}: {each.detail}"
            for each in find_barriers(text.html, locale=locale, is_whole=is_whole)
        ]
    return found
