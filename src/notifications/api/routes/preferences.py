"""Preferences and consents."""

from __future__ import annotations

from notifications.api import preferences
from notifications.api.pages import PAGE_QUERY
from notifications.api.route import Auth, Query, Route
from notifications.api.whose import WHOSE
from notifications.features.preferences.consents import READ, WRITE
from notifications.features.preferences.double_opt_in import OptInAnswer, OptInBody
from notifications.features.preferences.schemas import (
    ConsentAnswer,
    ConsentBody,
    ConsentList,
    PreferencesAnswer,
    PreferencesBody,
    PreferencesLink,
    UnsubscribeAnswer,
)

LONGEST_TOKEN = 50_000
"""A token of any length that a server takes is read, and told if it is none."""

ROUTES: tuple[Route, ...] = (
    Route(
        name="get_preferences",
        method="GET",
        path="/api/v1/preferences",
        handler=preferences.preferences,
        summary="What a person wishes to hear, when and on which channels.",
        service_scope=READ,
        query=WHOSE,
        answers={200: PreferencesAnswer},
        errors=(403, 404),
    ),
    Route(
        name="change_preferences",
        method="PUT",
        path="/api/v1/preferences",
        handler=preferences.change,
        summary="Change some of a person's preferences; what is left out stays as it is.",
        service_scope=WRITE,
        query=WHOSE,
        body=PreferencesBody,
        answers={200: PreferencesAnswer},
        errors=(403, 404),
    ),
    Route(
        name="link_to_preferences",
        method="GET",
        path="/api/v1/preferences/link",
        handler=preferences.link,
        summary="A link to a person's preference centre that needs no login, good for an hour.",
        service_scope=WRITE,
        query=WHOSE,
        answers={200: PreferencesLink},
        errors=(403, 404),
    ),
    Route(
        name="unsubscribe",
        method="POST",
        path="/api/v1/preferences/unsubscribe",
        handler=preferences.unsubscribe,
        summary="End what a signed link ends; a token that was made here is always 200 (RFC 8058).",
        auth=Auth.PUBLIC,
        query=(
            Query(name="token", about="The token of a link to unsubscribe.", longest=LONGEST_TOKEN),
            Query(name="category", about="Another category of the same person to end instead."),
        ),
        answers={200: UnsubscribeAnswer},
    ),
    Route(
        name="list_consents",
        method="GET",
        path="/api/v1/consents",
        handler=preferences.consents,
        summary="What a person agreed to and took back, the oldest first.",
        service_scope=READ,
        query=(*WHOSE, *PAGE_QUERY),
        answers={200: ConsentList},
        errors=(403, 404),
    ),
    Route(
        name="record_consent",
        method="POST",
        path="/api/v1/consents",
        handler=preferences.consent,
        summary="Write down that a person agrees to something, or takes it back.",
        service_scope=WRITE,
        body=ConsentBody,
        answers={201: ConsentAnswer},
        errors=(403, 404),
        idempotent=True,
    ),
    Route(
        name="ask_for_consent",
        method="POST",
        path="/api/v1/consents/requests",
        handler=preferences.ask_for_consent,
        summary="Ask by mail for a consent that counts once it was confirmed (double opt-in).",
        service_scope=WRITE,
        body=OptInBody,
        answers={201: OptInAnswer},
        errors=(403, 404, 409),
        idempotent=True,
    ),
)
