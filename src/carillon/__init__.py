"""The project: settings, doors' mounting, the Celery app and the `carillon` command."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """`celery -A carillon` looks for `celery_app` here; nobody else pays for its import."""
    if name in ("celery_app", "app"):
        from carillon.celery import app  # noqa: PLC0415 -- on request

        return app
    raise AttributeError(name)
