"""The project as a Django app: every process with Django has the Celery app."""

from __future__ import annotations

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in, user_login_failed

from carillon.celery import app
from carillon.serving.security_log import note_failed_login, note_login


class CarillonConfig(AppConfig):
    """Makes our Celery app the default, so that wake-ups and `.delay()` use our broker."""

    name = "carillon"
    verbose_name = "Carillon"

    def ready(self) -> None:
        app.set_default()
        user_logged_in.connect(note_login, dispatch_uid="carillon.security")
        user_login_failed.connect(note_failed_login, dispatch_uid="carillon.security")
