"""Republishes templates that are built with another one, after their layout or partial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from django.db.models import F

from notifications.domain.errors import Conflict, FieldError, InvalidRequest
from notifications.domain.references import references
from notifications.features.templates.preview import preview_context
from notifications.features.templates.trials import first_fault
from notifications.models import NotificationTemplate, TemplatePin, all_texts
from notifications.rendering.render import CompiledVersion
from notifications.rendering.versions import current_parts, service_defaults

MAX_DEPENDANTS = 500


class RepublishPlan(NamedTuple):
    """The templates to publish again."""

    #: The templates' keys, in the order in which they are published.
    keys: list[int]
    #: Each template's current version when the plan was made.
    versions: dict[int, int | None]


def plan_dependants(
    row: NotificationTemplate, version: CompiledVersion, *, principal: str
) -> RepublishPlan:
    """Returns the templates that use this one, directly or not, after a trial with its new version.

    Raises:
        InvalidRequest: one of them cannot be built with it, or there are too many.
        RenderingBusy: no render process was free in time.
    """
    users = _users_of(row.pk)
    waiting = set(users) - {row.pk}
    plan = RepublishPlan([], {})
    built = {row.path: version}
    while waiting:
        # Templates that use no waiting template come first, so each is built once.
        ready = {key for key in waiting if not users[key] & waiting} or set(waiting)
        rows = NotificationTemplate.objects.select_related("current_version")
        for each in rows.filter(pk__in=ready).order_by("pk"):
            built[each.path] = _tried(each, built, principal)
            plan.keys.append(each.pk)
            plan.versions[each.pk] = each.current_version_id
        waiting -= ready
    return plan


def republish_dependants(plan: RepublishPlan) -> list[str]:
    """Publishes a plan's templates again, built with the templates that are published now.

    Returns their paths. Their current texts are published: drafts remain drafts.

    Raises:
        Conflict: one of them was published since the plan was made.
    """
    done: list[str] = []
    for key in plan.keys:
        each = NotificationTemplate.objects.select_for_update().get(pk=key)
        if each.current_version_id != plan.versions[key]:
            raise concurrent_change(each.path)
        each.pin_anew()
        done.append(each.path)
    return done


def concurrent_change(path: str) -> Conflict:
    """Returns the error for a template that another caller changed during the trial."""
    return Conflict(
        f"template {path} was changed meanwhile: check it and publish again",
        code="concurrent_change",
    )


def _tried(
    row: NotificationTemplate, built: Mapping[str, CompiledVersion], principal: str
) -> CompiledVersion:
    """Returns a template's current texts, built with the versions that a plan would publish."""
    current = row.current_version
    assert current is not None
    parts = {**current_parts(current.content), **built}
    named = references(all_texts(current.content))
    version = CompiledVersion(
        version_id=0,
        path=row.path,
        content=current.content,
        required_variables=current.required_variables,
        supported_channels=current.supported_channels,
        default_locale=current.default_locale,
        parts={path: part for path, part in parts.items() if path in named},
        defaults=service_defaults(),
    )
    fault = first_fault(version, preview_context(row.example_context), principal=principal)
    if fault is not None:
        raise InvalidRequest([FieldError("dependants", fault.code, f"{row.path}: {fault.detail}")])
    return version


def _users_of(key: int) -> dict[int, set[int]]:
    """Returns the templates whose current version uses a template; each with those it uses."""
    users: dict[int, set[int]] = {}
    frontier = {key}
    while frontier:
        pairs = TemplatePin.objects.filter(
            uses__template__in=frontier, version__template__current_version=F("version")
        ).values_list("version__template_id", "uses__template_id")
        found = {user for user, _used in pairs} - set(users)
        for user, used in pairs:
            users.setdefault(user, set()).add(used)
        if len(users) > MAX_DEPENDANTS:
            detail = f"more than {MAX_DEPENDANTS} templates use it: publish them one by one"
            raise InvalidRequest([FieldError("dependants", "too_many", detail)])
        frontier = found
    return users
