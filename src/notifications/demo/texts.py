"""Reads the demo templates: short TOML texts, set into the mail layout."""

from __future__ import annotations

import html
import tomllib
from importlib import resources
from typing import Any, NamedTuple

_LOCALES = ("en", "ru")
_FOOTERS = {
    "en": "You receive this because you have an account with us.",
    "ru": "Вы получили это письмо, потому что у вас есть учётная запись.",  # noqa: RUF001
}
_P = '<p style="margin:0 0 16px;font-size:16px;line-height:1.6">{}</p>'
_CODE = (
    '<p style="margin:8px 0 20px;padding:18px;border-radius:10px;background:#f3f4f6;'
    'font:700 32px/1 Menlo,Consolas,monospace;letter-spacing:6px;text-align:center">{}</p>'
)
_FACT = (
    '<tr><td style="padding:10px 14px;border-bottom:1px solid #e5e7eb;color:#6b7280;'
    'font-size:14px">{}</td><td align="right" style="padding:10px 14px;border-bottom:1px solid'
    ' #e5e7eb;font-size:15px;font-weight:600">{}</td></tr>'
)
_TABLE = (
    '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="margin:4px 0'
    ' 20px;border-top:1px solid #e5e7eb">{}</table>'
)
_BUTTON = (
    '<p style="margin:24px 0 4px"><a href="{url}" style="display:inline-block;padding:13px 26px;'
    "border-radius:9px;background:{accent};color:#ffffff;font-size:16px;font-weight:600;"
    'text-decoration:none">{label}</a></p>'
)


class DemoTemplate(NamedTuple):
    """One template. texts holds the fields of a NotificationTemplate by locale."""

    path: str
    name: str
    category: str
    priority: int
    channels: list[str]
    required: list[str]
    optional: list[str]
    texts: dict[str, dict[str, str]]


def demo_templates() -> list[DemoTemplate]:
    """Every demo template, in order of file name."""
    folder = resources.files("notifications.demo")
    layout = folder.joinpath("layout.html").read_text(encoding="utf-8")
    files = sorted(folder.iterdir(), key=lambda each: each.name)
    return [
        _template(tomllib.loads(each.read_text(encoding="utf-8")), layout)
        for each in files
        if each.name.endswith(".toml")
    ]


def _template(raw: dict[str, Any], layout: str) -> DemoTemplate:
    texts = {locale: _texts(raw, raw[locale], locale, layout) for locale in _LOCALES}
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
        texts=texts,
    )


def _texts(raw: dict[str, Any], words: dict[str, Any], locale: str, layout: str) -> dict[str, str]:
    texts = {
        "email_subject_template": words["subject"],
        "email_body_template": _plain(raw, words),
        "email_html_template": _page(raw, words, locale, layout),
        "push_template": words["push"],
        "in_app_template": words["push"],
    }
    for channel in ("sms", "telegram"):
        if channel in words:
            texts[f"{channel}_template"] = words[channel]
    return texts


def _plain(raw: dict[str, Any], words: dict[str, Any]) -> str:
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
    return "\n\n".join(parts) + "\n\n-- \n{{ app_name }}\n{{ app_url }}\n"


def _page(raw: dict[str, Any], words: dict[str, Any], locale: str, layout: str) -> str:
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
    filled = layout
    for name, value in {
        "lang": locale,
        "title": _escape(words["subject"]),
        "accent": raw["accent"],
        "heading": _escape(words["heading"]),
        "content": "\n".join(content),
        "footer": _FOOTERS[locale],
    }.items():
        filled = filled.replace(f"@@{name}@@", value)
    return filled


def _escape(text: str) -> str:
    return html.escape(text, quote=False)
