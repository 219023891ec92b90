"""The initial texts of the digest template, in English and Russian.

Context: count, frequency, groups: [{key, name, count, more, items: [{title, text}]}].
"""

from __future__ import annotations

from typing import Any

PATH = "system.digest"
NAME = "Digest"
REQUIRED = ["count", "groups"]
OPTIONAL = ["frequency"]
CHANNELS = ["email", "push", "in_app", "websocket", "sms", "telegram"]

_TITLES = (
    "{% for group in groups %}{% for item in group['items'] %}- {{ item.title or item.text }}\n"
    "{% endfor %}{% if group.more %}@@more@@\n{% endif %}{% endfor %}"
)
_PLAIN = (
    "@@hello@@\n\n{% for group in groups %}{{ group.name }} ({{ group.count }})\n"
    "{% for item in group['items'] %}- {{ item.title }}{% if item.title and item.text %}: {% endif"
    " %}{{ item.text|truncate_words(30) }}\n{% endfor %}{% if group.more %}@@more@@\n{% endif %}\n"
    "{% endfor %}-- \n{{ app_name }}\n{{ app_url }}\n"
    "{% if preferences_url %}@@preferences@@: {{ preferences_url }}\n{% endif %}"
    "{% if unsubscribe_url %}@@unsubscribe@@: {{ unsubscribe_url }}\n{% endif %}"
)
_HTML = """<!doctype html>
<html lang="@@lang@@">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"></head>
<body style="margin:0;background:#f3f4f6;font-family:Segoe UI,Roboto,Helvetica,Arial,sans-serif">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0"><tr><td align="center"
 style="padding:28px 12px">
<table role="presentation" width="600" cellpadding="0" cellspacing="0" style="max-width:600px;
width:100%;background:#ffffff;border-radius:14px;border-top:5px solid #4f46e5">
<tr><td style="padding:30px 34px 8px">
<h1 style="margin:0 0 10px;font-size:24px;line-height:1.25;color:#111827">@@title@@</h1>
<p style="margin:0 0 18px;font-size:16px;line-height:1.6;color:#374151">@@hello@@</p>
{% for group in groups %}
<h2 style="margin:22px 0 8px;font-size:17px;color:#4f46e5">{{ group.name }}
 <span style="color:#6b7280;font-weight:400">{{ group.count }}</span></h2>
{% for item in group['items'] %}
<div style="padding:12px 0;border-top:1px solid #e5e7eb">
{% if item.title %}<p style="margin:0 0 3px;font-size:15px;font-weight:600;color:#111827">
{{ item.title }}</p>{% endif %}
<p style="margin:0;font-size:15px;line-height:1.5;color:#374151">{{ item.text|truncate_words(40) }}
</p></div>
{% endfor %}
{% if group.more %}<p style="margin:8px 0;font-size:14px;color:#6b7280">@@more@@</p>{% endif %}
{% endfor %}
</td></tr>
<tr><td style="padding:18px 34px 28px;font-size:13px;color:#6b7280">
<a href="{{ app_url }}" style="color:#4f46e5">{{ app_name }}</a>
{% if preferences_url %} &middot; <a href="{{ preferences_url }}" style="color:#4f46e5">
@@preferences@@</a>{% endif %}
{% if unsubscribe_url %} &middot; <a href="{{ unsubscribe_url }}" style="color:#4f46e5">
@@unsubscribe@@</a>{% endif %}</td></tr>
</table></td></tr></table></body></html>
"""

_WORDS = {
    "en": {
        "lang": "en",
        "title": "Your updates from {{ app_name }}",
        "hello": "Hello {{ user.first_name }}, here is what happened: {{ count }} in all.",
        "more": "... and {{ group.more }} more",
        "preferences": "Preferences",
        "unsubscribe": "No more digests",
        "short": "{{ app_name }}: {{ count }} new for you. {{ app_url }}",
    },
    "ru": {
        "lang": "ru",
        "title": "Ваши новости от {{ app_name }}",
        "hello": "Здравствуйте, {{ user.first_name }}! Вот что произошло, всего: {{ count }}.",
        "more": "... и ещё {{ group.more }}",
        "preferences": "Настройки",
        "unsubscribe": "Больше не присылать сводки",
        "short": "{{ app_name }}: для вас новое, {{ count }}. {{ app_url }}",
    },
}


def texts(locale: str) -> dict[str, str]:
    """Returns the template's texts in one locale, as the fields of a NotificationTemplate."""
    listed = _fill("@@title@@\n\n" + _TITLES, locale)
    return {
        "email_subject_template": _WORDS[locale]["title"],
        "email_body_template": _fill(_PLAIN, locale),
        "email_html_template": _fill(_HTML, locale),
        "push_template": _fill("@@title@@\n\n@@hello@@", locale),
        "websocket_template": listed,
        "in_app_template": listed,
        "telegram_template": listed,
        "sms_template": _WORDS[locale]["short"],
    }


def template_fields() -> dict[str, Any]:
    """Returns the template's fields except its category."""
    return {
        "name": NAME,
        "path": PATH,
        "default_priority": 3,
        "supported_channels": CHANNELS,
        "required_variables": REQUIRED,
        "optional_variables": OPTIONAL,
        "default_locale": "en",
        "translations": {"ru": texts("ru")},
        **texts("en"),
    }


def _fill(text: str, locale: str) -> str:
    for name, words in _WORDS[locale].items():
        text = text.replace(f"@@{name}@@", words)
    return text
