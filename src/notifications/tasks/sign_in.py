"""The task of the sign-in pages."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from notifications.features.signing_in.password_reset import send_reset_links


@shared_task(name="notifications.tasks.send_reset_mail", ignore_result=True)
def send_reset_mail(*, address: str, **_future: Any) -> None:
    """Sends the links to a new password. address: sealed."""
    send_reset_links(address)
