"""`/unsubscribe/<token>`: GET shows what would end, POST ends it.

Scanners open every link of a mail, so GET changes nothing. A mail program's POST (RFC 8058) brings
no cookie and no CSRF token and wants no redirect: the token alone is the proof, which nobody who
could forge a request has. A token that was made here is always answered 200, any other 400.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from notifications.domain.errors import InvalidRequest
from notifications.services.unsubscribing import ONE_CLICK, PAGE, UnsubscribeService
from notifications.web.public_page import address_of_client, language_of, page

_TEMPLATE = "carillon/unsubscribe.html"


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """The page, its button, and the mail program's one click."""
    if request.method != "POST":
        return _page(request, token, done=False)
    from_page = "page" in request.POST
    said, status = "unsubscribed", 200
    try:
        UnsubscribeService().follow(
            token=token,
            source=PAGE if from_page else ONE_CLICK,
            everything="everything" in request.POST,
            ip=address_of_client(request),
        )
    except InvalidRequest as error:
        said, status = error.detail, 400
    if from_page:
        return _page(request, token, done=True)
    return HttpResponse(f"{said}\n", status=status, content_type="text/plain; charset=utf-8")


def _page(request: HttpRequest, token: str, *, done: bool) -> HttpResponse:
    ending = UnsubscribeService().read(token=token)
    context = {"ending": ending, "done": done, "everything": "everything" in request.POST}
    status = 200 if ending else 400
    return page(request, _TEMPLATE, context, language=language_of(request), status=status)
