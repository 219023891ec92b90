"""Compiles and caches stored versions. A version never changes, so the cache is never stale."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

import structlog
from django.db import DatabaseError

from notifications.domain.errors import NotFound, TemplateFault
from notifications.infra.conf import environment
from notifications.models import NotificationTemplate, TemplateVersion, pins_of
from notifications.rendering.defaults import Defaults
from notifications.rendering.release import WANTED, failed, release
from notifications.rendering.render import CompiledVersion

log = structlog.get_logger("carillon.templates")
CACHED_VERSIONS = 1_000
_versions: OrderedDict[int, CompiledVersion] = OrderedDict()
_lock = threading.Lock()


def version_of(version_id: int | None) -> CompiledVersion:
    """Returns the compiled form of a stored version.

    Raises:
        NotFound: unknown_template, when there is no such version.
    """
    found = versions_of([version_id] if version_id is not None else [])
    if not found:
        raise NotFound("the template was never published", code="unknown_template")
    return found[version_id or 0]


def versions_of(version_ids: Iterable[int]) -> dict[int, CompiledVersion]:
    """Returns the compiled forms of the versions that exist; one query for all uncached ones."""
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
    loaded = {
        row.pk: compiled_row(row) for row in rows.order_by("pk")
    }  # the oldest are evicted first
    with _lock:
        _versions.update(loaded)
        while len(_versions) > CACHED_VERSIONS:
            _versions.popitem(last=False)
    return loaded


def service_defaults() -> Defaults:
    """Returns the locale and time zone of the settings."""
    return Defaults(environment().locale, environment().timezone)


def current_parts(content: Mapping[str, Mapping[str, str]]) -> dict[str, CompiledVersion]:
    """Returns the published versions of the templates that texts name, by path."""
    return _parts(pins_of(content))


def _parts(pins: Mapping[str, int]) -> dict[str, CompiledVersion]:
    versions = versions_of(pins.values())
    return {path: versions[key] for path, key in pins.items()}


def compiled_row(row: TemplateVersion) -> CompiledVersion:
    """Returns the compiled form of a row, built with the versions that it is pinned to."""
    return CompiledVersion(
        version_id=row.pk,
        path=row.template.path,
        content=row.content,
        required_variables=row.required_variables,
        supported_channels=row.supported_channels,
        default_locale=row.default_locale,
        parts=_parts(row.pins),
        defaults=service_defaults(),
        is_proved=row.proved_by == release(),
    )


def refresh_proof(version: CompiledVersion) -> bool:
    """Returns whether this release has proved a version; requests its proof if not."""
    if not version.is_proved:
        rows = TemplateVersion.objects.filter(pk=version.version_id)
        proved_by = rows.values_list("proved_by", flat=True).first()
        version.is_proved = proved_by == release()
        if proved_by not in (release(), failed(), WANTED):
            rows.update(proved_by=WANTED)
    return version.is_proved


def mark_proved(version_id: int, *, is_proved: bool = True) -> None:
    """Stores whether a version's example was rendered within the limits."""
    by = release() if is_proved else failed()
    TemplateVersion.objects.filter(pk=version_id).update(proved_by=by)
    with _lock:
        found = _versions.get(version_id)
    if found is not None:
        found.is_proved = is_proved


def precompile(limit: int = CACHED_VERSIONS, *, proved: bool = False) -> int:
    """Compiles the current versions of active templates at start; returns the number of texts.

    proved: compile only versions that this release has proved; others might take very long.
    A version that can no longer be compiled is logged and skipped: the others must still be sent.
    """
    rows = TemplateVersion.objects.filter(
        pk__in=NotificationTemplate.objects.filter(is_active=True).values("current_version")
    )
    if proved:
        rows = rows.filter(proved_by=release())
    rows = rows.order_by("-pk")[:limit]
    count = 0
    for version in _readable(list(rows.values_list("pk", flat=True))):
        try:
            count += version.precompile()
        except TemplateFault as fault:
            log.error("template.broken", version=version.version_id, error=fault.detail)
        except Exception as error:
            log.error("template.broken", version=version.version_id, error=type(error).__name__)
    return count


def _readable(keys: Sequence[int]) -> list[CompiledVersion]:
    """Returns the versions that can be read; an unreadable row does not hide the others."""
    try:
        return list(versions_of(keys).values())
    except DatabaseError:
        raise
    except Exception as error:
        log.warning("templates.one-by-one", error=type(error).__name__)
    found: list[CompiledVersion] = []
    for key in keys:
        try:
            found += versions_of([key]).values()
        except DatabaseError:
            raise
        except Exception as error:
            log.error("template.unreadable", version=key, error=type(error).__name__)
    return found


def forget_versions() -> None:
    """Empties the cache. For tests: a rolled-back database issues the same keys again."""
    with _lock:
        _versions.clear()
