"""The report of failures says by which errors messages failed, from their dead letters."""

from __future__ import annotations

from datetime import timedelta

import pytest

from notifications.domain.analytics.counts import Cohort
from notifications.features.analytics import failure_codes
from notifications.models import DeadLetter, MetricDelta, Notification, NotificationTemplate
from tests.integration.api.conftest import *  # noqa: F403 -- its clients are fixtures here
from tests.integration.factories import make_messages, make_template

pytestmark = pytest.mark.django_db
REPORT = "/api/v1/analytics/reports/failures"
RANGE = {"start_date": "2030-05-01", "end_date": "2030-05-01"}
DAY = timedelta(days=1)


@pytest.fixture
def reader(with_key, frozen):
    return with_key("analytics:read")


def fail(at, code, *, channel="email", provider="smtp", version=None, source="key:1", **more):
    """A message that failed, as its dead letter has it."""
    (message,) = make_messages(1, channel=channel, source=source, in_batch=False)
    is_test = more.pop("is_test", False)
    Notification.objects.filter(pk=message.notification_id).update(is_test=is_test)
    values = {"channel": channel, "provider": provider, "template_version_id": version, **more}
    DeadLetter.objects.create(
        message_id=message.pk,
        notification_id=message.notification_id,
        code=code,
        failed_at=at,
        **values,
    )


def codes(reader, **query):
    found = reader.get(REPORT, {**RANGE, **query}).json()
    return {
        (row["group"]["channel"], row["group"]["provider"]): row["codes"]
        for row in found["results"]
    }


def test_failures_are_counted_by_code_beside_the_counts(reader, frozen):
    version = make_template().current_version_id
    template = NotificationTemplate.objects.get().pk
    cohort = Cohort("email", version, "smtp", "key:1", "")
    MetricDelta.objects.append({frozen.now: {cohort: {"sent": 9, "failed": 3, "bounced": 1}}})
    for code in ("550", "mailbox_full", "550"):
        fail(frozen.now, code, version=version)
    fail(frozen.now, "30003", channel="sms", provider="twilio", source="broadcast:7")
    fail(frozen.now, "550", resolution="discarded", version=version)
    # These did not fail, or not then, or were tests.
    fail(frozen.now, "550", resolution="replayed")
    fail(frozen.now, "550", resolution="settled")
    fail(frozen.now, "550", is_test=True)
    fail(frozen.now + DAY, "550")
    fail(frozen.now - DAY, "550")

    found = reader.get(REPORT, RANGE).json()

    mail, sms = found["results"]
    assert mail["group"]["template_id"] == str(template)
    assert (mail["counts"]["failed"], mail["codes"]) == (3, {"550": 3, "mailbox_full": 1})
    assert list(mail["codes"]) == ["550", "mailbox_full"], "the most frequent first"
    assert (sms["counts"]["failed"], sms["codes"]) == (0, {"30003": 1})
    assert found["codes_since"] is None
    of_mail, of_sms = {("email", "smtp"): mail["codes"]}, {("sms", "twilio"): sms["codes"]}
    assert codes(reader, channel="sms") == of_sms
    assert codes(reader, source="broadcast:7") == of_sms
    assert codes(reader, template_id=template) == of_mail
    others = reader.get("/api/v1/analytics/reports/providers", RANGE).json()
    assert [row["codes"] for row in others["results"]] == [None]

    lines = b"".join(reader.get(f"{REPORT}.csv", RANGE).streaming_content).decode().splitlines()
    assert lines[0].endswith(",codes")
    assert lines[1].endswith('"550: 3, mailbox_full: 1"')


def test_a_range_with_many_failures_counts_the_newest(reader, frozen, monkeypatch):
    monkeypatch.setattr(failure_codes, "MOST_LETTERS", 3)
    for minutes in range(5):
        fail(frozen.now - timedelta(minutes=minutes), f"e{minutes}")

    found = reader.get(REPORT, RANGE).json()

    assert found["results"][0]["codes"] == {"e0": 1, "e1": 1, "e2": 1}
    assert found["codes_since"] == "2030-05-01T11:58:00Z"


def test_rare_codes_are_counted_together(reader, frozen, monkeypatch):
    monkeypatch.setattr(failure_codes, "MOST_CODES", 2)
    for code in ("a", "a", "a", "b", "b", "c", "d"):
        fail(frozen.now, code)

    assert codes(reader) == {("email", "smtp"): {"a": 3, "b": 2, "other": 2}}
