"""Confirming and leaving a list by a signed link. The token is the credential.

Programs open every link of a mail, so GET changes nothing. A mail program's POST (RFC 8058) has no
cookie, and leaves the list with one click.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.translation import gettext

from notifications.domain.errors import InvalidRequest
from notifications.features.lists.links import ListLink, ListLinks
from notifications.features.preferences.link_holders import LinkHolder
from notifications.features.preferences.undo import PAGE
from notifications.features.preferences.unsubscribe import ONE_CLICK
from notifications.web import preference_words as words
from notifications.web.public_page import address_of_client, language_of, page, preferences_link

_KEY = "list"


def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """Shows what the link asks for, and handles its button."""
    link = ListLinks().read_confirmation(token=token)
    holder = ListLinks().holder(link=link) if link else LinkHolder()
    language = language_of(request, holder.locale)
    with translation.override(language):
        wording = words.opt_in(link.name) if link else ""
    is_valid, done = link is not None, request.method == "POST"
    if done:
        ip = address_of_client(request)
        is_valid = ListLinks().confirm(token=token, wording=wording, ip=ip)
    if not is_valid:
        return page(request, "carillon/link_broken.html", {}, language=language, status=404)
    context = {"wording": wording, "done": done, "holder": holder}
    if done:
        context["languages"] = []  # a language link would show the form again
    return page(request, "carillon/confirm.html", context, language=language)


def leave(request: HttpRequest, token: str) -> HttpResponse:
    """Handles the page, its button, and the one-click request of mail programs."""
    if request.method == "POST" and "page" not in request.POST:
        return _one_click(request, token)
    link = ListLinks().read_leaving(token=token)
    if link is None:
        language = language_of(request)
        return page(request, "carillon/unsubscribe.html", {}, language=language, status=400)
    holder = ListLinks().holder(link=link)
    language = language_of(request, holder.locale)
    with translation.override(language):
        name = link.name or gettext("a list that does not exist any more")
        context = _context(request, token, link, name)
    context |= {"holder": holder, "preferences": preferences_link(holder, language)}
    return page(request, "carillon/unsubscribe.html", context, language=language)


def _context(request: HttpRequest, token: str, link: ListLink, name: str) -> dict[str, Any]:
    question = words.stop_question(_KEY, name)
    if request.method != "POST":
        return {"question": question}
    ip = address_of_client(request)
    changed = ListLinks().leave(token=token, source=PAGE, wording=question, ip=ip)
    return {
        "done": True,
        "category": _KEY,
        "topic": words.topic(_KEY, name),
        "changes": [gettext("You are no longer on the list “%(name)s”.") % {"name": name}]
        if changed
        else [],
        "languages": [],
    }


def _one_click(request: HttpRequest, token: str) -> HttpResponse:
    text, status = "unsubscribed", 200
    try:
        ListLinks().leave(token=token, source=ONE_CLICK, ip=address_of_client(request))
    except InvalidRequest as error:
        text, status = error.detail, 400
    return HttpResponse(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")
