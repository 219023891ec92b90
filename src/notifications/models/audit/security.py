"""Security events: what a person watches for, as a stream of its own beside the audit log.

Every action that the audit log records under one of the nouns below is an event, when its
transaction has committed. So an action cannot be recorded without its event. See
docs/security/events.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import structlog
from django.db import transaction

from notifications.infra.http.request_origin import current_origin

log = structlog.get_logger("carillon.security")

EVENTS: Mapping[str, str] = {
    "security.refused": "a request or a record of one was refused, with its `code`",
    "security.signed_in": "somebody signed in with a password on a page",
    "security.sign_in_failed": "a sign-in failed. No name: people type passwords there",
    "security.action": "an action of the table below was committed",
    "security.break_glass": "the emergency account signed in although single sign-on is enforced",
    "security.refresh_reused": "a refresh token was used twice, and its family ended",
    "security.notice_failed": "a mail about a sign-in could not be queued, with its `code`",
    "security.audit_failed": "`carillon audit verify` found a row that was changed",
}
"""Every event, with its meaning."""
_OF_A_RIGHT = "staff_protected"

NOUNS: Mapping[str, str] = {
    "account": "a member of staff's own password, second factors and bindings to a provider",
    "admin": "administrators and their passwords, by the command line",
    "api-key": "API keys: issued, rotated, revoked",
    "audit.erasure": "an erasure of a person or an address",
    "export": "exports of a person's data: requested, downloaded, printed, sent as a link",
    "hold": "legal holds: placed, ended",
    "installation": "the restore of a backup",
    "kill-switch": "stops of sending: set, lifted",
    "preferences.bypassed": "a send past a person's preferences",
    "provider": "settings of providers: set, deleted, tested",
    "sign-in": "sign-ins of staff: begun, ended, a refresh token that was used twice",
    "staff": "members of staff: invited, joined, their roles",
    "staff-group": "groups of staff and their categories",
    "suppression": "an address that may be written to again",
    "token": "tokens that the command line issued",
    "tokens": "an end of all tokens of a person",
    "user.password": "a password that staff set in the admin",
    "webhook": "endpoints and their secrets",
}
"""Nouns of actions, and single actions, that are security events."""


def is_security_action(action: str) -> bool:
    """Whether an action of the audit log is a security event."""
    return action in NOUNS or action.partition(".")[0] in NOUNS


def note_security_action(*, actor: str, action: str, target: str) -> None:
    """Logs an action of these kinds once the current transaction has committed."""
    if is_security_action(action):
        client = current_origin().ip
        transaction.on_commit(
            partial(_log_action, principal=actor, action=action, target=target, client=client)
        )


def note_refused_records(actor: str, codes: Iterable[str]) -> None:
    """Logs that records of a call were refused for want of a right, although others were written.

    codes: those of all records that were not written.
    """
    count = sum(code == _OF_A_RIGHT for code in codes)
    if count:
        client = current_origin().ip
        log.warning(
            "security.refused", code=_OF_A_RIGHT, principal=actor, client=client, records=count
        )


def _log_action(*, principal: str, action: str, target: str, client: str) -> None:
    log.info("security.action", principal=principal, action=action, target=target, client=client)
