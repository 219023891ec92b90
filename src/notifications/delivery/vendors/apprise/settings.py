"""The settings of the chat services that Apprise supports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from notifications.delivery.vendor_settings import VendorSettings
from notifications.domain.settings import setting, words


@dataclass(frozen=True, kw_only=True)
class Settings(VendorSettings):
    """`CARILLON_APPRISE_...`."""

    key: ClassVar[str] = "apprise"

    apprise_hosts: tuple[str, ...] = setting(
        (".logic.azure.com", ".api.powerplatform.com", ".webhook.office.com", "ntfy.sh"),
        words,
        "Hosts that Apprise URLs may name; one that begins with a dot covers its subdomains. A name that leads to an address which is not public needs that address in the list, too. Services at a vendor's own address need none.",
    )
