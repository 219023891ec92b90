"""Pages that are opened by link: localised, without scripts, never cached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import translation

from notifications.features.preferences.link_holders import LinkHolder
from notifications.infra.conf import environment
from notifications.infra.http.client_address import address_of

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'"
)
LANGUAGES = tuple(settings.LANGUAGES)


def language_of(request: HttpRequest, locale: str = "") -> str:
    """Returns the page's language: that of `?lang=`, of the user, or of the browser."""
    known = [code for code, _ in LANGUAGES]
    persons = locale.replace("-", "_").partition("_")[0].lower()
    found = (request.GET.get("lang", ""), persons, translation.get_language() or "")
    return next((code for code in found if code in known), known[0])


def page(
    request: HttpRequest,
    template: str,
    context: Mapping[str, Any],
    *,
    language: str,
    status: int = 200,
    by_link: bool = True,
    indexed: bool = False,
) -> HttpResponse:
    """Renders a page in a language.

    by_link: its address is secret, so no Referer is sent. indexed: search engines may show it.
    """
    others = [
        (code, name, urlencode({"lang": code})) for code, name in LANGUAGES if code != language
    ]
    shared = {"language": language, "languages": others, "app_name": environment().app_name}
    with translation.override(language):
        text = render_to_string(template, {**shared, **context}, request=request)
    response = HttpResponse(text, status=status)
    response["Content-Language"] = language
    response["Content-Security-Policy"] = POLICY
    response["Cache-Control"] = "no-store"
    if not indexed:
        response["X-Robots-Tag"] = "noindex"
    response["X-Frame-Options"] = "DENY"
    if by_link:
        response["Referrer-Policy"] = "no-referrer"
    return response


def preferences_link(holder: LinkHolder, language: str) -> str:
    """Returns the URL of a user's preferences; without an address, the page needs a login."""
    return f"{holder.preferences or '/preferences'}?lang={language}"


def address_of_client(request: HttpRequest) -> str | None:
    """Returns the client's address for the ledger; None when it is unknown."""
    return address_of(request) or None
