"""Templates that are built with another: published again when their layout or partial was."""

from __future__ import annotations

from django.db.models import F

from notifications.domain.errors import FieldError, InvalidRequest, TemplateFault
from notifications.models import NotificationTemplate, TemplatePin
from notifications.rendering.versions import version_of

MAX_DEPENDANTS = 500


def republish_dependants(row: NotificationTemplate) -> list[str]:
    """Builds every template that uses this one, directly or not, with its current version.

    Answers their paths. What is published is their current texts: drafts stay drafts.

    Raises:
        InvalidRequest: when one of them cannot be built with it, or there are too many.
    """
    users = _users_of(row.pk)
    waiting = set(users) - {row.pk}
    done: list[str] = []
    while waiting:
        # Those first that use none of those that wait: each is built once.
        ready = {key for key in waiting if not users[key] & waiting} or set(waiting)
        for each in NotificationTemplate.objects.filter(pk__in=ready).order_by("pk"):
            _republish(each)
            done.append(each.path)
        waiting -= ready
    return done


def _users_of(key: int) -> dict[int, set[int]]:
    """The templates whose current version uses a template, with what they use of these."""
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


def _republish(row: NotificationTemplate) -> None:
    try:
        version_of(row.pin_anew().pk).precompile()
    except TemplateFault as fault:
        raise InvalidRequest(
            [FieldError("dependants", fault.code, f"{row.path}: {fault.detail}")]
        ) from fault
