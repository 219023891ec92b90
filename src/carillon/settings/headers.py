"""The security headers of responses, for every part of the service that makes one.

The web server refuses some requests before Django sees them, and static files are sent ahead of the
other middleware. All of them take their headers from here. docs/security/headers.md explains them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

DOCS_PATH = "/api/docs"
_PAGE = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'self'"
)
# The page of drf-spectacular contains a style element, and Swagger UI sets styles itself.
_DOCS = f"{_PAGE}; style-src 'self' 'unsafe-inline'"
_DATA = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_HSTS = "max-age=31536000; includeSubDomains"
SHARED: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "accelerometer=(), camera=(), geolocation=(), microphone=(), payment=(), usb=()"
    ),
}
"""Headers with the same value on every response."""


def security_headers(path: str, *, https_only: bool) -> dict[str, str]:
    """Returns the headers of a response to a request for this path."""
    headers = {"Content-Security-Policy": _policy(path), **SHARED}
    if https_only:
        headers["Strict-Transport-Security"] = _HSTS
    return headers


def _policy(path: str) -> str:
    if path.rstrip("/") == DOCS_PATH:
        return _DOCS
    return _DATA if path.startswith("/api/") else _PAGE


class SettableHeaders(Protocol):
    """Headers of a response, of Django or of a static file."""

    def setdefault(self, name: str, value: str, /) -> object:
        """Sets a header that is not there yet."""


def add_missing(headers: SettableHeaders, path: str, *, https_only: bool) -> None:
    """Adds the security headers that a response does not have yet, and forbids to cache it."""
    for name, value in security_headers(path, https_only=https_only).items():
        headers.setdefault(name, value)
    headers.setdefault("Cache-Control", "no-store")
