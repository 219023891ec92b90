"""docs/reference/permissions.md, made from the permission table."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from notifications.api.permissions.table import RoutePermission

_HEAD = """
Each line has calls or pages with the same access, and who may make them: the one scope that an API key needs, the roles of staff that have this scope, and whether users may call it for themselves with their own token.
A key of kind `test` reaches what the column *test key* marks, and changes only tests and test keys there.

[Roles of staff](../security/roles.md) explains the roles, and [what each scope allows](scopes.md) what a scope can be used for.
`src/notifications/api/permissions/table.py` is the table. `tests/integration/api/test_permissions.py` calls every route and page as every principal and compares.
""".strip()


def permissions_page(note: str) -> str:
    """Returns the page. note: the line that says that it is generated."""
    from notifications.api.permissions.table import page_permissions, route_permissions
    from notifications.api.permissions.urls import other_paths
    from notifications.api.routes import ROUTES
    from notifications.domain.staff_rights import RIGHTS

    found = ["# Who may call what", "", note, *_HEAD.splitlines(), "", "## Roles", ""]
    found += ["| role | scopes |", "| --- | --- |"]
    for role, rights in RIGHTS.items():
        found.append(f"| {role} | {', '.join(f'`{scope}`' for scope in sorted(rights))} |")
    found += ["", "## Calls", ""]
    found += ["| calls | scope of a key | roles | users | test key |"]
    found += ["| --- | --- | --- | --- | --- |"]
    alike: dict[tuple[str, str], list[str]] = defaultdict(list)
    tags = {route.name: route.tag for route in ROUTES}
    for each in route_permissions(ROUTES).values():
        alike[tags[each.route], _access(each)].append(f"`{each.method} {each.path}`")
    found += [f"| {', '.join(calls)} | {access} |" for (_, access), calls in alike.items()]
    found += ["", "## Pages", "", "| pages | who | roles |", "| --- | --- | --- |"]
    pages: dict[tuple[str, str], list[str]] = defaultdict(list)
    for page in page_permissions(other_paths()).values():
        pages[page.who, "-" if page.roles is None else _listed(page.roles)].append(
            f"`/{page.path}`"
        )
    found += [f"| {', '.join(paths)} | {who} | {roles} |" for (who, roles), paths in pages.items()]
    return "\n".join([*found, ""])


def _access(each: RoutePermission) -> str:
    if each.proof:
        return f"public: {each.proof} | - | - | -"
    scopes = ", ".join(f"`{scope}`" for scope in sorted(each.scopes))
    users = "for themselves" if each.for_oneself else "no"
    return f"{scopes} | {_listed(each.roles)} | {users} | {'yes' if each.for_test_keys else 'no'}"


def _listed(roles: Iterable[str]) -> str:
    from notifications.domain.staff_rights import RIGHTS

    return ", ".join(role for role in RIGHTS if role in set(roles)) or "none"
