"""The settings of the mail service of django-anymail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from notifications.delivery.vendor_settings import Storable, VendorSettings, form
from notifications.delivery.vendors.anymail.services import (
    SERVICES,
    read_account,
    read_service,
    service_name,
    with_environment,
)
from notifications.domain.errors import FieldError
from notifications.domain.settings import json_object, setting, text


@dataclass(frozen=True, kw_only=True)
class Settings(VendorSettings):
    """`CARILLON_ANYMAIL_...`."""

    key: ClassVar[str] = "anymail"
    needs: ClassVar[tuple[str, ...]] = ("backend",)

    anymail_backend: str = setting(
        "",
        text,
        "The django-anymail backend: `postmark`, `mailgun`, `sendgrid`, ... or a dotted path.",
        store=Storable(read_service, f"one of {', '.join(SERVICES)}", ("settings",)),
    )
    anymail_settings: str = setting(
        "",
        json_object,
        'The backend\'s own settings as JSON, such as `{"server_token": "..."}`.',
        store=Storable(json.loads, "a JSON object"),
    )
    anymail_webhook_secret: str = setting(
        "",
        text,
        "`user:password` that the service sends with its callbacks (basic authentication).",
        store=Storable(form(r"[!-9;-~]{1,200}:[!-~]{1,200}"), "user:password"),
    )

    @classmethod
    def stored_faults(cls, texts: Mapping[str, str], outer: Any) -> list[FieldError]:
        if "settings" not in texts:
            return []
        service = texts.get("backend") or service_name(outer.anymail_backend)
        if not service:
            detail = "needs backend as well: the environment names no listed service"
            return [FieldError("settings.settings", "invalid_setting", detail)]
        try:
            read_account(service, texts["settings"])
        except ValueError as error:
            return [FieldError("settings.settings", "invalid_setting", str(error))]
        return []

    @classmethod
    def completed(cls, texts: Mapping[str, str], outer: Any) -> dict[str, str]:
        """Adds the environment's hosts, if the environment names the same service."""
        if "settings" not in texts:
            return dict(texts)
        own = service_name(outer.anymail_backend)
        service = texts.get("backend") or own
        given = outer.anymail_settings if service == own else ""
        account = read_account(service, texts["settings"])
        return {**texts, "settings": with_environment(service, account, given)}
