"""The texts of a template as forms have them: one field for each text of a channel, by locale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from console import words
from console.guard import Visit, may_open
from directory.moments import InvalidMoment, read_moment
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.features.access.limits import allowed_keys
from notifications.features.templates.schemas import TemplateResponse

EDIT_PAGE = "console/templates/<int:number>/edit"
_SYSTEM = "system."
_LABELS: Mapping[str, str | Promise] = {
    "email_subject_template": gettext_lazy("Subject"),
    "email_html_template": gettext_lazy("HTML or MJML"),
    "email_body_template": gettext_lazy("Plain text"),
}
_GROUPS: Mapping[str, Sequence[str]] = {
    "email": ("email_subject_template", "email_html_template", "email_body_template"),
    "push": ("push_template",),
    "in_app": ("in_app_template",),
    "websocket": ("websocket_template",),
    "telegram": ("telegram_template",),
    "sms": ("sms_template",),
}
FIELDS: Sequence[str] = tuple(name for names in _GROUPS.values() for name in names)


class TextBox(NamedTuple):
    """A text as the editor shows it."""

    field: str
    label: str
    text: str
    rows: int
    #: `html`, or `text` for a text without tags.
    language: str
    faults: Sequence[str]


class TextGroup(NamedTuple):
    """The texts of one channel."""

    channel: str
    name: str
    boxes: Sequence[TextBox]

    @property
    def is_open(self) -> bool:
        """Whether there is a text, or something is wrong with one."""
        return any(each.text or each.faults for each in self.boxes)


def text_groups(
    texts: Mapping[str, str], faults: Mapping[str, Sequence[str]] | None = None
) -> list[TextGroup]:
    """Returns the texts of a locale by channel. faults: sentences about a text, by its field."""
    found = faults or {}
    return [
        TextGroup(
            channel,
            words.channel(channel),
            [_box(name, texts.get(name, ""), found.get(name, ())) for name in names],
        )
        for channel, names in _GROUPS.items()
    ]


def _box(name: str, text: str, faults: Sequence[str]) -> TextBox:
    is_html = name == "email_html_template"
    rows = 1 if name == "email_subject_template" else 16 if is_html else 4
    label = str(_LABELS.get(name, gettext_lazy("Text")))
    return TextBox(name, label, text, rows, "html" if is_html else "text", faults)


def locales_of(row: TemplateResponse) -> list[str]:
    """Returns the locales with texts, the default one first."""
    return [row.default_locale, *sorted(set(row.translations) - {row.default_locale})]


def language_tag(locale: str) -> str:
    """Returns a locale as HTML names languages: `pt-BR`."""
    return locale.replace("_", "-")


def texts_in(row: TemplateResponse, locale: str) -> dict[str, str]:
    """Returns the texts of a template's draft in one locale, by field."""
    if locale == row.default_locale:
        return {name: getattr(row, name) for name in FIELDS}
    return {name: row.translations.get(locale, {}).get(name, "") for name in FIELDS}


def given_texts(visit: Visit) -> dict[str, str]:
    """Returns the texts that a form contains. Browsers send lines with CR LF."""
    posted = visit.request.POST
    return {
        name: posted[name].replace("\r\n", "\n").replace("\r", "\n")
        for name in FIELDS
        if name in posted
    }


def changes_of(row: TemplateResponse, locale: str, texts: Mapping[str, str]) -> dict[str, Any]:
    """Returns the body of a change of the texts in one locale. Without texts the locale ends."""
    if locale == row.default_locale:
        return dict(texts)
    merged = {**row.translations.get(locale, {}), **texts}
    written = {name: text for name, text in merged.items() if text}
    others = {key: value for key, value in row.translations.items() if key != locale}
    return {"translations": {**others, locale: written} if written else others}


def seen_at(visit: Visit) -> datetime:
    """Returns when the draft that the visitor saw was changed.

    Raises:
        InvalidRequest: the form has no such time.
    """
    try:
        return read_moment(visit.given("seen", longest=40))
    except InvalidMoment:
        raise InvalidRequest([FieldError("seen", "required", _("open the page again"))]) from None


def may_write(visit: Visit, row: TemplateResponse) -> bool:
    """Returns whether the visitor may change a template: by role, path and category."""
    if not may_open(visit, EDIT_PAGE):
        return False
    if (row.path + ".").startswith(_SYSTEM) and not visit.caller.manages_staff:
        return False
    allowed = allowed_keys(visit.caller)
    return allowed is None or row.category in allowed
