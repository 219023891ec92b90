"""Builds previews of a template for an example user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifications.domain.errors import TemplateFault
from notifications.engine.content import example_links
from notifications.features.templates.report_schemas import PreviewItem, PushResponse, SmsResponse
from notifications.features.templates.schemas import PreviewBody
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.intake.fields import Fields
from notifications.models import NotificationTemplate
from notifications.rendering.personalization import service_context
from notifications.rendering.pool import wire


def preview_item(channel: str, locale: str, shown: wire.Previewed | TemplateFault) -> PreviewItem:
    """Returns one channel in one locale, rendered, or with the error that prevents it."""
    if isinstance(shown, TemplateFault):
        return PreviewItem(
            channel=channel, locale=locale, error_code=shown.code, error=shown.detail
        )
    return PreviewItem(
        channel=channel,
        locale=locale,
        title=shown.title,
        body=shown.body,
        html=shown.html,
        sms=SmsResponse(**shown.sms._asdict()) if shown.sms else None,
        push=PushResponse(**shown.push._asdict()) if shown.push else None,
    )


def read_preview(body: Mapping[str, Any], row: NotificationTemplate) -> dict[str, Any]:
    """Returns the context of a preview from the body of its request.

    Raises:
        InvalidRequest: the body is not one of a preview.
    """
    fields = Fields(body)
    fields.refuse_unknown(PreviewBody.__struct_fields__)
    given = fields.mapping("context")
    if not isinstance(given.get("user", {}), dict):
        fields.add_error("context.user", "wrong_type", "must be an object")
    fields.check_json("context", given)
    fields.raise_errors()
    return preview_context(row.example_context, given)


def preview_context(*givens: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the example context, overridden by the given ones; the last one wins."""
    context = example_context()
    for given in givens:
        user = {**context["user"], **given.get("user", {})}
        context = {**context, **given, "user": user}
    return context


def example_context() -> dict[str, Any]:
    """Returns an example user and the service's own variables."""
    now = clock.now()
    return {
        **service_context(at=now),
        "user": {
            "id": "1",
            "uuid": "00000000-0000-7000-8000-000000000001",
            "username": "alex",
            "email": "alex@example.com",
            "first_name": "Alex",
            "last_name": "Example",
            "full_name": "Alex Example",
            "locale": environment().locale,
            "timezone": environment().timezone,
            "avatar_url": "",
            "subscription_tier": "free",
            "join_date": now,
            "last_login": now,
            "role": "student",
        },
        **example_links(),
    }
