"""The mails to staff about their sign-in. They go out like every other message."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import structlog
from django.db import transaction

from directory.models import User
from directory.models.staff import StaffRole
from notifications.domain.callers import SYSTEM
from notifications.domain.errors import CarillonError
from notifications.features.sending.service import NotificationService
from notifications.features.templates.system import ensure_system_template
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.http.request_origin import current_origin
from notifications.rendering.texts import sign_in_texts as texts

log = structlog.get_logger("carillon.security")
_NOTICE_LASTS = timedelta(days=1)


def send_invitation(email: str, url: str, *, locale: str) -> None:
    """Sends the link of an invitation."""
    hours = environment().invitation_hours
    context = {"link_url": url, "hours": hours}
    _send(texts.INVITATION, email, locale, context, lasts=timedelta(hours=hours))


def send_reset(user: User, url: str) -> None:
    """Sends the link to a new password."""
    minutes = environment().reset_link_minutes
    context = {"link_url": url, "minutes": minutes}
    _send(texts.RESET, user.email, user.locale, context, lasts=timedelta(minutes=minutes))


def send_notice(user: User, event: str) -> None:
    """Reports an event of the sign-in to a person; without an address, to no one.

    A notice that cannot be queued is a security event and no error: an administrator must get in
    by an emergency account also where the address of another one is not valid.
    """
    if not user.email:
        return
    context = {
        "what": texts.event_text(event, user.locale),
        "at": clock.now().strftime("%Y-%m-%d %H:%M UTC"),
        "client": current_origin().ip or "-",
    }
    try:
        with transaction.atomic():
            _send(texts.NOTICE, user.email, user.locale, context, lasts=_NOTICE_LASTS)
    except CarillonError as error:
        log.warning("security.notice_failed", principal=f"user:{user.pk}", code=error.code)


def report_to_admins(event: str) -> None:
    """Reports an event to every active administrator."""
    for admin in User.objects.filter(staff_role=StaffRole.ADMIN, is_active=True).order_by("pk"):
        send_notice(admin, event)


def _send(
    path: str, email: str, locale: str, context: Mapping[str, Any], *, lasts: timedelta
) -> None:
    ensure_system_template("security", texts.template_fields(path))
    NotificationService().send(
        body={
            "template_path": path,
            "to": {"email": email},
            "channel": "email",
            "priority": 1,
            "options": {"locale": locale},
            "context": dict(context),
            "expires_at": (clock.now() + lasts).isoformat(),
        },
        caller=SYSTEM,
    )
