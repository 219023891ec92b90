"""The account app of django-allauth, as this service uses it."""

from __future__ import annotations

from importlib import import_module

from allauth.account.apps import AccountConfig
from django.contrib import admin


class StaffAccountConfig(AccountConfig):  # type: ignore[misc]  # allauth has no types
    """Its middleware is inside of ours, which runs on the pages that need it: so no check of it."""

    def ready(self) -> None:
        import_module("allauth.account.checks")  # it registers itself
        import_module("notifications.features.signing_in.events").connect()  # it needs the models
        _hide_rows()


def _hide_rows() -> None:
    """Takes the tables of allauth out of the admin, which registered them before: no role reads
    second factors, and services change them."""
    hidden = ("account", "mfa", "socialaccount")
    for model in [each for each in admin.site._registry if each._meta.app_label in hidden]:
        admin.site.unregister(model)
