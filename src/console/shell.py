"""What all pages of the console share: navigation, messages and the policy of contents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _

from console.faults import is_changed, said
from console.guard import Visit, may_open
from console.navigation import groups_for
from notifications.domain.errors import CarillonError
from notifications.features.previews.pictures import pictured
from notifications.infra import clock
from notifications.infra.conf import environment

_POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
EDITOR_POLICY = _POLICY.replace("style-src 'self'", "style-src 'self' 'nonce-{nonce}'")
"""The policy of pages with an editor, whose script adds styles with the nonce."""


def framed(
    html: str, *, has_images: bool = True, viewer: int | None = None, status: int = 200
) -> HttpResponse:
    """Returns a page for the frame that shows what an author wrote: no script and no cookies.

    Of this host it loads static files alone: a tracking pixel would count the look as an opening.
    Where the setting allows it, a preview loads pictures of other hosts through this service.
    viewer: the id of the user who looks at a preview; None for what was sent to a person.
    """
    images = f"data: {environment().public_url}/static/" if has_images else "'none'"
    if has_images and viewer is not None:
        html, sources = pictured(html, viewer=viewer, now=clock.now())
        images = f"{images} {sources}".rstrip()
    response = HttpResponse(html, status=status)
    response["Content-Security-Policy"] = (
        "sandbox; default-src 'none'; style-src 'unsafe-inline';"
        f" img-src {images}; frame-ancestors 'self'"
    )
    response["Cache-Control"] = "no-store"
    response["X-Frame-Options"] = "SAMEORIGIN"
    return response


def page(
    visit: Visit,
    template: str,
    context: Mapping[str, Any],
    *,
    section: str,
    status: int = 200,
    policy: str = _POLICY,
) -> HttpResponse:
    """Renders a page with the navigation. section: the current entry; empty for none."""
    shared = {
        "section_groups": groups_for(visit, section),
        "staff": visit.user,
        "nonce": visit.nonce,
        "may_stop": may_open(visit, "console/stops"),
    }
    response = render(visit.request, f"console/{template}", {**shared, **context}, status=status)
    response["Content-Security-Policy"] = policy.format(nonce=visit.nonce)
    response["Cache-Control"] = "no-store"
    response["X-Frame-Options"] = "DENY"
    return response


def act(
    visit: Visit,
    work: Callable[[], str],
    *,
    back: str,
    back_if_refused: str = "",
    if_changed: Callable[[], HttpResponse] | None = None,
) -> HttpResponse:
    """Runs what a form asks for, then leads back to a page that shows the result.

    work: returns what was done, as a sentence, or nothing where the next page shows it itself. An
    error of the service is shown in its place.
    back_if_refused: the page for an error; `back` where it is empty.
    if_changed: returns the page for a form of something that another person changed meanwhile.
    """
    try:
        if done := work():
            messages.success(visit.request, done)
    except CarillonError as error:
        if if_changed is not None and is_changed(error):
            return if_changed()
        messages.error(visit.request, _("Not done: %(detail)s") % {"detail": said(error)})
        back = back_if_refused or back
    return HttpResponseRedirect(back)


def url_with(path: str, /, **query: object) -> str:
    """Returns a URL on this site with the fields of a query that are not empty."""
    given = {name: value for name, value in query.items() if value not in ("", None, 0)}
    return f"{path}?{urlencode(given)}" if given else path
