"""Confirming and leaving a list by a signed link. The token is the credential.

Programs open every link of a mail, so GET changes nothing. A mail program's POST (RFC 8058) has no
cookie, and leaves the list with one click.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.translation import gettext

from notifications.features.lists.links import ListLink, ListLinks
from notifications.features.preferences.link_holders import LinkHolder
from notifications.features.preferences.undo import PAGE
from notifications.web import preference_words as words
from notifications.web.public_page import (
    address_of_client,
    confirm_page,
    language_of,
    one_click,
    page,
    preferences_link,
)

_KEY = "list"


def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """Shows what the link asks for, and handles its button."""
    link = ListLinks().read_confirmation(token=token)
    holder = ListLinks().holder(link=link) if link else LinkHolder()
    language = language_of(request, holder.locale)
    with translation.override(language):
        wording = words.opt_in(link.name) if link else ""
    confirmed = partial(ListLinks().confirm, token=token)
    return confirm_page(request, confirmed, wording=wording, holder=holder, language=language)


def leave(request: HttpRequest, token: str) -> HttpResponse:
    """Handles the page, its button, and the one-click request of mail programs."""
    if request.method == "POST" and "page" not in request.POST:
        return one_click(request, partial(ListLinks().leave, token=token))
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
