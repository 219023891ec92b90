"""The mail services of django-anymail: their names, accounts and webhooks, as data.

A stored account may name a service of this list, with the settings listed for it. Every other
setting of a backend comes from the environment only: it may name a host (`api_url`), code
(`idna_encoder`) or defaults of all mails (`send_defaults`).
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from anymail.backends.base_requests import AnymailRequestsBackend

_NAME = re.compile(r"[a-z_]{1,40}")
_SECRET = re.compile(r"[!-~]{1,2000}")
_WORD = re.compile(r"[A-Za-z0-9_-]{1,200}")
_DOMAIN = re.compile(r"[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")
_PLAIN = {"message_stream": _WORD, "project_id": _WORD, "region": _WORD, "sandbox_id": _WORD}
_PLAIN |= {"subaccount": _WORD, "sender_domain": _DOMAIN}
_NOT_BY_HTTP = frozenset({"amazon_ses", "test", "console"})


@dataclass(frozen=True, slots=True)
class MailService:
    """One mail service."""

    #: The settings that may be stored.
    account: tuple[str, ...]
    #: The class in anymail.webhooks that reads its callbacks; empty if it sends none.
    view: str = ""
    #: The settings that verify its signature; any one of them suffices.
    signed_by: tuple[str, ...] = ()
    #: Whether a password alone never verifies its callbacks.
    always_signs: bool = False


SERVICES: dict[str, MailService] = {
    "brevo": MailService(("api_key",), "brevo.BrevoTrackingWebhookView"),
    "mailersend": MailService(
        ("api_token", "signing_secret"),
        "mailersend.MailerSendTrackingWebhookView",
        ("signing_secret",),
        always_signs=True,
    ),
    "mailgun": MailService(
        ("api_key", "sender_domain", "webhook_signing_key"),
        "mailgun.MailgunTrackingWebhookView",
        ("webhook_signing_key", "api_key"),
        always_signs=True,
    ),
    "mailjet": MailService(("api_key", "secret_key"), "mailjet.MailjetTrackingWebhookView"),
    "mailtrap": MailService(
        ("api_token", "sandbox_id", "tracking_secret"),
        "mailtrap.MailtrapTrackingWebhookView",
        ("tracking_secret",),
    ),
    "mandrill": MailService(
        ("api_key", "webhook_key"),
        "mandrill.MandrillCombinedWebhookView",
        ("webhook_key",),
        always_signs=True,
    ),
    "postal": MailService(
        ("api_key", "webhook_key"),
        "postal.PostalTrackingWebhookView",
        ("webhook_key",),
        always_signs=True,
    ),
    "postmark": MailService(
        ("server_token", "message_stream"), "postmark.PostmarkTrackingWebhookView"
    ),
    "resend": MailService(
        ("api_key", "signing_secret"), "resend.ResendTrackingWebhookView", ("signing_secret",)
    ),
    "scaleway": MailService(("secret_key", "project_id", "region")),
    "sendgrid": MailService(
        ("api_key", "tracking_webhook_verification_key"),
        "sendgrid.SendGridTrackingWebhookView",
        ("tracking_webhook_verification_key",),
    ),
    "sparkpost": MailService(("api_key", "subaccount"), "sparkpost.SparkPostTrackingWebhookView"),
    "unisender_go": MailService(
        ("api_key",),
        "unisender_go.UnisenderGoTrackingWebhookView",
        ("api_key",),
        always_signs=True,
    ),
}


def service_name(backend: str) -> str:
    """Returns the service of CARILLON_ANYMAIL_BACKEND, a short name or a dotted path of anymail.

    Empty for a class of another library.
    """
    name = backend.removeprefix("anymail.backends.").removesuffix(".EmailBackend")
    return name if name in SERVICES else ""


def read_service(text: str) -> str:
    """Returns the name of a listed service (postmark, mailgun, sendgrid, ...), else ValueError."""
    if text not in SERVICES:
        raise ValueError
    return text


def read_account(service: str, text: str) -> dict[str, str]:
    """Reads a stored account of a service from JSON.

    Raises:
        ValueError: the JSON has other settings than the listed ones, or values that are no texts.
            The text says what to correct.
    """
    known = SERVICES[service].account
    rule = f"must be a JSON object of texts with {', '.join(known)}; others belong in the"
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{rule} environment") from error
    if not isinstance(given, dict) or not given.keys() <= set(known):
        raise ValueError(f"{rule} environment")
    for name, value in given.items():
        if not isinstance(value, str) or not _PLAIN.get(name, _SECRET).fullmatch(value):
            raise ValueError(f"contains an invalid {name}")
    return dict(given)


def with_environment(service: str, account: Mapping[str, Any], outer: str) -> str:
    """Merges a stored account with the environment's settings of the same service, as JSON.

    Hosts and switches come from the environment; credentials come from the stored account only.
    """
    given = json.loads(outer or "{}")
    own = set(SERVICES[service].account)
    return json.dumps({n: v for n, v in given.items() if n not in own} | dict(account))


def backend_class(name: str) -> type[AnymailRequestsBackend]:
    """Returns a service's backend class: of `postmark`, or of a dotted path (environment only).

    Raises:
        ImportError: no backend has that name.
        ValueError: it is not a backend class that sends by HTTP. It is never called then.
    """
    if name in _NOT_BY_HTTP or ("." not in name and not _NAME.fullmatch(name)):
        raise ValueError("not a service that sends by HTTP")
    path = name if "." in name else f"anymail.backends.{name}.EmailBackend"
    found = import_string(path)
    # Loaded here: most installations use no such service, and it imports another library.
    base = import_string("anymail.backends.base_requests.AnymailRequestsBackend")
    if not inspect.isclass(found) or not issubclass(found, base):
        raise ValueError("not a backend class that sends by HTTP")
    return cast("type[AnymailRequestsBackend]", found)
