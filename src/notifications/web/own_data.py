"""`/your-data/<token>`: prepares and downloads what is stored about a person.

The link comes by mail to the person's verified address, and is valid for an hour.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.http.response import StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from directory.models import User
from notifications.domain.errors import CarillonError, Conflict
from notifications.features.privacy.export.by_link import (
    begin_export,
    download,
    holder_of,
    newest_export,
)
from notifications.features.privacy.export.writing import MEDIA
from notifications.web.public_page import language_of, page


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def by_link(request: HttpRequest, token: str) -> HttpResponse:
    """Shows how far the export is; the button begins one. The token is the credential."""
    user = holder_of(token)
    if user is None:
        return _broken(request)
    language = language_of(request, user.locale)
    is_erased = False
    if request.method == "POST":
        try:
            begin_export(user)
        except Conflict:
            is_erased = True
        else:
            return HttpResponseRedirect(f"{request.path}?lang={language}")
    export = newest_export(user)
    context = {"export": export, "is_erased": is_erased, "token": token}
    return page(request, "carillon/own_data.html", context, language=language)


@require_http_methods(["GET"])
def file_by_link(request: HttpRequest, token: str, form: str) -> HttpResponseBase:
    """Returns a file of the export."""
    user = holder_of(token)
    if user is None or form not in MEDIA:
        return _broken(request)
    return _file(request, user, form)


def _file(request: HttpRequest, user: User, form: str) -> HttpResponseBase:
    try:
        parts = download(user, form)
    except CarillonError:
        return _broken(request)
    return StreamingHttpResponse(
        parts,
        content_type=f"{MEDIA[form]}; charset=utf-8",
        headers={
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="personal-data.{form}"',
            "Referrer-Policy": "no-referrer",
            "X-Robots-Tag": "noindex",
        },
    )


def _broken(request: HttpRequest) -> HttpResponse:
    language = language_of(request)
    return page(request, "carillon/link_broken.html", {}, language=language, status=404)
