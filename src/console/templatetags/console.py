"""Filters that put states, codes and numbers into words."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.translation import gettext as _

from console import words
from console.sentences.translating import translated

register = template.Library()


@register.filter
def state_name(value: Any) -> str:
    """Returns the name of a state of a message or an address."""
    return words.state(str(value))


@register.filter
def state_tone(value: Any) -> str:
    """Returns the tone of a state: good, bad, waiting or quiet."""
    return words.tone(str(value))


@register.filter
def channel_name(value: Any) -> str:
    """Returns the name of a channel."""
    return words.channel(str(value))


@register.filter(name="translated")
def translated_words(value: Any) -> str:
    """Returns an error of a service in the language of the page."""
    return translated(str(value))


@register.filter
def reason_words(value: Any) -> str:
    """Returns a reason or an error code in words."""
    return words.reason(str(value))


@register.filter
def yesno_words(value: bool) -> str:
    """Returns whether something holds, as a word."""
    return _("yes") if value else _("no")


@register.filter
def share(value: float) -> str:
    """Returns a share as a percentage with one digit."""
    return f"{value * 100:.1f} %"


@register.filter
def thousands(value: int) -> str:
    """Returns a number with narrow spaces between thousands."""
    return f"{value:,}".replace(",", "\u202f")


@register.filter
def duration_words(value: int) -> str:
    """Returns seconds as a duration in words."""
    return words.duration(int(value))


@register.filter
def signed_share(value: float) -> str:
    """Returns a difference of shares as a percentage with its sign."""
    return f"{value * 100:+.1f} %"
