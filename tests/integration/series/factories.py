"""Series, their people and their mails, made in one line each."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

from directory.models import User
from notifications.api.bodies import check_body
from notifications.domain.callers import SYSTEM, Caller
from notifications.features.analytics.goal_schemas import EventBody
from notifications.features.analytics.goals import GoalService
from notifications.features.series.rounds import maintain_series
from notifications.features.series.schemas import MailSeriesBody, MailSeriesChangeBody
from notifications.features.series.service import MailSeriesService
from notifications.infra import clock
from notifications.models import (
    Category,
    MailSeries,
    Notification,
    NotificationTemplate,
    SeriesEnrollment,
)
from tests.integration.factories import make_template

SERVICE = MailSeriesService()
KEY = Caller(name="key:1", is_service=True, scopes=frozenset({"broadcasts"}))
EVENT = "trial.started"
DAY = timedelta(days=1)
PATHS = ("welcome.one", "welcome.two", "welcome.three")
THREE = [
    {"template_path": PATHS[0]},
    {"template_path": PATHS[1], "wait_days": 1},
    {"template_path": PATHS[2], "wait_days": 2, "at": "09:00"},
]
_numbers = itertools.count(1)


def make_mail(path: str, **values: Any) -> NotificationTemplate:
    values.setdefault("category", Category.objects.get(key="announcement"))
    values.setdefault("required_variables", [])
    values.setdefault("supported_channels", ["email"])
    values.setdefault("email_subject_template", f"Subject of {path}")
    values.setdefault("email_body_template", "Hello {{ user.first_name }}")
    for name in ("in_app_template", "push_template", "sms_template"):
        values.setdefault(name, "")
    return make_template(path, **values)


def make_mails() -> None:
    known = set(NotificationTemplate.objects.values_list("path", flat=True))
    for path in PATHS:
        if path not in known:
            make_mail(path)


def body(**values: Any) -> MailSeriesBody:
    given: dict[str, Any] = {
        "name": "Welcome",
        "trigger": {"on": "event", "event": EVENT},
        "steps": THREE,
        **values,
    }
    return check_body(given, MailSeriesBody)


def make_series(*, live: bool = True, caller: Caller = KEY, **values: Any) -> MailSeries:
    make_mails()
    made = SERVICE.create(body=body(**values), caller=caller, now=clock.now())
    row = MailSeries.objects.get(pk=made.key)
    return act("launch", row, caller=caller) if live else row


def change(row: MailSeries, *, caller: Caller = KEY, **values: Any) -> MailSeries:
    given = check_body(values, MailSeriesChangeBody)
    SERVICE.change(identifier=row.pk, body=given, caller=caller, now=clock.now())
    return fresh(row)


def act(action: str, row: MailSeries, *, caller: Caller = KEY) -> MailSeries:
    getattr(SERVICE, action)(identifier=row.pk, caller=caller, now=clock.now())
    return fresh(row)


def fresh(row: MailSeries) -> MailSeries:
    return MailSeries.objects.get(pk=row.pk)


def happens(*people: User, name: str = EVENT, at: datetime | None = None) -> None:
    """Reports an event of each person."""
    events = [
        EventBody(
            user_id=person.pk,
            name=name,
            occurred_at=at or clock.now(),
            idempotency_key=f"event-{next(_numbers)}",
        )
        for person in people
    ]
    GoalService().report(events=events, caller=SYSTEM)


def go_on() -> dict[str, int]:
    """Runs the periodic work once."""
    return maintain_series(now=clock.now())


def row_of(series: MailSeries, person: User) -> SeriesEnrollment:
    return SeriesEnrollment.objects.filter(series=series, user=person).latest("entry")


def mails_of(series: MailSeries, person: User) -> list[str]:
    """Returns the paths of the mails that a series sent to a person, in order."""
    rows = Notification.objects.filter(source=series.source, user=person).order_by("pk")
    versions = dict(
        NotificationTemplate.objects.values_list("current_version_id", "path"),
    )
    return [versions[row.template_version_id] for row in rows]


def where(series: MailSeries, person: User) -> tuple[str, int, str]:
    """Returns the state, the position and the reason of a person in a series."""
    row = row_of(series, person)
    return row.state, row.position, row.reason
