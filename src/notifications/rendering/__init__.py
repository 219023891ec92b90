"""Rendering: templates compiled in a sandbox, versions cached, words in the reader's language.

See docs/howto/write_a_template.md.
"""

from notifications.domain.errors import TemplateFault as NotificationTemplateError
from notifications.rendering.engine import CachedTemplateEngine, NotificationTemplateEngine
from notifications.rendering.paths import TemplateTrie
from notifications.rendering.personalization import PersonalizationService

__all__ = [
    "CachedTemplateEngine",
    "NotificationTemplateEngine",
    "NotificationTemplateError",
    "PersonalizationService",
    "TemplateTrie",
]
