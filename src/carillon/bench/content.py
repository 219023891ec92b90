"""The template that benchmarks send: a subject, a text and a realistic HTML mail of some 2 KB."""

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
