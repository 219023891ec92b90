"""Status queries about uncertain messages: Twilio, over a loopback server with its responses."""

from __future__ import annotations

import json
from datetime import timedelta
from email.utils import format_datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from notifications.features.receipts.poll import poll_due
from notifications.models import (
    DeadLetter,
    DeliveryAttempt,
    MessageEvent,
    NotificationMessage,
)
from notifications.testing.servers import HTTPSink, Reply
from tests.integration.factories import make_messages, make_willing_user

pytestmark = pytest.mark.django_db
NUMBER = "+14155552671"
SID = "AC" + "0" * 32


@pytest.fixture
def twilio(override_environment, frozen):
    listed = []

    def response(request):
        path = urlsplit(request.path).path
        if path.endswith("/Messages.json"):
            assert parse_qs(urlsplit(request.path).query)["To"] == [NUMBER]
            return Reply(200, body=json.dumps({"messages": listed}).encode())
        (row,) = [each for each in listed if path.endswith(f"/{each['sid']}.json")]
        return Reply(200, body=json.dumps(row).encode())

    with HTTPSink(script=response).run_in_thread() as sink:
        override_environment(
            sms_provider="twilio",
            twilio_base_url=sink.url,
            twilio_account_sid=SID,
            twilio_auth_token="t",
            twilio_from="+15005550006",
        )
        sink.listed = listed
        yield sink


def row(frozen, sid="SM1", status="delivered", **more):
    return {
        "sid": sid,
        "status": status,
        "to": NUMBER,
        "from": "+15005550006",
        "direction": "outbound-api",
        "date_created": format_datetime(frozen.now),
        "error_code": None,
        **more,
    }


def make_uncertain(frozen, user=None):
    user = user or make_willing_user(phone_number=NUMBER)
    (message,) = make_messages(1, channel="sms", in_batch=False, user=user)
    NotificationMessage.objects.filter(pk=message.pk).update(status="uncertain", attempts=1)
    DeadLetter.objects.create(
        message_id=message.pk,
        notification_id=message.notification_id,
        channel="sms",
        provider="twilio",
        code="uncertain",
        attempts=1,
        failed_at=frozen.now,
    )
    return message


def status():
    return NotificationMessage.objects.earliest("pk").status


def notes():
    return list(MessageEvent.objects.filter(kind="asked").values_list("reason", flat=True))


@pytest.mark.parametrize(
    ("said", "code", "becomes"),
    [
        ("queued", None, "sent"),
        ("sent", None, "sent"),
        ("delivered", None, "delivered"),
        ("failed", 30006, "failed"),
        ("undelivered", 30003, "failed"),
    ],
)
def test_the_only_possible_message_resolves_the_uncertainty(twilio, frozen, said, code, becomes):
    make_uncertain(frozen)
    twilio.listed.append(row(frozen, status=said, error_code=code))
    assert poll_due(now=frozen.now) == 0  # not yet
    assert twilio.count == 0
    frozen.forward(60)

    assert poll_due(now=frozen.now) == 1

    message = NotificationMessage.objects.get()
    assert (message.status, message.provider_message_id) == (becomes, "SM1")
    assert notes() == ["asked:twilio:found"]
    dead_letter = DeadLetter.objects.get()
    assert (dead_letter.resolution == "settled") == (becomes != "failed")


def test_a_status_that_may_be_another_messages_resolves_nothing(twilio, frozen):
    message = make_uncertain(frozen)
    at = frozen.now
    twilio.listed += [
        row(frozen, "SM2", **{"from": "+15005550001"}),
        row(frozen, "SM3", direction="inbound"),
        row(frozen, "SM4", date_created=format_datetime(at - timedelta(hours=1))),
        row(frozen, "SM5"),
        row(frozen, "SM6", date_created="soon"),
    ]
    DeliveryAttempt.objects.create(
        message_id=message.pk + 1,
        number=1,
        provider="twilio",
        verdict="sent",
        provider_message_id="SM5",
        at=at,
    )
    frozen.forward(60)
    assert poll_due(now=frozen.now) == 0
    twilio.listed += [row(frozen, "SM7"), row(frozen, "SM8")]
    for message_row in twilio.listed[-2:]:
        message_row["date_created"] = format_datetime(at)
    frozen.forward(240)
    assert poll_due(now=frozen.now) == 0
    assert status() == "uncertain"
    assert notes() == ["asked:twilio:not_found", "asked:twilio:several"]


def test_two_uncertain_messages_to_one_number_stay_uncertain(twilio, frozen):
    user = make_willing_user(phone_number=NUMBER)
    make_uncertain(frozen, user)
    make_uncertain(frozen, user)
    twilio.listed.append(row(frozen))
    frozen.forward(60)
    assert poll_due(now=frozen.now) == 0
    assert notes() == ["asked:twilio:several"] * 2


def test_an_uncertain_message_is_queried_three_times(twilio, frozen):
    make_uncertain(frozen)
    queries = []
    for _ in range(12):
        frozen.forward(300)
        poll_due(now=frozen.now)
        queries.append(twilio.count)
    assert queries == [1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3]


def test_a_query_without_a_response_is_recorded_and_repeated(twilio, frozen):
    make_uncertain(frozen)
    twilio.script = lambda _: Reply(500, body=b"oops")
    frozen.forward(60)
    assert poll_due(now=frozen.now) == 0
    assert notes() == ["asked:twilio:no_answer"]


def test_a_message_without_receipts_is_queried_once(twilio, frozen):
    assert poll_due(now=frozen.now) == 0  # sets the mark
    user = make_willing_user(phone_number=NUMBER)
    (message,) = make_messages(1, channel="sms", in_batch=False, user=user)
    NotificationMessage.objects.filter(pk=message.pk).update(status="sent", provider="twilio")
    DeliveryAttempt.objects.create(
        message_id=message.pk,
        number=1,
        provider="twilio",
        verdict="sent",
        provider_message_id="SM1",
        at=frozen.now,
    )
    twilio.listed.append(row(frozen))
    frozen.forward(899)
    assert poll_due(now=frozen.now) == 0
    frozen.forward(2)
    assert poll_due(now=frozen.now) == 1
    assert status() == "delivered"
    frozen.forward(2)
    assert poll_due(now=frozen.now) == 0
    assert twilio.count == 1


def test_nothing_is_queried_where_no_provider_supports_it(frozen, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert poll_due(now=frozen.now) == 0
