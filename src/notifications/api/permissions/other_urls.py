"""The URLs that are no routes of the API, and who may call them."""

from __future__ import annotations

from notifications.api.permissions.console_pages import CONSOLE_ROLES, CONSOLE_URLS
from notifications.api.sign_in.pages import ACCOUNT_URLS

OTHER_URLS: dict[str, str] = {
    "": "anyone: a landing page",
    "api/v1/track/open/<str:token>": "anyone: a picture; one with a signed link is counted",
    "api/v1/track/click": "anyone with the signed link of a mail, which leads to its URL alone",
    "carillon-sw.js": "anyone: a script for browsers",
    "demo": "anyone, without production mode: a page that shows the web component",
    "demo/token": "without production mode, callers of the same machine: a made-up student's token",
    "lists/<slug:slug>/archive": "anyone: what was sent to all of a public list",
    "lists/<slug:slug>/archive/<slug:issue>": "anyone: what was sent to all of a public list",
    "metrics": "anyone who reaches the port: counts, and no names",
    "outbox": "operators and admins; without production mode, callers of the same machine",
    "outbox/<int:number>/html": "the same",
    "preview-images": "anyone with the signed link, which only a preview of staff has",
    "preferences": "a signed-in user, for themselves",
    "preferences/<str:token>": "anyone with the signed link",
    "your-data/<str:token>": "anyone with the signed link, which only the verified address gets",
    "your-data/<str:token>/<str:form>": "the same",
    "confirm/<str:token>": "anyone with the signed link",
    "inbound/<str:provider>": "the vendor, by its signature",
    "sms/twilio": "Twilio, by its signature",
    "unsubscribe/<str:token>": "anyone with the signed link",
    "api/schema": "anyone: the OpenAPI document",
    "api/docs": "anyone: the page of the OpenAPI document",
    **ACCOUNT_URLS,
    **CONSOLE_URLS,
    "admin/login/": "anyone: it leads to the one sign-in page",
    "admin/password_change/": "the same",
    "admin/": "staff, by session; each list needs a role",
}
"""Other URLs, for which no scope counts, and who may call them."""

STAFF_PAGES: dict[str, frozenset[str]] = {
    "outbox": frozenset({"admin", "operator"}),
    "outbox/<int:number>/html": frozenset({"admin", "operator"}),
    **CONSOLE_ROLES,
    "admin/": frozenset({"admin", "operator", "author", "analyst"}),
}
"""The roles of staff that open a page of OTHER_URLS by their session; other pages need no role."""
