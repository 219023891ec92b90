"""`/preview-images`: pictures of other hosts for previews of staff, where a setting allows them.

A preview is in a sandboxed frame, which sends no cookie: the link is signed, names the member of
staff, and ends soon. What comes back is a picture or nothing, and is stored nowhere.
"""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from notifications.domain.callers import Caller
from notifications.features.access.throttles import Throttled, count_call
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.http import pictures
from notifications.infra.links import read_picture_link
from notifications.infra.tracking.links import MAX_URL

PICTURES_A_MINUTE = 240
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Content-Disposition": "inline",
    # The origin of a sandboxed frame is none, so that every picture in it comes from another one.
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}


@require_safe
def picture(request: HttpRequest) -> HttpResponse:
    """Returns the picture of a signed link; else a sentence about why there is none.

    403: the link is not good. 429: too many. 502: the picture was refused, or did not come.
    """
    if not environment().console_images:
        raise Http404
    url, now = request.GET.get("url", ""), clock.now()
    user_id = read_picture_link(request.GET.get("token", ""), url, now=now)
    if user_id is None or len(url) > MAX_URL:
        return _refused("the link is not good any more: load the preview again", 403)
    try:
        caller = Caller(name=f"user:{user_id}", user_id=user_id, is_staff=True)
        count_call("preview-image", caller, most=PICTURES_A_MINUTE, now=now)
        found = pictures.fetch_picture(url)
    except Throttled as error:
        return _refused(error.detail, 429)
    except pictures.PictureRefused as error:
        return _refused(str(error), 502)
    return HttpResponse(found.body, content_type=found.kind, headers=_HEADERS)


def _refused(detail: str, status: int) -> HttpResponse:
    kind = "text/plain; charset=utf-8"
    return HttpResponse(detail, status=status, content_type=kind, headers=_HEADERS)
