"""The settings of an SMTP server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from notifications.delivery.vendor_settings import Storable, VendorSettings, form
from notifications.domain.settings import integer, one_of, setting, text, words


@dataclass(frozen=True, kw_only=True)
class Settings(VendorSettings):
    """`CARILLON_SMTP_...`."""

    key: ClassVar[str] = "smtp"

    smtp_host: str = setting("127.0.0.1", text, "The SMTP server's host.")
    smtp_port: int = setting(25, integer(1, 65535), "The SMTP server's port.")
    smtp_user: str = setting(
        "",
        text,
        "The SMTP user name. Empty: no login.",
        store=Storable(form(r"[^\x00-\x1f\x7f]{1,200}"), "a user name", needs=("password",)),
    )
    smtp_password: str = setting(
        "",
        text,
        "The SMTP password.",
        store=Storable(form(r"[^\x00-\x1f\x7f]{1,500}"), "a password"),
    )
    smtp_tls: str = setting(
        "auto",
        one_of("auto", "none", "starttls", "tls"),
        "How SMTP is encrypted; auto uses STARTTLS if it is offered.",
    )
    smtp_dkim_keys: tuple[str, ...] = setting(
        (),
        words,
        "Keys that sign mails sent by SMTP, as domain:selector:path of a PEM file (RSA or Ed25519), separated by commas. A domain may have several.",
    )
    smtp_connections: int = setting(
        10,
        integer(1, 100),
        "The SMTP connections that a process keeps open.",
        store=Storable(form(r"[0-9]{1,3}"), "a whole number from 1 to 100"),
    )
