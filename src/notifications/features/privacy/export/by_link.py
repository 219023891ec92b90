"""The export in the person's own centre: a link by mail, then the download.

A link to preferences may have been forwarded with its mail, so it opens no data. It only has a
fresh link sent to the verified email address; that one is valid for an hour, and for this address.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum

from django.db import IntegrityError, transaction

from directory.models import ContactPoint, User
from directory.models.contact import ContactKind, ContactState
from notifications.domain.callers import SYSTEM
from notifications.domain.errors import Conflict, NotFound
from notifications.features.preferences.link_holders import find_point
from notifications.features.privacy.export.service import download_export, request_export
from notifications.features.sending.service import NotificationService
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.links import LinkKind, address_mark, read_link, sign_link
from notifications.models import (
    AuditLeaf,
    AuditQueued,
    Category,
    DataExport,
    NotificationTemplate,
)
from notifications.models.audit.actions import record_change
from notifications.rendering.texts import export_texts

LINK_LIFETIME = timedelta(hours=1)
MAILS_A_DAY = 3
ACTOR = "link"
_DAY_S = 86_400


class LinkRequest(StrEnum):
    """What became of a request for a link."""

    SENT = "sent"
    NO_ADDRESS = "no_address"
    TOO_MANY = "too_many"


def send_link(user: User) -> LinkRequest:
    """Sends a link to a person's data to their verified email address, a few times a day."""
    point = ContactPoint.objects.filter(
        user=user, kind=ContactKind.EMAIL, state=ContactState.ACTIVE, verified_at__isnull=False
    ).first()
    if point is None or not _is_verified_by_person(user, point):
        return LinkRequest.NO_ADDRESS
    now = clock.now()
    with transaction.atomic():
        # Of two requests at once, the second one counts the first.
        User.objects.select_for_update().get(pk=user.pk)
        if _sent_lately(user):
            return LinkRequest.TOO_MANY
        _ensure_template()
        token = sign_link(
            LinkKind.DATA,
            str(user.pk),
            address_mark(point.address),
            str(int((now + LINK_LIFETIME).timestamp())),
        )
        _send(user, f"{environment().public_url}/your-data/{token}")
        record_change(
            actor=ACTOR,
            action="export.link_sent",
            target=f"user:{user.pk}",
            at=now,
            subject_id=user.pk,
        )
    return LinkRequest.SENT


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

    None for a forged or expired link, and where the address is no longer theirs.
    """
    fields = read_link(LinkKind.DATA, token, 3)
    if fields is None or int(fields[2]) <= clock.now().timestamp():
        return None
    user = User.objects.filter(pk=int(fields[0]), is_active=True).first()
    return user if user is not None and find_point(user.pk, fields[1]) is not None else None


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
    since = clock.now() - timedelta(seconds=_DAY_S)
    rows = user.notifications.filter(
        template_version__template__path=export_texts.PATH, created_at__gt=since
    )
    return rows.count() >= MAILS_A_DAY


def _send(user: User, url: str) -> None:
    NotificationService().send(
        body={
            "template_path": export_texts.PATH,
            "user_id": user.pk,
            "channel": "email",
            "priority": 1,
            "context": {"data_url": url, "minutes": int(LINK_LIFETIME.total_seconds() // 60)},
            "expires_at": (clock.now() + LINK_LIFETIME).isoformat(),
        },
        caller=SYSTEM,
    )


def _ensure_template() -> None:
    """Creates and publishes the template of the mail when it is missing."""
    rows = NotificationTemplate.objects.filter(path=export_texts.PATH)
    if rows.filter(current_version__isnull=False).exists():
        return
    category = Category.objects.filter(key="security").first()
    if category is None:
        raise Conflict("the category security is missing: run `carillon migrate`")
    try:
        with transaction.atomic():
            made = rows.first() or NotificationTemplate(
                category=category, **export_texts.template_fields()
            )
            made.save()
            made.publish()
    except IntegrityError:  # another process created it at the same time
        rows.get(current_version__isnull=False)
