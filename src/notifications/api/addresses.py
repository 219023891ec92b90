"""Whose request it is, by its address."""

from __future__ import annotations

from django.http import HttpRequest

from notifications.conf import environment
from notifications.infra.client_address import client_address


def address_of(request: HttpRequest) -> str:
    """The client's address, as CARILLON_TRUSTED_PROXIES tell it."""
    return client_address(
        str(request.META.get("REMOTE_ADDR") or ""),
        request.META.get("HTTP_X_FORWARDED_FOR", ""),
        environment().trusted_proxies,
    )
