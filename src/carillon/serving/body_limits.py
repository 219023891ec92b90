"""Limits the length of request bodies: public paths accept only short ones."""

from __future__ import annotations

from notifications.api.route import Auth
from notifications.api.routes import ROUTES
from notifications.infra.conf import environment

PUBLIC_BODY_BYTES = 16_384
_FOR_STAFF = ("/admin/", "/console/")
_SIGN_IN = "/admin/login"
_OF_VENDORS = ("/api/v1/callbacks/", "/inbound/", "/sms/")
_VENDORS_PATHS = frozenset(each.path for each in ROUTES if each.of_vendor)
_PUBLIC_PATHS = frozenset(each.path for each in ROUTES if each.auth is Auth.PUBLIC)


def body_limit(path: str) -> int:
    """Returns the most bytes of a body at a path.

    A path without sign-in accepts 16 KB, unless a vendor calls it: vendors send many receipts in
    one request, of any length.
    """
    longest = environment().max_body_bytes
    place = path.rstrip("/")
    if place.startswith(_OF_VENDORS) or place in _VENDORS_PATHS:
        return longest
    if place.startswith("/api/") and place not in _PUBLIC_PATHS:
        return longest
    if path.startswith(_FOR_STAFF) and not place.startswith(_SIGN_IN):
        return longest
    return min(longest, PUBLIC_BODY_BYTES)
