"""`/confirm/<token>`: GET shows what somebody would agree to, POST agrees to it (double opt-in)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from notifications.features.preferences.double_opt_in import DoubleOptIn, Question
from notifications.features.preferences.link_holders import Holder
from notifications.web import preference_words as words
from notifications.web.public_page import address_of_client, language_of, page


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """The page and its button; the token is the credential. Scanners that GET agree to nothing."""
    question = DoubleOptIn().read(token=token)
    holder = DoubleOptIn().holder(question=question) if question else Holder()
    language = language_of(request, holder.locale)
    wording = _wording(question, language) if question else ""
    good, done = question is not None, request.method == "POST"
    if done:
        ip = address_of_client(request)
        good = DoubleOptIn().confirm(token=token, wording=wording, ip=ip)
    if not good:
        return page(request, "carillon/link_broken.html", {}, language=language, status=404)
    context = {"wording": wording, "done": done, "holder": holder}
    if done:
        context["languages"] = []  # another language would ask again
    return page(request, "carillon/confirm.html", context, language=language)


def _wording(question: Question, language: str) -> str:
    with translation.override(language):
        key = question.purpose.partition(":")[2]
        topic = words.category(key, question.topic) if question.topic else ""
        return words.opt_in(topic)
