"""Shows what a template would say, to an example person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifications.conf import environment
from notifications.domain.channels import Channel
from notifications.domain.errors import TemplateFault
from notifications.infra import clock
from notifications.rendering.push import push_fitted, push_length
from notifications.rendering.render import LINK_VARIABLES, CompiledVersion
from notifications.rendering.sms import sms_length
from notifications.services.template_answers import PreviewItem, PushAnswer, SmsAnswer


def preview_item(
    compiled: CompiledVersion, channel: str, locale: str, context: dict[str, Any]
) -> PreviewItem:
    """One channel in one locale, rendered, or the error that stands in the way."""
    try:
        shown = compiled.render(channel=channel, locale=locale, context=context, fit=False)
    except TemplateFault as fault:
        return PreviewItem(
            channel=channel, locale=locale, error_code=fault.code, error=fault.detail
        )
    length = SmsAnswer(**sms_length(shown.body)._asdict()) if channel == Channel.SMS else None
    title, body, push = shown.title, shown.body, None
    if channel == Channel.PUSH:
        push = PushAnswer(**push_length(title, body)._asdict())
        title, body = push_fitted(title, body)
    return PreviewItem(
        channel=channel,
        locale=locale,
        title=title,
        body=body,
        html=shown.html,
        sms=length,
        push=push,
    )


def preview_context(*givens: Mapping[str, Any]) -> dict[str, Any]:
    """The example's context with what is given, the later before the earlier."""
    context = example_context()
    for given in givens:
        user = {**context["user"], **given.get("user", {})}
        context = {**context, **given, "user": user}
    return context


def example_context() -> dict[str, Any]:
    """An example person and the service's own variables."""
    now = clock.now()
    return {
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
        "current_time": now,
        "app_name": environment().app_name,
        "app_url": environment().app_url,
        **{name: f"{environment().public_url}/{name}/example" for name in LINK_VARIABLES},
    }
