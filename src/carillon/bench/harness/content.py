"""The template that benchmarks send: a subject, a text and an HTML mail of about 2 KB."""

from __future__ import annotations

SUBJECT = "Payment of {{ amount|currency }} received"
TEXT = "Hello {{ user.first_name }},\n\nwe received {{ amount|currency }}.\n"
IN_APP = (
    "Payment received\n\nHello {{ user.first_name }}, your payment of {{ amount|currency }}"
    " was processed."
)
HTML = (
    """<!doctype html><html><body style="font-family:sans-serif;color:#222">
<h1>Hello {{ user.first_name }}</h1><p>We received your payment of <b>{{ amount|currency }}</b>.</p>
<table>{% for item in items|default([]) %}<tr><td>{{ item.name }}</td><td>{{ item.price|currency }}
</td></tr>{% endfor %}</table><p>"""
    + "Thank you for learning with us. " * 40
    + """</p><p><a href="{{ app_url }}">{{ app_name }}</a></p></body></html>"""
)
LAYOUT = """<!doctype html><html><head><title>{% block title %}{{ app_name }}{% endblock %}</title>
<style>
body{margin:0;background:#eef1f6;color:#1f2937;font-family:Helvetica,Arial,sans-serif}
.page{width:100%;max-width:600px}
.brand{padding:0 8px 20px;font-size:18px;font-weight:700;color:#312e81}
.card{background:#fff;border-radius:14px;padding:36px 40px}
h1{margin:0 0 18px;font-size:24px;line-height:1.3}
p{margin:0 0 16px;font-size:16px;line-height:1.6}
.label{padding:10px 14px;border-bottom:1px solid #e5e7eb;color:#6b7280;font-size:14px}
.value{padding:10px 14px;border-bottom:1px solid #e5e7eb;font-size:15px;font-weight:600}
.button{display:inline-block;padding:13px 26px;border-radius:9px;background:#4f46e5;color:#fff}
.foot{padding:22px 8px 0;font-size:12px;color:#6b7280}
@media (max-width:480px){.card{padding:24px 20px !important}}
</style></head><body><table class="page" role="presentation" cellpadding="0" cellspacing="0">
<tr><td class="brand">{{ app_name }}</td></tr><tr><td class="card">{% block content %}{% endblock %}
</td></tr><tr><td class="foot"><a href="{{ app_url }}">{{ app_url }}</a></td></tr>
</table></body></html>"""
MAIL = (
    """{% extends 'layouts.bench' %}{% block title %}Payment received{% endblock %}
{% block content %}<h1>Hello {{ user.first_name }}</h1>
<p>We received your payment of <b>{{ amount|currency }}</b>.</p><table>
{% for item in items|default([]) %}<tr><td class="label">{{ item.name }}</td>
<td class="value" align="right">{{ item.price|currency }}</td></tr>{% endfor %}</table><p>"""
    + "Thank you for learning with us. " * 30
    + """</p>{% if amount > 20 %}<p>Your next lesson is on us, {{ user.first_name }}.</p>{% endif %}
<p><a class="button" href="{{ app_url }}/payments">View the receipt</a></p>{% endblock %}"""
)
"""The mail that `bench render` renders: it has a layout, whose stylesheet is inlined."""
_LINKS = [
    f"https://shop.example.org/lessons/{number}?utm_source=mail&utm_campaign=payments"
    for number in range(10)
]
TEXT_LINKS = "".join(f"Lesson: {link}\n" for link in _LINKS)
"""Ten links for the text part of the tracked mail."""


def with_links(html: str) -> str:
    """Returns a page with ten links before its end."""
    items = "".join(
        f'<p><a style="color:#4f46e5" href="{link.replace("&", "&amp;")}">Lesson {number}</a></p>'
        for number, link in enumerate(_LINKS)
    )
    return html.replace("</body>", f"{items}</body>")
