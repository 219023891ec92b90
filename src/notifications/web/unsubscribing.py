"""`/unsubscribe/<token>`: GET shows a question, POST unsubscribes, and the result has an undo.

Scanners open every link of a mail, so GET changes nothing. A mail program's POST (RFC 8058) has no
cookie and no CSRF token, and must not be redirected. The token alone is the proof: a site that
forges requests does not know it. A valid token always gets 200, any other 400.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.translation import gettext
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from notifications.domain.errors import InvalidRequest
from notifications.features.preferences.undo import PAGE, UndoResult
from notifications.features.preferences.unsubscribe import (
    UnsubscribeService,
    UnsubscribeTarget,
)
from notifications.infra.links import LinkKind, has_kind
from notifications.web import preference_words as words
from notifications.web.lists import links as list_links
from notifications.web.public_page import (
    address_of_client,
    language_of,
    one_click,
    page,
    preferences_link,
)


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Handles the page, its buttons, and the one-click request of mail programs.

    A token of a mailing list leaves that list alone.
    """
    if has_kind(token, LinkKind.LIST_LEAVE):
        return list_links.leave(request, token)
    if request.method == "POST" and "page" not in request.POST:
        return one_click(request, partial(UnsubscribeService().apply, token=token))
    target = UnsubscribeService().read(token=token)
    if target is None:
        return _broken_link(request)
    holder = UnsubscribeService().holder(target=target)
    language = language_of(request, holder.locale)
    try:
        with translation.override(language):
            if request.method != "POST":
                context = _question_context(target)
            elif "undo" in request.POST:
                context = _undo_context(request, token, target)
            else:
                context = _unsubscribe_context(request, token, target)
    except InvalidRequest:
        return _broken_link(request)
    if request.method == "POST":
        context["languages"] = []  # a language link would show the question again
    context |= {"holder": holder, "preferences": preferences_link(holder, language)}
    return page(request, "carillon/unsubscribe.html", context, language=language)


def _broken_link(request: HttpRequest) -> HttpResponse:
    language = language_of(request)
    return page(request, "carillon/unsubscribe.html", {}, language=language, status=400)


def _question_context(target: UnsubscribeTarget) -> dict[str, Any]:
    question = words.stop_question(target.category, target.name)
    return {"question": question, "one_category": bool(target.category)}


def _unsubscribe_context(
    request: HttpRequest, token: str, target: UnsubscribeTarget
) -> dict[str, Any]:
    everything = "everything" in request.POST
    category = "" if everything else target.category
    ended = UnsubscribeService().apply(
        token=token,
        source=PAGE,
        everything=everything,
        wording=words.stop_question(category, target.name),
        ip=address_of_client(request),
    )
    changes = words.list_changes(category, target.name, ended.flags) if ended.changed else []
    topic = words.topic(category, target.name)
    return {"done": True, "category": category, "topic": topic, "changes": changes, "ended": ended}


def _undo_context(request: HttpRequest, token: str, target: UnsubscribeTarget) -> dict[str, Any]:
    undone = UnsubscribeService().undo(
        token=token,
        undo=request.POST["undo"],
        wording=gettext("Undo"),
        ip=address_of_client(request),
    )
    return {"undone": str(undone), "is_back": undone is UndoResult.DONE}
