"""CallbackService: stores the callbacks of vendors. receipts/apply.py applies them later."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec
from django.db import transaction

from notifications.delivery.callbacks.base import IncomingCall, check_call
from notifications.delivery.registry import CALLBACKS, callback_reader
from notifications.domain.callers import Caller
from notifications.domain.errors import CarillonError, NotFound
from notifications.engine.shared_rows import refresh_accounts
from notifications.features.access.service import check_operator
from notifications.infra.crypto import body_hash
from notifications.infra.field_types import choice
from notifications.infra.http.client import HttpFault
from notifications.models import ProviderCallback

_STORED_HEADERS = frozenset(
    {"content-type", "authorization", "webhook-id", "webhook-timestamp", "webhook-signature"}
)


class CallbackUnverifiable(CarillonError):
    """The callback cannot be verified now: a required server does not respond. Send it again."""

    code = "callback_unverifiable"


CallbackState = Annotated[
    str,
    choice(
        "CallbackState",
        ProviderCallback.State.values,
        "What became of a callback. `nothing`: it is about no message. `unmatched`: its message was"
        " not found in time. `unreadable`: the vendor does not document its form.",
    ),
]


class CallbackResponse(msgspec.Struct, kw_only=True):
    """A callback was accepted."""

    duplicate: bool
    """Whether the same callback was accepted before."""


class StoredCallbackResponse(msgspec.Struct, kw_only=True):
    """A callback of a vendor, and what became of it."""

    id: int
    """The integer id of the callback. Example: `31`"""

    provider: str
    """The key of the provider. Example: `twilio`"""

    state: CallbackState

    result: str
    """What the callback changed; empty when it waits. Example: `delivered`"""

    tries: int
    """How often it was processed. Example: `1`"""

    received_at: datetime
    """When it arrived (RFC 3339)."""


class CallbackService:
    """Receives callbacks of vendors and lists them for operators."""

    def receive(
        self,
        *,
        provider: str,
        method: str,
        url: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
        now: datetime,
    ) -> CallbackResponse:
        """Checks a callback's signature and stores it, once. Header names are in lower case.

        Raises:
            NotFound: unknown_provider.
            CallbackRefused: the call is not the vendor's.
            CallbackUnverifiable: the vendor's certificate cannot be fetched now.
        """
        if provider not in CALLBACKS:
            known = ", ".join(CALLBACKS)
            raise NotFound(f"no callbacks of {provider!r}; known: {known}", code="unknown_provider")
        refresh_accounts()
        call = IncomingCall(method, url, query, headers, body)
        try:
            check_call(callback_reader(provider), call)
        except HttpFault as fault:
            raise CallbackUnverifiable from fault
        stored = IncomingCall(method, url, query, stored_headers(headers), body)
        digest = body_hash(url.encode() + b"\n" + body)
        with transaction.atomic():
            made = ProviderCallback.objects.store(
                provider=provider, digest=digest, call=stored.as_json(), at=now
            )
        return CallbackResponse(duplicate=not made)

    def stored(
        self, *, caller: Caller, provider: str = "", state: str = "", after: int = 0, limit: int
    ) -> list[StoredCallbackResponse]:
        """Returns callbacks by key, the oldest first."""
        check_operator(caller)
        rows = ProviderCallback.objects.filter(pk__gt=after)
        given = {"provider": provider, "state": state}
        rows = rows.filter(**{name: value for name, value in given.items() if value})
        return [
            StoredCallbackResponse(
                id=row.pk,
                provider=row.provider,
                state=row.state,
                result=row.result,
                tries=row.tries,
                received_at=row.received_at,
            )
            for row in rows.defer("call").order_by("pk")[:limit]
        ]


def stored_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Returns the headers that reading needs. Cookies and other headers are not stored."""
    return {
        name: value
        for name, value in headers.items()
        if name in _STORED_HEADERS or name.startswith("x-")
    }
