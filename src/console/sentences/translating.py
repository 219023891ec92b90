"""Says an error of a service in the language of the page.

A text is compared with the sentences of `texts.py`: what stands in place of a name is its value,
which is put into the translation. A text without a sentence stays as it is, in English.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import get_language, gettext, pgettext_lazy

from console import words
from console.sentences.texts import SENTENCES

LONGEST = 2_000
"""Characters of a text that is compared. A longer one quotes what a caller wrote."""
_NAME = re.compile(r"%\((\w+)\)s")
_PLACE = " - at `"
_STATE, _STATES = "state", "states"
_VERBS: Mapping[str, Promise] = {
    "add recipients to": pgettext_lazy("action", "add recipients to"),
    "approve": pgettext_lazy("action", "approve"),
    "cancel": pgettext_lazy("action", "cancel"),
    "change": pgettext_lazy("action", "change"),
    "delete": pgettext_lazy("action", "delete"),
    "edit": pgettext_lazy("action", "edit"),
    "end": pgettext_lazy("action", "end"),
    "estimate": pgettext_lazy("action", "estimate"),
    "launch": pgettext_lazy("action", "launch"),
    "pause": pgettext_lazy("action", "pause"),
    "reject": pgettext_lazy("action", "reject"),
    "resume": pgettext_lazy("action", "resume"),
    "retry": pgettext_lazy("action", "retry"),
    "schedule": pgettext_lazy("action", "schedule"),
    "send": pgettext_lazy("action", "send"),
}
_KINDS: Mapping[str, Promise] = {
    "true or false": pgettext_lazy("kind", "true or false"),
    "a number": pgettext_lazy("kind", "a number"),
    "a text": pgettext_lazy("kind", "a text"),
    "a list": pgettext_lazy("kind", "a list"),
    "an object": pgettext_lazy("kind", "an object"),
    "null": pgettext_lazy("kind", "null"),
}
_SOURCES: Mapping[str, Promise] = {
    "broadcast": pgettext_lazy("source", "broadcast"),
    "campaign": pgettext_lazy("source", "campaign"),
    "series": pgettext_lazy("source", "series"),
}
_WORDS: Mapping[str, Mapping[str, Promise]] = {
    "verb": _VERBS,
    "kind": _KINDS,
    "source": _SOURCES,
}


class _Sentence(NamedTuple):
    """A sentence in its parts: a text, a name, a text, and so on."""

    text: str
    parts: Sequence[str]
    names: Sequence[str]

    def values_in(self, text: str) -> dict[str, str] | None:
        """Returns the values of the names in a text; None for a text that it does not say.

        It reads the text once: each value ends where the next part begins.
        """
        first, *others = self.parts
        if not text.startswith(first):
            return None
        if not others:
            return {} if text == first else None
        at, values = len(first), list[str]()
        for part in others[:-1]:
            found = text.find(part, at + 1)
            if found < 0:
                return None
            values.append(text[at:found])
            at = found + len(part)
        end = len(text) - len(others[-1])
        if end <= at or not text.endswith(others[-1]):
            return None
        return dict(zip(self.names, [*values, text[at:end]], strict=True))


def _sentence(text: str) -> _Sentence:
    parts = _NAME.split(text)
    return _Sentence(text, parts[::2], parts[1::2])


def _length(sentence: _Sentence) -> int:
    return sum(len(part) for part in sentence.parts)


# Those that say most themselves first: of two that say a text, it is the closer one.
_SENTENCES = tuple(sorted(map(_sentence, SENTENCES), key=_length, reverse=True))


def translated(text: str) -> str:
    """Returns an error of a service in the language of the page.

    text: a sentence, or several with `; ` between them, each with the place that it is about.
    """
    if len(text) > LONGEST or (get_language() or "en").startswith("en"):
        return text
    return _translated(text) or "; ".join(_part(each) for each in text.split("; "))


def _part(text: str) -> str:
    """Returns one of several sentences, which may begin with a place: `steps[0].at: ...`."""
    place, colon, rest = text.partition(": ")
    if colon and " " not in place and (found := _translated(rest)):
        return f"{place}{colon}{found}"
    return _translated(text) or text


def _translated(text: str) -> str:
    """Returns the translation of one sentence; empty where there is none."""
    said, mark, place = text.partition(_PLACE)
    for sentence in _SENTENCES:
        values = sentence.values_in(said)
        if values is not None:
            shown = {name: _shown(name, value) for name, value in values.items()}
            found = gettext(sentence.text) % shown
            return f"{found} (`{place})" if mark else found
    return ""


def _shown(name: str, value: str) -> str:
    if name == _STATE:
        return words.state(value)
    if name == _STATES:
        return ", ".join(words.state(each) for each in value.split(" or "))
    return str(_WORDS.get(name, {}).get(value, value))
