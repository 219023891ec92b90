"""The addresses of broadcasts, campaigns, series and A/B tests."""

from __future__ import annotations

from django.urls import URLPattern

from console.casting import actions, broadcasts, composer, frames, recipients
from console.guard import console_path

_BOTH = ("GET", "HEAD", "POST")
_POST = ("POST",)
_BROADCAST = "console/broadcasts/<int:number>"
urlpatterns: list[URLPattern] = [
    console_path("console/broadcasts", broadcasts.broadcasts, name="console-broadcasts"),
    console_path(
        "console/broadcasts/new",
        composer.new_broadcast,
        name="console-broadcast-new",
        methods=_BOTH,
    ),
    console_path(
        "console/broadcasts/preview",
        frames.preview,
        name="console-broadcast-preview",
        methods=_POST,
    ),
    console_path(_BROADCAST, broadcasts.broadcast, name="console-broadcast"),
    console_path(
        f"{_BROADCAST}/edit", composer.edit_broadcast, name="console-broadcast-edit", methods=_BOTH
    ),
    console_path(f"{_BROADCAST}/dry-run", broadcasts.dry_run, name="console-broadcast-dry-run"),
    console_path(f"{_BROADCAST}/figures", broadcasts.figures, name="console-broadcast-figures"),
    console_path(
        f"{_BROADCAST}/recipients", recipients.recipients, name="console-broadcast-recipients"
    ),
    console_path(
        f"{_BROADCAST}/<str:action>",
        actions.broadcast_action,
        name="console-broadcast-action",
        methods=_POST,
    ),
]
