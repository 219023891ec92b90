"""SecureAuditLogger, with its documented methods. Entries go to the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import structlog

from directory.models import User
from notifications.infra import clock
from notifications.infra.http.request_origin import current_origin, request_from
from notifications.models import NotificationMessage
from notifications.models.audit.entries import NewEntry, write_entry

log = structlog.get_logger("notifications.audit")


class Sender(Protocol):
    """Who requested a send. `last_ip` and `last_user_agent` are read where they exist."""

    id: Any


class SecureAuditLogger:
    """Writes entries of the audit log for sends and preference changes, in the caller's
    transaction. Details are sealed; the log line has ids only."""

    def log_notification_sent(
        self, notification: NotificationMessage, result: Mapping[str, Any], request_user: Sender
    ) -> None:
        """Records that a person sent a message.

        result: what the send returned; `success` and `error_code` are recorded.
        """
        template = notification.template
        after = {
            "notification_id": notification.notification_id,
            "channel": notification.channel,
            "template_id": None if template is None else template.pk,
            "success": bool(result.get("success", False)),
            "error_code": result.get("error_code"),
        }
        origin = current_origin()
        with request_from(
            ip=str(getattr(request_user, "last_ip", None) or origin.ip),
            user_agent=str(getattr(request_user, "last_user_agent", None) or origin.user_agent),
        ):
            self._write(
                NewEntry(
                    actor=f"user:{request_user.id}",
                    action="notification_sent",
                    target=f"message:{notification.pk}",
                    subject_id=notification.user_id,
                    after=after,
                )
            )

    def log_preference_change(
        self, user: User, changes: Mapping[str, Any], request_ip: str
    ) -> None:
        """Records that a person changed preferences. changes: the new values by name."""
        with request_from(ip=request_ip, user_agent=current_origin().user_agent):
            self._write(
                NewEntry(
                    actor=f"user:{user.pk}",
                    action="preference_update",
                    target=f"user:{user.pk}",
                    subject_id=user.pk,
                    after=dict(changes),
                )
            )

    def _write(self, entry: NewEntry) -> None:
        write_entry(entry, at=clock.now())
        log.info("audit.entry", action=entry.action, actor=entry.actor, target=entry.target)
