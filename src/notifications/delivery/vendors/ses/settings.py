"""The settings of Amazon SES."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from notifications.delivery.vendor_settings import SECRET, Storable, VendorSettings, form
from notifications.domain.settings import optional_url, setting, text, words

_AWS = ("access_key_id", "secret_access_key")


@dataclass(frozen=True, kw_only=True)
class Settings(VendorSettings):
    """`CARILLON_SES_...`."""

    key: ClassVar[str] = "ses"

    ses_region: str = setting(
        "us-east-1",
        text,
        "The AWS region of SES.",
        store=Storable(
            form(r"[a-z]{2}(-[a-z]{2,12}){1,3}-[0-9]{1,2}"), "a region such as eu-west-1", _AWS
        ),
    )
    ses_access_key_id: str = setting(
        "",
        text,
        "The AWS key for SES. Empty: what AWS's own chain finds (environment, profile, role).",
        store=Storable(form(r"[A-Za-z0-9]{8,128}"), "an AWS key id", _AWS[1:], ("session_token",)),
    )
    ses_secret_access_key: str = setting(
        "", text, "The AWS key's secret.", store=Storable(SECRET, "a secret", _AWS[:1])
    )
    ses_session_token: str = setting(
        "",
        text,
        "The session token of temporary AWS credentials.",
        store=Storable(form(r"[!-~]{1,5000}"), "a session token", _AWS),
    )
    ses_configuration_set: str = setting(
        "",
        text,
        "The SES configuration set, whose event destination reports bounces and deliveries.",
        store=Storable(form(r"[A-Za-z0-9_-]{0,64}"), "letters, digits, - and _"),
    )
    ses_base_url: str = setting(
        "", optional_url, "Where SES v2 is reached. Empty: the region's own address."
    )
    ses_topics: tuple[str, ...] = setting(
        (), words, "The ARNs of the SNS topics that may report on mails sent by SES."
    )
