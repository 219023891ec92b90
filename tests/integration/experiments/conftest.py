"""Tests of a template, sends to many people, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest

from directory.models import User
from notifications.domain.callers import SYSTEM
from notifications.domain.engagement import CLICK_HUMAN, CLICK_MACHINE, quarter_of
from notifications.engine.runs import deliver_rows
from notifications.features.experiments.catalog import forget_tests
from notifications.features.experiments.schemas import ABTestBody
from notifications.features.experiments.service import ABTestService
from notifications.infra import clock
from notifications.models import (
    Notification,
    NotificationABTest,
    NotificationAnalytics,
    NotificationMessage,
    NotificationTemplate,
)
from notifications.queue import batches
from notifications.services import NotificationService
from tests.integration.factories import make_template, make_user

PATH = "test.hello"
SHORT = "test.short"


@pytest.fixture(autouse=True)
def _stopped_clock(frozen: Any) -> Any:
    return frozen


@pytest.fixture
def template(db: None) -> NotificationTemplate:
    """The template of the test, and another one for its variant B."""
    make_plain(SHORT, "Short")
    return make_plain(PATH, "Usual")


def make_plain(path: str, text: str, **values: Any) -> NotificationTemplate:
    """A template whose texts are one word."""
    names = ("in_app", "push", "sms", "email_body", "email_subject")
    texts = {f"{name}_template": text for name in names}
    return make_template(path, **{"required_variables": [], **texts, **values})


@pytest.fixture
def people(db: None) -> list[User]:
    return [make_user() for _ in range(40)]


def draft(template: NotificationTemplate, **fields: Any) -> int:
    """Makes a test of A, the template itself, and B, the short one; returns its id."""
    body = {
        "name": "Short or usual",
        "template_id": template.pk,
        "variants": [{"name": "A"}, {"name": "B", "template_path": SHORT}],
        "traffic_percentage": 100,
        "minimum_sample_size": 0,
        **fields,
    }
    made = ABTestService().create(body=msgspec.convert(body, ABTestBody), caller=SYSTEM)
    return made.id


@pytest.fixture
def running(template: NotificationTemplate) -> Callable[..., NotificationABTest]:
    """Makes a test and starts it."""

    def run(**fields: Any) -> NotificationABTest:
        key = draft(template, **fields)
        ABTestService().start(identifier=key, caller=SYSTEM)
        forget_tests()  # no transaction commits in a test
        return started(key)

    return run


def started(key: int) -> NotificationABTest:
    return NotificationABTest.objects.select_related("template").get(pk=key)


def send(user: User, *, path: str = PATH, channel: str = "email", **more: Any) -> Notification:
    body = {"template_path": path, "user_id": user.pk, "channel": channel, **more}
    made = NotificationService().send(body=body, caller=SYSTEM)
    return Notification.objects.get(uuid=made.id)


def deliver() -> int:
    """Hands over what is due; returns how many batches there were."""
    leases = batches.lease(owner="w", lane="default", seconds=60)
    for held in leases:
        deliver_rows([held], owner="w")
    return len(leases)


def engage(
    messages: Iterable[NotificationMessage], *, machine: bool = False, after_s: float = 60
) -> None:
    """People, or machines, click in these messages so long after they were handed over."""
    for message in messages:
        assert message.sent_at is not None
        at = clock.from_epoch_ms(clock.epoch_ms(message.sent_at) + int(after_s * 1000))
        NotificationAnalytics.objects.create(
            notification=message,
            sent_at=message.sent_at,
            sent_quarter=quarter_of(message.sent_at),
            channel=message.channel,
            provider=message.provider or "",
            variant=message.notification.variant or "",
            clicked_at=None if machine else at,
            flags=CLICK_MACHINE if machine else CLICK_HUMAN,
        )


def messages_of(label: str) -> list[NotificationMessage]:
    rows = NotificationMessage.objects.filter(notification__variant=label)
    return list(rows.select_related("notification").order_by("pk"))
