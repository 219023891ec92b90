"""What a slice costs the database does not grow with its messages: a statement for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from carillon.postgres.session import Session
from notifications.domain.callers import SYSTEM
from notifications.domain.channels import Lane
from notifications.engine.runs import deliver_rows
from notifications.models import KillSwitch, TemplateVersion, UserNotificationPreference
from notifications.queue import batches
from notifications.rendering import versions
from notifications.rendering.guard.guard import Guard
from notifications.rendering.release import release
from notifications.services import NotificationService
from tests.integration.factories import make_template, make_user

pytestmark = pytest.mark.django_db
FEW, MANY = 3, 40
GROWTH = 12
"""Outcomes are written in parts, of a tenth of a second each: a slow machine writes more of them,
but never one a message."""


@pytest.fixture(autouse=True)
def _guard(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Renders are watched, as they are in a worker."""
    made = Guard()
    monkeypatch.setattr("notifications.engine.prepare.GUARD", made)
    with made.running():
        yield


def unproved(_frozen: Any) -> None:
    TemplateVersion.objects.update(proved_by="")
    versions.forget_versions()


def proved(_frozen: Any) -> None:
    TemplateVersion.objects.update(proved_by=release())
    versions.forget_versions()


def stopped(frozen: Any) -> None:
    values = {"reason": "repair", "created_at": frozen.now}
    KillSwitch.objects.get_or_create(scope="channel", value="in_app", defaults=values)


def quiet(_frozen: Any) -> None:
    UserNotificationPreference.objects.update(
        quiet_hours_enabled=True, quiet_hours_start="11:00", quiet_hours_end="14:00"
    )


def folded(_frozen: Any) -> None:
    UserNotificationPreference.objects.update(digest_frequency="daily")


@pytest.mark.parametrize(
    "situation",
    [unproved, proved, stopped, quiet, folded],
    ids=lambda each: each.__name__,
)
def test_a_slice_takes_as_many_statements_whatever_its_size(
    situation: Callable[[Any], None], frozen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_template()
    counted = []
    for size in (1, FEW, MANY):  # at the first, what is read once a process is read
        send(size)
        situation(frozen)
        counted.append(deliver(monkeypatch))

    assert counted[2] - counted[1] <= GROWTH, counted


def send(count: int) -> None:
    for _ in range(count):
        user = make_user()
        UserNotificationPreference.objects.create(user=user, timezone="UTC")
        body = {
            "template_path": "test.hello",
            "user_id": user.pk,
            "channel": "in_app",
            "context": {"amount": 5},
        }
        NotificationService().send(body=body, caller=SYSTEM)


def deliver(monkeypatch: pytest.MonkeyPatch) -> int:
    """Works on all that is due in one slice; returns how often it asked the database. On SQLite raw
    statements are not counted."""
    leases = batches.lease(owner="w", lane=Lane.DEFAULT, seconds=60)
    assert leases
    asked: list[None] = []
    wait = Session.wait

    def counting(self: Session, *args: Any, **kwargs: Any) -> Any:
        asked.append(None)
        return wait(self, *args, **kwargs)

    with monkeypatch.context() as patched, CaptureQueriesContext(connection) as queries:
        patched.setattr(Session, "wait", counting)
        deliver_rows(leases, owner="w")
    batches.release([held for held in leases if held.open_keys], "w")
    return max(len(asked), len(queries))
