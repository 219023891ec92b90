"""The sections of an export about records: consents, audit entries, tokens, sessions, erasures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.db.models import Q

from directory.models import User
from notifications.features.audit.queries import entry_response
from notifications.features.privacy.export.paging import (
    ExportedPerson,
    ExportPage,
    by_key,
    columns,
    walked,
)
from notifications.models import (
    ApiKey,
    AuditLeaf,
    ConsentRecord,
    Erasure,
    IdempotencyKey,
    PersonToken,
    SignIn,
)

_CONSENT = "id purpose granted wording source actor ip at"


def consents(person: ExportedPerson, after: str) -> ExportPage:
    rows = ConsentRecord.objects.filter(user_id=person.user.pk)
    return by_key(rows, after, lambda row: columns(row, _CONSENT))


def audit_entries(person: ExportedPerson, after: str) -> ExportPage:
    """Entries about the person. Addresses of other people who acted are left out."""
    rows = AuditLeaf.objects.filter(subject_id=person.user.pk)

    def item(row: AuditLeaf) -> dict[str, Any]:
        found = entry_response(row)
        theirs = found.actor in (f"user:{person.user.pk}", "link")
        shown = {
            name: getattr(found, name)
            for name in ("id", "at", "actor", "action", "target", "reason", "before", "after")
        }
        return {
            **shown,
            "ip": found.ip if theirs else None,
            "user_agent": found.user_agent if theirs else None,
        }

    return by_key(rows, after, item, key="number")


def tokens(person: ExportedPerson, after: str) -> ExportPage:
    """What the person signs in with; hashes are left out."""
    rows = PersonToken.objects.filter(user=person.user)
    return by_key(rows, after, lambda row: columns(row, "id created_at"))


def sign_ins(person: ExportedPerson, after: str) -> ExportPage:
    """Sessions and families of tokens; their keys are left out."""
    rows = SignIn.objects.filter(user=person.user)
    names = "id kind method second_factor address agent created_at seen_at expires_at"
    return by_key(rows, after, lambda row: columns(row, names))


def api_keys(person: ExportedPerson, after: str) -> ExportPage:
    rows = ApiKey.objects.filter(owner=person.user)
    names = "name prefix previous_prefix kind scopes addresses created_at last_used_at revoked_at"
    return by_key(rows, after, lambda row: columns(row, names))


def sessions(person: ExportedPerson, after: str) -> ExportPage:
    """When each session ends; its key is left out."""

    def items(row: Session) -> Iterable[dict[str, Any]]:
        if is_session_of(row, person.user.pk):
            yield columns(row, "expire_date")

    return walked(Session.objects.all(), after, items)


def is_session_of(row: Session, user_id: int) -> bool:
    """Whether a user is signed in by a session."""
    return str(row.get_decoded().get(SESSION_KEY, "")) == str(user_id)


def repeated_calls(person: ExportedPerson, after: str) -> ExportPage:
    """The calls that the person made with an Idempotency-Key, with their stored responses."""
    rows = IdempotencyKey.objects.filter(principal=f"user:{person.user.pk}")
    names = "method route key status_code answer created_at"
    return by_key(rows, after, lambda row: columns(row, names))


def admin_log(person: ExportedPerson, after: str) -> ExportPage:
    """What the person did in the admin, and what was done there to their row."""
    about = Q(
        content_type__app_label="directory",
        content_type__model=User._meta.model_name,
        object_id=str(person.user.pk),
    )
    rows = LogEntry.objects.filter(about | Q(user_id=person.user.pk))
    names = "action_time action_flag object_repr change_message"
    return by_key(rows, after, lambda row: columns(row, names))


def erasures(person: ExportedPerson, after: str) -> ExportPage:
    rows = Erasure.objects.filter(user_id=person.user.pk)
    return by_key(rows, after, lambda row: columns(row, "uuid reason state requested_at"))
