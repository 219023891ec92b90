"""The addresses of the audit log, of status webhooks, of API keys and of staff."""

from __future__ import annotations

from django.urls import URLPattern

from console.guard import console_path
from console.records import audit, keys, staff, webhooks

_BOTH = ("GET", "HEAD", "POST")
_ENTRY = "console/audit/<int:number>"
URLS: list[URLPattern] = [
    console_path("console/audit", audit.audit, name="console-audit"),
    console_path("console/audit/export", audit.export, name="console-audit-export"),
    console_path(_ENTRY, audit.entry, name="console-audit-entry"),
    console_path(f"{_ENTRY}/<str:form>", audit.document, name="console-audit-file"),
    console_path("console/webhooks", webhooks.webhooks, name="console-webhooks", methods=_BOTH),
    console_path(
        "console/webhooks/<int:number>", webhooks.webhook, name="console-webhook", methods=_BOTH
    ),
    console_path("console/keys", keys.keys, name="console-keys", methods=_BOTH),
    console_path("console/keys/<int:number>", keys.key, name="console-key", methods=_BOTH),
    console_path("console/staff", staff.staff, name="console-staff"),
    console_path("console/staff/<int:number>", staff.member, name="console-member", methods=_BOTH),
]
