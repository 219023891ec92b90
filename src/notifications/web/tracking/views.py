"""`/api/v1/track/open/<id>` and `/api/v1/track/click`: the pixel and the links of tracked mails.

Both answer at once, by the signature alone: neither reads nor waits for the database. A forged
pixel is a picture that is not counted. A forged link leads nowhere: the page says so.
"""

from __future__ import annotations

import re

from django.http import HttpRequest, HttpResponse, QueryDict
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from notifications.features.tracking.service import Requester, TrackingService
from notifications.infra.conf import environment
from notifications.infra.http.client_address import address_of, is_from_proxy
from notifications.web.public_page import language_of, page

PIXEL = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,"
    b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x01D\x00;"
)
"""A transparent picture of one pixel."""
_COUNTRY = re.compile(r"[A-Z]{2}")
_METHODS = ["GET", "HEAD"]
_HEADERS = {
    "Cache-Control": "no-store, private, max-age=0",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}


@csrf_exempt
@require_http_methods(_METHODS)
def open_pixel(request: HttpRequest, token: str) -> HttpResponse:
    """Returns the picture, whatever the token is; a genuine one counts."""
    TrackingService().open(token=token, by=_requester(request))
    # The picture may be shown by any page: a mail is one.
    headers = {**_HEADERS, "Cross-Origin-Resource-Policy": "cross-origin"}
    return HttpResponse(PIXEL, content_type="image/gif", headers=headers)


@csrf_exempt
@require_http_methods(_METHODS)
def click(request: HttpRequest) -> HttpResponse:
    """Leads to the URL of a link that was in a mail; 400 for any other."""
    target = TrackingService().click(query=_query(request), by=_requester(request))
    if target is None:
        language = language_of(request)
        return page(request, "carillon/link_broken.html", {}, language=language, status=400)
    # The URL is the one that was signed, unchanged but for letters that no header can carry.
    headers = {**_HEADERS, "Location": _in_ascii(target)}
    return HttpResponse(b"", status=302, headers=headers)


def _query(request: HttpRequest) -> dict[str, str]:
    """Returns each parameter once. One that is given twice is refused: which one was signed?"""
    try:
        given = QueryDict(request.META.get("QUERY_STRING", ""), encoding="utf-8")
    except (ValueError, UnicodeError):
        return {}
    return {name: values[0] for name, values in given.lists() if len(values) == 1}


def _in_ascii(url: str) -> str:
    return "".join(
        letter if letter.isascii() else "".join(f"%{byte:02X}" for byte in letter.encode())
        for letter in url
    )


def _requester(request: HttpRequest) -> Requester:
    return Requester(
        method=str(request.method),
        address=address_of(request),
        headers={name.lower(): value for name, value in request.headers.items()},
        country=_country(request),
    )


def _country(request: HttpRequest) -> str:
    """Returns the country that a trusted proxy names; another client's header says nothing."""
    header = environment().tracking_country_header
    if not header or not is_from_proxy(request):
        return ""
    given = request.headers.get(header, "").upper()
    return given if _COUNTRY.fullmatch(given) and given not in ("XX", "T1") else ""
