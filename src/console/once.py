"""What a form makes once, however often it is sent."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import msgspec
from django.utils.translation import gettext as _

from console.guard import Visit
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.features.access.idempotency import (
    IdempotentRequest,
    StoredResponse,
    respond_once,
)
from notifications.infra import clock

_LONGEST_TOKEN = 100


def new_token() -> str:
    """Returns the token of a form that is opened: the field `once` of the form."""
    return secrets.token_urlsafe(16)


def run_once(visit: Visit, route: str, body: Mapping[str, Any], work: Callable[[], str]) -> str:
    """Returns the result of `work`; that of the first time where the form was sent before.

    Raises:
        InvalidRequest: the form has no token.
        Conflict: the same form was sent with another body, or is in progress.
    """
    token = visit.given("once", longest=_LONGEST_TOKEN)
    if not token:
        raise InvalidRequest([FieldError("once", "required", _("open the page again"))])
    claim = IdempotentRequest(
        principal=visit.caller.name,
        method="POST",
        route=route,
        key=token,
        body_hash=sha256(msgspec.json.encode(body)).hexdigest(),
    )
    found, _replayed = respond_once(
        claim,
        now=clock.now(),
        work=lambda: StoredResponse(200, "text/plain", work().encode()),
    )
    return found.body.decode()
