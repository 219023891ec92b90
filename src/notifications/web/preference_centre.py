"""`/preferences/<token>` and `/preferences`: a user's preferences on one plain form.

By link, the token is the credential: no login, cookie or CSRF token is needed. By session, Django's
CSRF check applies. Both save through PreferenceService, like the API. The form has hidden fields
with the values that it showed. Saving therefore writes only what the user changed: a preference
that was changed elsewhere meanwhile, or that inherits, stays as it is.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.utils import formats, translation
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from directory.models import User
from notifications.domain.callers import Caller
from notifications.domain.channels import PERSON_CHANNELS
from notifications.domain.errors import InvalidRequest
from notifications.domain.preferences import DigestFrequency, switch_name
from notifications.features.preferences.centre import CentreState, PreferenceCentre, zone_names
from notifications.features.preferences.schemas import CONSENT
from notifications.features.preferences.service import PreferenceService
from notifications.features.preferences.unsubscribe import link_caller
from notifications.features.privacy.export.by_link import send_link
from notifications.infra import clock
from notifications.web import preference_words as words
from notifications.web.lists import choices as list_choices
from notifications.web.public_page import address_of_client, language_of, page

SOURCE = "preference_centre"
MUTE_HOURS = (1, 4, 8, 24, 72, 168)
_VALUES = ("quiet_hours_start", "quiet_hours_end", "timezone", "digest_frequency")
_GENERAL = ("notifications_enabled", "marketing_enabled", "tracking_enabled")


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def by_link(request: HttpRequest, token: str) -> HttpResponse:
    """Shows and saves the preferences of the user of a link."""
    user = PreferenceCentre().holder(token=token)
    if user is None:
        language = language_of(request)
        return page(request, "carillon/link_broken.html", {}, language=language, status=404)
    address = PreferenceCentre().masked_address_of(user=user, token=token)
    return _centre(request, user, link_caller(user.pk), address)


@require_http_methods(["GET", "HEAD", "POST"])
def by_session(request: HttpRequest) -> HttpResponse:
    """Shows and saves the preferences of the user who is logged in."""
    user = request.user
    if not isinstance(user, User) or not user.is_active:
        language = language_of(request)
        return page(request, "carillon/preferences_sign_in.html", {}, language=language)
    return _centre(request, user, Caller(name=f"user:{user.pk}", user_id=user.pk), user.email)


def _centre(request: HttpRequest, user: User, caller: Caller, address: str) -> HttpResponse:
    language = language_of(request, user.locale)
    by_token = caller.name == "link"
    errors: dict[str, str] = {}
    if request.method == "POST" and "your_data" in request.POST:
        result = send_link(user)
        return HttpResponseRedirect(f"{request.path}?data={result}&lang={language}#your-data")
    if request.method == "POST" and "lists" in request.POST:
        saved = list_choices.save(request, user, caller, language=language)
        return HttpResponseRedirect(f"{request.path}?lists={saved}&lang={language}#lists")
    if request.method == "POST":
        with translation.override(language):
            changes = changes_of(request.POST)
            wordings = {name: words.wording(name) for name in (CONSENT, "marketing_enabled")}
        try:
            PreferenceService().update(
                changes=changes,
                caller=caller,
                source=SOURCE,
                ip=address_of_client(request),
                wordings=wordings,
            )
            return HttpResponseRedirect(f"{request.path}?saved=1&lang={language}")
        except InvalidRequest as error:
            errors = {each.path.rpartition(".")[2]: each.detail for each in error.errors}
    state = PreferenceCentre().state(user=user)
    with translation.override(language):
        context = _context(request, state, errors) | {"by_link": by_token, "address": address}
    context["data_link"] = request.GET.get("data", "")
    context |= list_choices.context(request, user)
    status = 400 if errors else 200
    return page(
        request,
        "carillon/preferences.html",
        context,
        language=language,
        status=status,
        by_link=by_token,
    )


def changes_of(form: QueryDict) -> dict[str, Any]:
    """Returns the body of a change of preferences: what differs from what the form showed."""
    before = set(form.get("shown", "").split())
    overall: dict[str, Any] = {}
    categories: dict[str, dict[str, bool]] = {}
    ticked = {name for name in form if form[name] == "on"}
    for name in sorted(before ^ ticked):
        category, is_category, switch = name.partition(":")
        if is_category:
            categories.setdefault(category, {})[switch] = name in ticked
        else:
            overall[name] = name in ticked
    for name in _VALUES:
        value = form.get(name)
        if value is not None and value != form.get(f"shown_{name}"):
            overall[name] = value
    hours = form.get("mute", "")
    if hours == "0":
        overall["dnd_until"] = None
    elif hours in map(str, MUTE_HOURS):
        overall["dnd_until"] = (clock.now() + timedelta(hours=int(hours))).isoformat()
    return {"global": overall, "categories": categories}


def _context(request: HttpRequest, state: CentreState, errors: dict[str, str]) -> dict[str, Any]:
    """Returns the template's context. After an error, the form shows what the user entered."""
    form = request.POST if errors else None
    if form is not None:
        given = {name: form.get(name, str(getattr(state, name))) for name in _VALUES}
        state = replace(
            state,
            quiet_hours_start=given["quiet_hours_start"],
            quiet_hours_end=given["quiet_hours_end"],
            timezone=given["timezone"],
            digest_frequency=given["digest_frequency"],
        )
    ticked = set(form) if form is not None else _checked_boxes(state)
    return {
        "state": state,
        "errors": [(name, words.FIELDS.get(name, name)) for name in errors],
        "wrong": set(errors),
        "saved": "saved" in request.GET and form is None,
        "shown": form["shown"]
        if form and "shown" in form
        else " ".join(sorted(_checked_boxes(state))),
        "shown_values": [(f"shown_{name}", _shown_value(form, state, name)) for name in _VALUES],
        "general": [(name, words.wording(name), name in ticked) for name in (*_GENERAL, CONSENT)],
        "channels": [
            (switch_name(each), words.CHANNELS[each], switch_name(each) in ticked)
            for each in PERSON_CHANNELS
        ],
        "rows": [_row(each.key, each.name, ticked) for each in state.categories],
        "quiet": "quiet_hours_enabled" in ticked,
        "zones": zone_names(),
        "digests": [(each.value, words.DIGESTS[each]) for each in DigestFrequency],
        "mutes": [(str(hours), words.hours(hours)) for hours in MUTE_HOURS],
        "until": formats.date_format(state.dnd_until, "DATETIME_FORMAT") if state.dnd_until else "",
    }


def _shown_value(form: QueryDict | None, state: CentreState, name: str) -> str:
    before = form.get(f"shown_{name}") if form is not None else None
    return str(getattr(state, name)) if before is None else str(before)


def _checked_boxes(state: CentreState) -> set[str]:
    """Returns the names of the checkboxes that are checked."""
    general = {name for name, on in state.flags.items() if on}
    return general | {
        f"{category.key}:{switch}"
        for category in state.categories
        for switch, on in category.switches.items()
        if on
    }


def _row(
    key: str, name: str, ticked: set[str]
) -> tuple[str, str, list[tuple[str, str, str, bool]]]:
    shown = words.category(key, name)
    boxes = [(each, f"{key}:{switch_name(each)}") for each in PERSON_CHANNELS]
    cells = [
        (box, f"{shown}: {words.CHANNELS[each]}", str(words.CHANNELS[each]), box in ticked)
        for each, box in boxes
    ]
    return key, shown, cells
