"""The lists in the preference centre: a form of its own, which saves only what differs."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils import translation

from directory.models import User
from notifications.domain.callers import Caller
from notifications.domain.identifiers import parse_key
from notifications.features.lists.choices import MOST_SHOWN, ListChoices
from notifications.features.lists.joining import JoinResult
from notifications.web import preference_words as words
from notifications.web.public_page import address_of_client

SOURCE = "preference_centre"
_NOT_ASKED = {JoinResult.NO_ADDRESS, JoinResult.THROTTLED}


def save(request: HttpRequest, user: User, caller: Caller, *, language: str) -> str:
    """Saves the form; returns `asked` where a mail asks to confirm, else `saved`.

    `not_asked`: no mail could ask to confirm one of the lists.
    """
    with translation.override(language):
        results = ListChoices().choose(
            user=user,
            caller=caller,
            before=_ids(request.POST.get("lists_shown", "").split()),
            wanted=_ids(request.POST.getlist("list")),
            source=SOURCE,
            wording=words.opt_in,
            ip=address_of_client(request),
        )
    if results & _NOT_ASKED:
        return "not_asked"
    return "asked" if JoinResult.PENDING in results else "saved"


def context(request: HttpRequest, user: User) -> dict[str, Any]:
    """Returns what the template shows of the lists."""
    shown = ListChoices().of(user=user)
    return {
        "lists": shown,
        "lists_shown": " ".join(str(each.id) for each in shown if each.is_on),
        "lists_saved": request.GET.get("lists", ""),
    }


def _ids(texts: list[str]) -> set[int]:
    return {key for text in texts[:MOST_SHOWN] if (key := parse_key(text))}
