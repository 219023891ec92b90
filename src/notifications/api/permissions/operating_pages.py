"""The pages of the console about analytics, records, access, plans and storage by age."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

OPERATING_SCOPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "console/analytics": "analytics:read",
        "console/analytics/csv": "analytics:read",
        "console/audit": "audit:read",
        "console/audit/export": "audit:read",
        "console/audit/<int:number>": "audit:read",
        "console/audit/<int:number>/<str:form>": "audit:read",
        "console/webhooks": "webhooks:write",
        "console/webhooks/<int:number>": "webhooks:write",
        "console/keys": "api-keys:write",
        "console/keys/<int:number>": "api-keys:write",
        "console/staff": "staff:write",
        "console/staff/<int:number>": "staff:write",
        "console/schedules": "notifications:send",
        "console/schedules/<int:number>": "notifications:send",
        "console/categories": "notifications:read",
        "console/categories/new": "categories:write",
        "console/categories/<int:number>": "notifications:read",
        "console/categories/<int:number>/edit": "categories:write",
        "console/categories/<int:number>/delete": "categories:write",
        "console/segments": "users:read",
        "console/segments/new": "segments:write",
        "console/segments/<int:number>": "users:read",
        "console/segments/<int:number>/edit": "segments:write",
        "console/segments/<int:number>/delete": "segments:write",
        "console/retention": "privacy:hold",
        "console/retention/holds": "privacy:hold",
        "console/retention/erasures": "privacy:erase",
        "console/retention/erasures/<str:identifier>": "privacy:erase",
        "console/retention/erasures/<str:identifier>/file": "privacy:erase",
    }
)
"""The scope of each page by its path. The forms call services, which check the scope once more."""
