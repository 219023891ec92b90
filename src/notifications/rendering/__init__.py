"""Rendering: templates compiled in a sandbox, versions cached, words in the reader's language.

See docs/templates.md.
"""

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
