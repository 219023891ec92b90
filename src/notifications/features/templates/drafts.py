"""Shows what an author is writing, before it is saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifications.domain.callers import Caller
from notifications.domain.errors import NotFound
from notifications.features.access.limits import check_category
from notifications.features.templates.body import read_body
from notifications.features.templates.preview import preview_context, preview_item
from notifications.features.templates.report_schemas import PreviewItem
from notifications.features.templates.review import AMBIENT_VARIABLES
from notifications.features.templates.rows import check_reader, compiled_draft, find_template
from notifications.features.templates.trials import previews
from notifications.intake.fields import Fields
from notifications.rendering.language.filters import FILTERS
from notifications.rendering.render import USER_FACTS

NO_TEXT = "channel_not_in_template"
NAMES_OF_FILTERS = tuple(sorted(FILTERS))
"""The filters that a text may use."""
NAMES_OF_VARIABLES = tuple(
    sorted({*(f"user.{name}" for name in USER_FACTS), *(AMBIENT_VARIABLES - {"user"})})
)
"""The variables that every text may read."""


class DraftService:
    """Renders one channel of a draft in one locale."""

    def show(
        self,
        *,
        identifier: object,
        channel: str,
        locale: str,
        caller: Caller,
        changes: Mapping[str, Any] | None = None,
    ) -> PreviewItem:
        """Renders a draft with its example; an error replaces a text that fails.

        changes: fields of the draft as they are being written; nothing is saved.

        Raises:
            NotFound: unknown_template; channel_not_in_template.
            InvalidRequest: the changes cannot be saved either.
            Refused: category_not_allowed.
            RenderingBusy: no render process was free in time.
        """
        check_reader(caller)
        row = find_template(identifier)
        check_category(caller, row.category_id)
        fields = Fields(changes or {})
        for name, value in read_body(fields, creating=False).items():
            setattr(row, name, value)
        fields.raise_errors()
        compiled = compiled_draft(row)
        named = locale.replace("-", "_").lower()
        known = next((each for each in compiled.locales if each.lower() == named), None)
        if channel not in compiled.channels or known is None:
            detail = f"{row.path} has no text for {channel} in {locale}"
            raise NotFound(detail, code=NO_TEXT)
        context = preview_context(row.example_context)
        (shown,) = previews(compiled, context, principal=caller.name, only=(channel, known))
        return preview_item(*shown)
