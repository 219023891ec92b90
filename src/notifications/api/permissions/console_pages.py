"""The pages of the console, and the scope that opens each of them to a role of staff."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from notifications.api.permissions.casting_pages import CASTING_SCOPES
from notifications.api.permissions.operating_pages import OPERATING_SCOPES
from notifications.domain.staff_rights import RIGHTS

CONSOLE_SCOPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "console": "",
        "console/figures": "",
        "console/styleguide": "",
        "console/notifications": "notifications:read",
        "console/notifications/<str:identifier>": "notifications:read",
        "console/notifications/<str:identifier>/frame/<int:message>": "privacy:export",
        "console/notifications/<str:identifier>/cancel": "notifications:send",
        "console/notifications/<str:identifier>/retract": "notifications:send",
        "console/notifications/<str:identifier>/replay": "operations",
        "console/people": "users:read",
        "console/people/<int:number>": "users:read",
        "console/people/<int:number>/test": "notifications:send",
        "console/people/<int:number>/unsubscribe": "preferences:write",
        "console/people/<int:number>/suppress": "users:write",
        "console/people/<int:number>/export": "privacy:export",
        "console/people/<int:number>/erase": "privacy:erase",
        "console/exports/<str:identifier>/<str:form>": "privacy:export",
        "console/stops": "operations",
        "console/dead-letters": "operations",
        "console/queues": "operations",
        "console/providers": "providers:write",
        "console/first-run": "providers:write",
        "console/templates": "templates:read",
        "console/templates/new": "templates:write",
        "console/templates/<int:number>": "templates:read",
        "console/templates/<int:number>/diff": "templates:read",
        "console/templates/<int:number>/preview": "templates:read",
        "console/templates/<int:number>/frame": "templates:read",
        "console/templates/<int:number>/edit": "templates:write",
        "console/templates/<int:number>/settings": "templates:write",
        "console/templates/<int:number>/lint": "templates:write",
        "console/templates/<int:number>/publish": "templates:write",
        "console/templates/<int:number>/rollback": "templates:write",
        "console/templates/<int:number>/test": "templates:read",
        **CASTING_SCOPES,
        **OPERATING_SCOPES,
    }
)
"""The scope of each page by its path; empty for a page of all members of staff.

A page shows no more than the scope allows in the API, and its forms call the same services, which
check the scope of what they do once more. The API shows the inbox to its owner alone. Here its
texts need `privacy:export`, which shows them as well, and the audit log says who saw which. The
page of a person shows whether rows of the inbox were read, without their texts.
"""


def roles_with(scope: str) -> frozenset[str]:
    """Returns the roles of staff that have a scope; all roles for an empty one."""
    return frozenset(role for role, rights in RIGHTS.items() if not scope or scope in rights)


CONSOLE_ROLES: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {path: roles_with(scope) for path, scope in CONSOLE_SCOPES.items()}
)
"""The roles that open each page of the console."""

CONSOLE_URLS: Final[Mapping[str, str]] = MappingProxyType(
    {
        path: f"staff by session, with the scope `{scope}`" if scope else "staff, by session"
        for path, scope in CONSOLE_SCOPES.items()
    }
)
"""Who may open each page of the console, in words."""
