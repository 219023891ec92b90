"""Stored versions, compiled and kept: what was compiled of a version stays right for ever."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

import structlog

from notifications.domain.errors import NotFound, TemplateFault
from notifications.models import NotificationTemplate, TemplateVersion, pins_of
from notifications.rendering.render import CompiledVersion

log = structlog.get_logger("carillon.templates")
KEPT_VERSIONS = 1_000
_versions: OrderedDict[int, CompiledVersion] = OrderedDict()
_lock = threading.Lock()


def version_of(version_id: int | None) -> CompiledVersion:
    """The compiled form of a stored version.

    Raises:
        NotFound: unknown_template, when there is no such version.
    """
    found = versions_of([version_id] if version_id is not None else [])
    if not found:
        raise NotFound("the template was never published", code="unknown_template")
    return found[version_id or 0]


def versions_of(version_ids: Iterable[int]) -> dict[int, CompiledVersion]:
    """The compiled forms of stored versions, those that exist; one query for all that are new."""
    found: dict[int, CompiledVersion] = {}
    missing: list[int] = []
    with _lock:
        for key in version_ids:
            version = _versions.get(key)
            if version is None:
                missing.append(key)
            else:
                _versions.move_to_end(key)
                found[key] = version
    if missing:
        found |= _load(missing)
    return found


def _load(version_ids: Sequence[int]) -> dict[int, CompiledVersion]:
    rows = TemplateVersion.objects.filter(pk__in=version_ids).select_related("template")
    loaded = {row.pk: compiled_row(row) for row in rows.order_by("pk")}  # the oldest go first
    with _lock:
        _versions.update(loaded)
        while len(_versions) > KEPT_VERSIONS:
            _versions.popitem(last=False)
    return loaded


def current_parts(content: Mapping[str, Mapping[str, str]]) -> dict[str, CompiledVersion]:
    """The published versions of the templates that texts name, by path."""
    return _parts(pins_of(content))


def _parts(pins: Mapping[str, int]) -> dict[str, CompiledVersion]:
    versions = versions_of(pins.values())
    return {path: versions[key] for path, key in pins.items()}


def compiled_row(row: TemplateVersion) -> CompiledVersion:
    """A stored version, compiled, with those that it is pinned to."""
    return CompiledVersion(
        version_id=row.pk,
        path=row.template.path,
        content=row.content,
        required_variables=row.required_variables,
        supported_channels=row.supported_channels,
        default_locale=row.default_locale,
        parts=_parts(row.pins),
    )


def precompile(limit: int = KEPT_VERSIONS) -> int:
    """Compiles the current versions of active templates; answers how many texts. For a start.

    One that cannot be compiled any more is logged and left: the others are still to be sent.
    """
    rows = TemplateVersion.objects.filter(
        pk__in=NotificationTemplate.objects.filter(is_active=True).values("current_version")
    ).order_by("-pk")[:limit]
    count = 0
    for version in versions_of(rows.values_list("pk", flat=True)).values():
        try:
            count += version.precompile()
        except TemplateFault as fault:
            log.error("template.broken", version=version.version_id, error=fault.detail)
    return count


def forget_versions() -> None:
    """Empties the cache. For tests: a rolled-back database hands out the same keys again."""
    with _lock:
        _versions.clear()
