"""`/confirm/<token>` (double opt-in): GET shows the consent, POST gives it."""

from __future__ import annotations

from functools import partial

from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from notifications.features.preferences.double_opt_in import ConsentRequest, DoubleOptIn
from notifications.features.preferences.link_holders import LinkHolder
from notifications.infra.links import LinkKind, has_kind
from notifications.web import preference_words as words
from notifications.web.lists import links as list_links
from notifications.web.public_page import confirm_page, language_of


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
    confirmed = partial(DoubleOptIn().confirm, token=token)
    return confirm_page(request, confirmed, wording=wording, holder=holder, language=language)


def _wording(consent: ConsentRequest, language: str) -> str:
    with translation.override(language):
        key = consent.purpose.partition(":")[2]
        topic = words.category(key, consent.topic) if consent.topic else ""
        return words.opt_in(topic)
