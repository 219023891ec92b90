"""Pages that are opened by link: localised, without scripts, never cached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import translation

from notifications.domain.errors import InvalidRequest
from notifications.features.preferences.link_holders import LinkHolder
from notifications.features.preferences.unsubscribe import ONE_CLICK
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


def one_click(request: HttpRequest, end: Callable[..., object]) -> HttpResponse:
    """Responds to the one-click request of a mail program (RFC 8058)."""
    text, status = "unsubscribed", 200
    try:
        end(source=ONE_CLICK, ip=address_of_client(request))
    except InvalidRequest as error:
        text, status = error.detail, 400
    return HttpResponse(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")


def confirm_page(
    request: HttpRequest,
    confirm: Callable[..., bool],
    *,
    wording: str,
    holder: LinkHolder,
    language: str,
) -> HttpResponse:
    """Shows a consent and handles its button. wording: empty where the link is not valid."""
    done = request.method == "POST"
    is_valid = confirm(wording=wording, ip=address_of_client(request)) if done else bool(wording)
    if not is_valid:
        return page(request, "carillon/link_broken.html", {}, language=language, status=404)
    context: dict[str, object] = {"wording": wording, "done": done, "holder": holder}
    if done:
        context["languages"] = []  # a language link would show the form again
    return page(request, "carillon/confirm.html", context, language=language)
