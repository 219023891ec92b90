"""Preferences and consents."""

from __future__ import annotations

from notifications.api.addresses import address_of
from notifications.api.bodies import check_body
from notifications.api.pages import links, page_of
from notifications.api.route import ApiRequest
from notifications.api.whose import person_in_body, person_in_query
from notifications.features.preferences.centre import PreferenceCentre
from notifications.features.preferences.consents import ConsentService
from notifications.features.preferences.double_opt_in import DoubleOptIn, OptInAnswer, OptInBody
from notifications.features.preferences.schemas import (
    ConsentAnswer,
    ConsentBody,
    ConsentList,
    PreferencesAnswer,
    PreferencesLink,
    UnsubscribeAnswer,
)
from notifications.features.preferences.service import PreferenceService
from notifications.features.preferences.unsubscribe import ONE_CLICK, UnsubscribeService


def preferences(request: ApiRequest) -> PreferencesAnswer:
    return PreferenceService().get(caller=request.caller, identifier=person_in_query(request))


def change(request: ApiRequest) -> PreferencesAnswer:
    return PreferenceService().update(
        changes=request.body,
        caller=request.caller,
        identifier=person_in_query(request),
        ip=_ip(request),
    )


def link(request: ApiRequest) -> PreferencesLink:
    return PreferenceCentre().link(caller=request.caller, identifier=person_in_query(request))


def unsubscribe(request: ApiRequest) -> UnsubscribeAnswer:
    UnsubscribeService().follow(
        token=request.query["token"],
        source=ONE_CLICK,
        category=request.query["category"],
        ip=_ip(request),
    )
    return UnsubscribeAnswer()


def consents(request: ApiRequest) -> ConsentList:
    page = page_of(request)
    found = ConsentService().list(
        caller=request.caller,
        identifier=person_in_query(request),
        after=page.after,
        limit=page.fetch,
    )
    following, previous = links(request, page, [entry.id for entry in found])
    return ConsentList(results=found[: page.limit], next=following, previous=previous)


def consent(request: ApiRequest) -> ConsentAnswer:
    body = check_body(request.body, ConsentBody)
    service = ConsentService()
    return (service.give if body.granted else service.withdraw)(
        purpose=body.purpose,
        wording=body.wording,
        source=body.source,
        caller=request.caller,
        identifier=person_in_body(body),
        ip=_ip(request),
    )


def ask_for_consent(request: ApiRequest) -> OptInAnswer:
    body = check_body(request.body, OptInBody)
    return DoubleOptIn().ask(
        purpose=body.purpose, caller=request.caller, identifier=person_in_body(body)
    )


def _ip(request: ApiRequest) -> str | None:
    return address_of(request.http) or None
