"""The scopes: every permission that a key or a role can have, and what it allows."""

from __future__ import annotations

from typing import Final

SCOPES: dict[str, str] = {
    "notifications:send": "send to any user",
    "notifications:read": "read any notification's status",
    "notifications:address": "send to an address without a user",
    "priority:critical": "send at priority 1",
    "preferences:bypass": "send regardless of a user's preferences",
    "preferences:read": "read any user's preferences and consents",
    "preferences:write": "change any user's preferences and consents",
    "categories:write": "make, change and delete categories",
    "templates:read": "read, preview and check templates",
    "templates:write": "write and publish templates",
    "users:read": "read users and contact points",
    "users:write": "write users and contact points",
    "segments:write": "write saved segments",
    "lists:write": "write mailing lists and who is on them",
    "providers:write": "see, set and test providers' accounts",
    "webhooks:write": "see, set and replay status webhooks",
    "broadcasts": "make, send and control broadcasts",
    "analytics:read": "read metrics, reports and goals",
    "analytics:write": "write goals, report events and conversions of any user",
    "audit:read": "read the audit log, its proofs and exports",
    "privacy:erase": "erase users and addresses, and read the certificates",
    "privacy:export": "export everything that is stored about a user",
    "privacy:hold": "place and end legal holds",
    "operations": "kill switch and dead letters",
    "api-keys:write": "make and revoke API keys",
    "staff:write": "see staff, and set their roles and groups",
}

ALL_SCOPES: Final = frozenset(SCOPES)
STAFF_SCOPE: Final = "staff:write"
