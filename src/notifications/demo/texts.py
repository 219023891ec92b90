"""Reads the demo templates: a mail layout, and short TOML texts that extend it."""

from __future__ import annotations

import html
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any, NamedTuple

_LOCALES = ("en", "ru")
_FOOTERS = {
    "en": "You receive this because you have an account with us.",
    "ru": "Вы получили это письмо, потому что у вас есть учётная запись.",  # noqa: RUF001
}
_UNSUBSCRIBE = {"en": "Unsubscribe", "ru": "Отписаться"}
_PREFERENCES = {"en": "Your preferences", "ru": "Ваши настройки"}
_LINKS = (
    '{{% if preferences_url %}}<br><a href="{{{{ preferences_url }}}}">{}</a>{{% endif %}}'
    '{{% if unsubscribe_url %}} &middot; <a href="{{{{ unsubscribe_url }}}}">{}</a>{{% endif %}}'
)
_P = '<p class="line">{}</p>'
_CODE = '<p class="code">{}</p>'
_FACT = '<tr><td class="label">{}</td><td class="value" align="right">{}</td></tr>'
_TABLE = (
    '<table class="facts" role="presentation" width="100%" cellpadding="0" cellspacing="0">{}'
    "</table>"
)
_BUTTON = (
    '<p class="action"><a class="button" href="{url}" style="background:{accent}">{label}</a></p>'
)
_LAYOUT = "layouts.mail"


_EXAMPLES: Mapping[str, Any] = {
    "amount": "29.99",
    "code": "123456",
    "course": "Art & Design",
    "due_at": "2030-01-02T10:00:00",
    "grade": "A",
    "headline": "Spring",
    "message": "No school on Friday.",
    "results": [{"subject": "Maths", "score": 0.91}],
    "starts_at": "2030-01-02T10:00:00+01:00",
    "student": "Emma",
    "subject": "Physics",
    "ticket": "#12",
    "title": "Holiday",
}


class DemoTemplate(NamedTuple):
    """One demo template."""

    path: str
    name: str
    category: str
    priority: int
    channels: list[str]
    required: list[str]
    optional: list[str]
    #: What previews are shown with: a value of each required variable.
    example: dict[str, Any]
    #: The text fields of a NotificationTemplate by locale.
    texts: dict[str, dict[str, str]]


def demo_templates() -> list[DemoTemplate]:
    """Returns every demo template: first the mail layout, then the others by file name."""
    folder = resources.files("notifications.demo")
    layout = folder.joinpath("layout.html").read_text(encoding="utf-8")
    files = sorted(folder.iterdir(), key=lambda each: each.name)
    return [
        _layout(layout),
        *(
            _template(tomllib.loads(each.read_text(encoding="utf-8")))
            for each in files
            if each.name.endswith(".toml")
        ),
    ]


def _layout(source: str) -> DemoTemplate:
    return DemoTemplate(
        path=_LAYOUT,
        name="Layout of mails",
        category="system",
        priority=3,
        channels=["email"],
        required=[],
        optional=["accent"],
        example={},
        texts={
            locale: {
                "email_html_template": source.replace("@@lang@@", locale).replace(
                    "@@footer@@", _foot(locale)
                )
            }
            for locale in _LOCALES
        },
    )


def _foot(locale: str) -> str:
    return _FOOTERS[locale] + _LINKS.format(_PREFERENCES[locale], _UNSUBSCRIBE[locale])


def _template(raw: dict[str, Any]) -> DemoTemplate:
    texts = {locale: _texts(raw, raw[locale], locale) for locale in _LOCALES}
    channels = ["email", "push", "in_app", "websocket"]
    channels += [name for name in ("sms", "telegram") if f"{name}_template" in texts["en"]]
    return DemoTemplate(
        path=raw["path"],
        name=raw["name"],
        category=raw["category"],
        priority=raw.get("priority", 3),
        channels=channels,
        required=raw.get("required", []),
        optional=raw.get("optional", []),
        example={name: _EXAMPLES[name] for name in raw.get("required", [])},
        texts=texts,
    )


def _texts(raw: dict[str, Any], words: dict[str, Any], locale: str) -> dict[str, str]:
    texts = {
        "email_subject_template": words["subject"],
        "email_body_template": _plain(raw, words, locale),
        "email_html_template": _page(raw, words),
        "push_template": words["push"],
        "in_app_template": words["push"],
    }
    for channel in ("sms", "telegram"):
        if channel in words:
            texts[f"{channel}_template"] = words[channel]
    return texts


def _plain(raw: dict[str, Any], words: dict[str, Any], locale: str) -> str:
    parts = [words["heading"], *words["lines"]]
    if "code" in words:
        parts.append(words["code"])
    if "facts" in words:
        parts.append("\n".join(f"{label}: {value}" for label, value in words["facts"]))
    if "rows" in raw:
        items, label, value = raw["rows"]
        parts.append(
            f"{{% for item in {items} %}}{{{{ {label} }}}}: {value}\n{{% endfor %}}".strip()
        )
    if "button" in words:
        parts.append("{}: {}".format(*words["button"]))
    link = f"{_UNSUBSCRIBE[locale]}: {{{{ unsubscribe_url }}}}\n"
    parts.append(
        "-- \n{{ app_name }}\n{{ app_url }}\n{% if unsubscribe_url %}" + link + "{% endif %}"
    )
    return "\n\n".join(parts)


def _page(raw: dict[str, Any], words: dict[str, Any]) -> str:
    content = [_P.format(_escape(line)) for line in words["lines"]]
    if "code" in words:
        content.append(_CODE.format(_escape(words["code"])))
    if "facts" in words:
        rows = [_FACT.format(_escape(label), _escape(value)) for label, value in words["facts"]]
        content.append(_TABLE.format("".join(rows)))
    if "rows" in raw:
        items, label, value = raw["rows"]
        row = _FACT.format(f"{{{{ {label} }}}}", value)
        content.append(_TABLE.format(f"{{% for item in {items} %}}{row}{{% endfor %}}"))
    if "button" in words:
        label, url = words["button"]
        content.append(_BUTTON.format(label=_escape(label), url=url, accent=raw["accent"]))
    blocks = {
        "title": _escape(words["subject"]),
        "heading": _escape(words["heading"]),
        "content": "\n".join(content),
    }
    return "\n".join(
        [
            f"{{% extends '{_LAYOUT}' %}}",
            f"{{% set accent = '{raw['accent']}' %}}",
            *(f"{{% block {name} %}}{text}{{% endblock %}}" for name, text in blocks.items()),
        ]
    )


def _escape(text: str) -> str:
    return html.escape(text, quote=False)
