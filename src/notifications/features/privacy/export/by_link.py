"""The export in the person's own centre: a link by mail, then the download.

A link to preferences may have been forwarded with its mail, so it opens no data. It only has a
fresh link sent to the verified email address; that one is valid for an hour, and for this address.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum

from django.db import transaction

from directory.models import ContactPoint, User
from directory.models.contact import ContactKind, ContactState
from notifications.domain.callers import SYSTEM
from notifications.domain.errors import NotFound
from notifications.features.privacy.export.service import download_export, request_export
from notifications.features.sending.service import NotificationService
from notifications.features.templates.system import ensure_system_template
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.links import LinkKind, address_mark, read_link, sign_link
from notifications.models import (
    AuditLeaf,
    AuditQueued,
    DataExport,
)
from notifications.models.audit.actions import record_change
from notifications.rendering.texts import export_texts

LINK_LIFETIME = timedelta(hours=1)
MAILS_A_DAY = 3
ACTOR = "link"
_SENT = "export.link_sent"
_DAY_MS = 86_400_000


class LinkRequest(StrEnum):
    """What became of a request for a link."""

    SENT = "sent"
    NO_ADDRESS = "no_address"
    TOO_MANY = "too_many"


def send_link(user: User) -> LinkRequest:
    """Sends a link to a person's data to their verified email address, a few times a day."""
    now = clock.now()
    with transaction.atomic():
        # Of two requests at once, the second one counts the first.
        User.objects.select_for_update().get(pk=user.pk)
        point = _verified_point(user.pk)
        if point is None or not _is_verified_by_person(user, point):
            return LinkRequest.NO_ADDRESS
        if _sent_lately(user):
            return LinkRequest.TOO_MANY
        ensure_system_template("security", export_texts.template_fields())
        token = sign_link(
            LinkKind.DATA,
            str(user.pk),
            address_mark(point.address),
            _proof_of(point),
            str(int((now + LINK_LIFETIME).timestamp())),
        )
        _send(user, point.written_to, f"{environment().public_url}/your-data/{token}")
        record_change(
            actor=ACTOR, action=_SENT, target=f"user:{user.pk}", at=now, subject_id=user.pk
        )
    return LinkRequest.SENT


def _verified_point(user_id: int) -> ContactPoint | None:
    return ContactPoint.objects.filter(
        user=user_id,
        kind=ContactKind.EMAIL,
        state=ContactState.ACTIVE,
        verified_at__isnull=False,
    ).first()


def _proof_of(point: ContactPoint) -> str:
    """Returns which proof of the address a link was made for: its time in ms."""
    return str(clock.epoch_ms(point.verified_at)) if point.verified_at else ""


def _is_verified_by_person(user: User, point: ContactPoint) -> bool:
    """Whether the person themselves confirmed the address, with a code, as the audit log says.

    A key with `users:write` may write an address of its own, and confirm it with a code or by a
    double opt-in. It must not get the data of the person by that. Without an entry there is no
    proof, also where the entry was deleted with its age.
    """
    if point.verified_at is None:
        return False
    found = {
        "subject_id": user.pk,
        "action": "address.verified",
        "actor": f"user:{user.pk}",
        "at_ms": clock.epoch_ms(point.verified_at),
    }
    return any(rows.objects.filter(**found).exists() for rows in (AuditLeaf, AuditQueued))


def holder_of(token: str) -> User | None:
    """Returns the person whose data a link opens.

    None for a forged or expired link, and where the address is no longer theirs, or was verified
    again since. So a link opens nothing once the address was replaced, even by the same one.
    """
    fields = read_link(LinkKind.DATA, token, 4)
    if fields is None:
        return None
    number, mark, proof, ends = fields
    if int(ends) <= clock.now().timestamp():
        return None
    point = _verified_point(int(number))
    if point is None or (address_mark(point.address), _proof_of(point)) != (mark, proof):
        return None
    return User.objects.filter(pk=int(number), is_active=True).first()


def newest_export(user: User) -> DataExport | None:
    """Returns the newest export that the person requested; None where there is none."""
    rows = DataExport.objects.filter(user_id=user.pk, own=True, expires_at__gt=clock.now())
    return rows.order_by("-pk").first()


def begin_export(user: User) -> DataExport:
    """Returns the person's export that is not over, created where there is none.

    Raises:
        Conflict: erasure_open.
    """
    return newest_export(user) or request_export(user, actor=ACTOR, own=True)


def download(user: User, form: str) -> Iterator[bytes]:
    """Returns the parts of a file, and records the download.

    Raises:
        NotFound (unknown_export), Conflict (export_not_ready).
    """
    export = newest_export(user)
    if export is None:
        raise NotFound("there is no export", code="unknown_export")
    return download_export(export, form, actor=ACTOR)


def _sent_lately(user: User) -> bool:
    """Whether so many links were sent within a day that no further one is."""
    since = clock.epoch_ms(clock.now()) - _DAY_MS
    found = {"subject_id": user.pk, "action": _SENT, "at_ms__gt": since}
    sent = sum(rows.objects.filter(**found).count() for rows in (AuditLeaf, AuditQueued))
    return sent >= MAILS_A_DAY


def _send(user: User, address: str, url: str) -> None:
    """Sends the mail to the address that was checked, whatever the person's address is later."""
    NotificationService().send(
        body={
            "template_path": export_texts.PATH,
            "to": {"email": address},
            "channel": "email",
            "priority": 1,
            "options": {"locale": user.locale},
            "context": {"data_url": url, "minutes": int(LINK_LIFETIME.total_seconds() // 60)},
            "expires_at": (clock.now() + LINK_LIFETIME).isoformat(),
        },
        caller=SYSTEM,
    )
