"""What a member of staff may do: each role has scopes, as an API key has. Nothing else grants them.

- An admin has every scope. Only admins give roles, issue keys, read the audit log, erase people and
  write categories, which say on what legal basis people are written to.
- An operator sends, watches and repairs: messages, jobs, schedules, broadcasts, dead letters, kill
  switches, providers, webhooks, people. No operator sends past people's preferences.
- An author writes, checks and publishes templates.
- An analyst reads states and counts, and the texts of templates. Neither names nor addresses.

docs/security/roles.md explains the choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from notifications.domain.scopes import ALL_SCOPES

ADMIN: Final = "admin"

RIGHTS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        ADMIN: ALL_SCOPES,
        "operator": frozenset(
            {
                "notifications:send",
                "notifications:read",
                "notifications:address",
                "priority:critical",
                "preferences:read",
                "preferences:write",
                "templates:read",
                "users:read",
                "users:write",
                "segments:write",
                "lists:write",
                "providers:write",
                "webhooks:write",
                "broadcasts",
                "operations",
                "analytics:read",
                "analytics:write",
            }
        ),
        "author": frozenset({"templates:read", "templates:write"}),
        "analyst": frozenset({"notifications:read", "templates:read", "analytics:read"}),
    }
)
"""The scopes of each role, the role with the most rights first."""


def rights_of(role: str | None) -> frozenset[str]:
    """Returns the scopes of a role; none for no role, or one that this release does not know."""
    return RIGHTS.get(role or "", frozenset())
