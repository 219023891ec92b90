"""`/lists/<slug>/archive`: what was sent to a public list, for everyone.

A page shows the text of a broadcast, which names no person. No link in it is tracked. Search
engines may show these pages, because only public lists have any.
"""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from notifications.domain.identifiers import parse_identifier, parse_key
from notifications.features.lists.archive import ListArchive
from notifications.web.public_page import language_of, page

ISSUES = 20
"""The issues of one page."""


@require_safe
def archive(request: HttpRequest, slug: str) -> HttpResponse:
    """Shows the issues of a list, the newest first."""
    found = ListArchive().find(slug=slug)
    if found is None:
        return _missing(request)
    before = parse_key(request.GET.get("before", "")) or 0
    issues = ListArchive().issues(found=found, before=before, limit=ISSUES + 1)
    language = language_of(request)
    older = ""
    if len(issues) > ISSUES:
        older = urlencode({"before": issues[ISSUES - 1].pk, "lang": language})
    context = {"list": found, "issues": issues[:ISSUES], "older": older, "before": before}
    return _page(request, "carillon/list_archive.html", context, language)


@require_safe
def issue(request: HttpRequest, slug: str, issue: str) -> HttpResponse:
    """Shows one issue."""
    found, uuid = ListArchive().find(slug=slug), parse_identifier(issue)
    shown = None
    if found is not None and isinstance(uuid, UUID):
        shown = ListArchive().issue(found=found, uuid=uuid)
    if found is None or shown is None:
        return _missing(request)
    context: dict[str, object] = {"list": found, "issue": shown}
    return _page(request, "carillon/list_issue.html", context, language_of(request))


def _page(
    request: HttpRequest, template: str, context: dict[str, object], language: str
) -> HttpResponse:
    return page(request, template, context, language=language, by_link=False, indexed=True)


def _missing(request: HttpRequest) -> HttpResponse:
    """Responds alike for a list that does not exist, is private or has no archive."""
    language = language_of(request)
    return page(
        request, "carillon/list_missing.html", {}, language=language, status=404, by_link=False
    )
