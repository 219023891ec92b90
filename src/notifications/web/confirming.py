"""`/confirm/<token>` (double opt-in): GET shows the consent, POST gives it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from notifications.features.preferences.double_opt_in import ConsentRequest, DoubleOptIn
from notifications.features.preferences.link_holders import LinkHolder
from notifications.infra.links import LinkKind, has_kind
from notifications.web import preference_words as words
from notifications.web.lists import links as list_links
from notifications.web.public_page import address_of_client, language_of, page


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """Shows the page and handles its button. The token is the credential. GET changes nothing."""
    if has_kind(token, LinkKind.LIST_CONFIRM):
        return list_links.confirm(request, token)
    consent = DoubleOptIn().read(token=token)
    holder = DoubleOptIn().holder(request=consent) if consent else LinkHolder()
    language = language_of(request, holder.locale)
    wording = _wording(consent, language) if consent else ""
    is_valid, done = consent is not None, request.method == "POST"
    if done:
        ip = address_of_client(request)
        is_valid = DoubleOptIn().confirm(token=token, wording=wording, ip=ip)
    if not is_valid:
        return page(request, "carillon/link_broken.html", {}, language=language, status=404)
    context = {"wording": wording, "done": done, "holder": holder}
    if done:
        context["languages"] = []  # a language link would show the form again
    return page(request, "carillon/confirm.html", context, language=language)


def _wording(consent: ConsentRequest, language: str) -> str:
    with translation.override(language):
        key = consent.purpose.partition(":")[2]
        topic = words.category(key, consent.topic) if consent.topic else ""
        return words.opt_in(topic)
