"""Forms that make something once for each page that was opened, however often they are sent."""

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

_LONGEST = 100


def new_token() -> str:
    """Returns the value of the hidden field `once` of a form."""
    return secrets.token_urlsafe(16)


def made_once(visit: Visit, route: str, body: Mapping[str, Any], work: Callable[[], str]) -> str:
    """Returns what `work` returned, for this form or for the same one that was sent before.

    What it returns is stored for the repetition, so it must be no secret.

    Raises:
        InvalidRequest: the form has no token.
    """
    token = visit.given("once", longest=_LONGEST)
    if not token:
        raise InvalidRequest([FieldError("once", "required", _("open the page again"))])
    claim = IdempotentRequest(
        principal=visit.caller.name,
        method="POST",
        route=route,
        key=token,
        body_hash=sha256(msgspec.json.encode(body)).hexdigest(),
    )
    found, _is_replay = respond_once(
        claim, now=clock.now(), work=lambda: StoredResponse(200, "text/plain", work().encode())
    )
    return found.body.decode()
