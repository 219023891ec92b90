"""The project: settings, URLs, the Celery app and the `carillon` command."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """Returns `celery_app` for `celery -A carillon`; no other process imports it."""
    if name in ("celery_app", "app"):
        from carillon.celery import app  # noqa: PLC0415 -- on request

        return app
    raise AttributeError(name)
