"""Rendering: compiles templates in a sandbox, caches versions, formats values for a locale.

See docs/templates.md. The documented names are loaded on first use: render processes import parts
of this package and must not load Django (pool/process.py).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from notifications.domain.errors import TemplateFault as NotificationTemplateError
    from notifications.rendering.cached import CachedTemplateEngine
    from notifications.rendering.engine import NotificationTemplateEngine
    from notifications.rendering.paths import TemplateTrie
    from notifications.rendering.personalization import PersonalizationService

__all__ = [
    "CachedTemplateEngine",
    "NotificationTemplateEngine",
    "NotificationTemplateError",
    "PersonalizationService",
    "TemplateTrie",
]
_PLACES = {
    "CachedTemplateEngine": ("notifications.rendering.cached", "CachedTemplateEngine"),
    "NotificationTemplateEngine": ("notifications.rendering.engine", "NotificationTemplateEngine"),
    "NotificationTemplateError": ("notifications.domain.errors", "TemplateFault"),
    "PersonalizationService": (
        "notifications.rendering.personalization",
        "PersonalizationService",
    ),
    "TemplateTrie": ("notifications.rendering.paths", "TemplateTrie"),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _PLACES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
