"""The settings of Firebase Cloud Messaging."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, ClassVar

from notifications.delivery.vendor_settings import Storable, VendorSettings
from notifications.domain.settings import setting, text, web_url
from notifications.domain.weights import read_weights

_GOOGLE_TOKENS = "https://oauth2.googleapis.com/token"


def _google_account(content: str) -> None:
    found = json.loads(content)
    if not isinstance(found, dict) or found.get("token_uri", _GOOGLE_TOKENS) != _GOOGLE_TOKENS:
        raise ValueError


@dataclass(frozen=True, kw_only=True)
class Settings(VendorSettings):
    """`CARILLON_FCM_...`."""

    key: ClassVar[str] = "fcm"
    needs: ClassVar[tuple[str, ...]] = ("credentials",)

    fcm_credentials: str = setting(
        "",
        text,
        "Path of the Firebase service account's JSON file.",
        store=Storable(
            _google_account, f"the content of a service account's JSON file, of {_GOOGLE_TOKENS}"
        ),
    )
    fcm_base_url: str = setting(
        "https://fcm.googleapis.com", web_url, "Where FCM HTTP v1 is reached."
    )

    @classmethod
    def start_faults(cls, given: Any) -> list[str]:
        if "fcm" not in read_weights(given.push_provider) or given.fcm_credentials:
            return []
        return [
            "CARILLON_FCM_CREDENTIALS is missing: if CARILLON_PUSH_PROVIDER names fcm, set it to the"
            " path of the service account's JSON file"
        ]
