"""CachedTemplateEngine: an engine that caches rendered texts."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from asgiref.sync import sync_to_async

from notifications.rendering.engine import NotificationTemplateEngine, compiled_text
from notifications.rendering.versions import precompile


class CachedTemplateEngine(NotificationTemplateEngine):
    """Renders texts and caches them by template and context.

    A text that reads the clock (`time_ago`) is rendered again each time.
    """

    def __init__(self, *, maxsize: int = 10_000) -> None:
        self._rendered: OrderedDict[tuple[str, bytes], str] = OrderedDict()
        self._maxsize = maxsize

    async def render_template_cached(
        self, template_id: str, template_content: str, context: Mapping[str, Any]
    ) -> str:
        """Returns the rendered text, cached by template_id, content and context."""
        if compiled_text(template_content).reads_clock:
            return self.render_template(template_content, context)
        key = (str(template_id), _digest(template_content, context))
        found = self._rendered.get(key)
        if found is not None:
            self._rendered.move_to_end(key)
            return found
        text = self.render_template(template_content, context)
        self._rendered[key] = text
        if len(self._rendered) > self._maxsize:
            self._rendered.popitem(last=False)
        return text

    async def precompile_templates(self) -> int:
        """Compiles the texts of every active, published template; returns their number."""
        return await sync_to_async(precompile)()


def _digest(content: str, context: Mapping[str, Any]) -> bytes:
    text = json.dumps(context, sort_keys=True, default=repr)
    return hashlib.blake2b(f"{content}\0{text}".encode()).digest()
