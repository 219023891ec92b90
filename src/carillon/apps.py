"""The project as a Django app: every process that has Django has the Celery app with it."""

from __future__ import annotations

from django.apps import AppConfig

from carillon.celery import app


class CarillonConfig(AppConfig):
    """Makes the Celery app current, so that wake-ups and `.delay()` go to our broker."""

    name = "carillon"
    verbose_name = "Carillon"

    def ready(self) -> None:
        app.set_default()
