"""One table of who may call what: route, method, scope and role.

It is made of the routes, of `reach.py` (what each scope reaches) and of the rights of the roles.
docs/reference/permissions.md is generated from it, and tests call every route as each principal
and compare. A route or page without an entry is an error here, so `make check` fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.contrib import admin

from notifications.api.permissions.other_urls import OTHER_URLS, STAFF_PAGES
from notifications.api.reach import (
    PERSON_ROUTES,
    PUBLIC_ROUTES,
    SCOPE_REACH,
    TEST_KEY_ROUTES,
    USER_ROUTES,
    is_for_test_keys,
)
from notifications.api.route import Auth, Route
from notifications.domain.staff_rights import RIGHTS


class MissingPermission(ValueError):
    """A route has no entry of who may call it, or an entry has no route."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutePermission:
    """Who may call a route."""

    route: str
    method: str
    path: str
    #: The proof that a public route needs; empty for a route that needs a caller.
    proof: str
    #: The scopes of which one alone opens the route to an API key.
    scopes: frozenset[str]
    #: The roles of staff that may call it for others.
    roles: frozenset[str]
    #: Whether a user without a role may call it, for themselves alone.
    for_oneself: bool
    #: Whether a test key may call it.
    for_test_keys: bool

    def is_open_to(self, *, role: str | None = None, scope: str | None = None) -> bool:
        """Returns whether a user (with a role, or none) or a key (with one scope) gets in."""
        if self.proof:
            return True
        if scope is not None:
            return scope in self.scopes
        return self.for_oneself or role in self.roles


@dataclass(frozen=True, slots=True, kw_only=True)
class PagePermission:
    """Who may open a page."""

    path: str
    #: What the page asks of its caller.
    who: str
    #: The roles of staff that may open it; None for a page that asks for no role.
    roles: frozenset[str] | None


def route_permissions(routes: Iterable[Route]) -> dict[str, RoutePermission]:
    """Returns who may call each route, by its name.

    Raises:
        MissingPermission: a route is in no list or in two; a list names no route.
    """
    known = {route.name: route for route in routes}
    scopes = _scopes_by_route()
    listed = {*scopes, *PUBLIC_ROUTES, *USER_ROUTES, *TEST_KEY_ROUTES}
    if unknown := sorted(listed - known.keys()):
        raise MissingPermission(f"no such routes: {unknown}")
    none: frozenset[str] = frozenset()
    return {name: _permission(route, scopes.get(name, none)) for name, route in known.items()}


def page_permissions(paths: Iterable[str]) -> dict[str, PagePermission]:
    """Returns who may open each page, by its path: those of URLs outside the API, and the admin's.

    Raises:
        MissingPermission: a path is not listed, or a listed path does not exist.
    """
    given = set(paths)
    if given != OTHER_URLS.keys():
        raise MissingPermission(f"listed or missing: {sorted(given ^ OTHER_URLS.keys())}")
    found = {
        path: PagePermission(path=path, who=who, roles=STAFF_PAGES.get(path))
        for path, who in OTHER_URLS.items()
    }
    for path, scope in admin_pages().items():
        roles = frozenset(role for role, rights in RIGHTS.items() if scope in rights)
        found[path] = PagePermission(path=path, who="staff, by session", roles=roles)
    return found


def admin_pages() -> Mapping[str, str]:
    """Returns the lists of the admin by path, and the scope that each needs.

    Raises:
        MissingPermission: a list does not name its scope.
    """
    found = {}
    for model, shown in admin.site._registry.items():
        scope: str | None = getattr(shown, "scope", None)
        if scope is None:
            raise MissingPermission(f"{model._meta.label} is in the admin without a scope")
        found[f"admin/{model._meta.app_label}/{model._meta.model_name}/"] = scope
    return found


def _scopes_by_route() -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for scope, reach in SCOPE_REACH.items():
        for name in reach.routes:
            if name in found:
                raise MissingPermission(f"{name} is listed for two scopes")
            found[name] = frozenset({scope})
    return found


def _permission(route: Route, scopes: frozenset[str]) -> RoutePermission:
    proof = PUBLIC_ROUTES.get(route.name, "")
    known = [bool(proof), bool(scopes), route.name in PERSON_ROUTES].count(True)
    if bool(proof) is not (route.auth is Auth.PUBLIC) or known != 1:
        raise MissingPermission(f"{route.name}: list it as public, for persons or for one scope")
    if route.for_persons is not (route.name in PERSON_ROUTES):
        raise MissingPermission(f"{route.name}: mark it and list it for persons, or neither")
    for needed in (route.scope, route.service_scope):
        if needed is not None and needed not in scopes:
            raise MissingPermission(f"{route.name} needs {needed}, and is listed for {scopes}")
    return RoutePermission(
        route=route.name,
        method=route.method,
        path=route.path,
        proof=proof,
        scopes=scopes,
        roles=frozenset(role for role, rights in RIGHTS.items() if rights & scopes),
        for_oneself=route.name in USER_ROUTES,
        for_test_keys=is_for_test_keys(route.method, route.name),
    )
