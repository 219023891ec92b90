"""Countries and the day's spend: what is refused, what waits, and never a cent too much."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection

from notifications.domain.messages import Content, SendResult, Verdict
from notifications.engine import admission as spending
from notifications.engine.journal import journal
from notifications.engine.prepare import prepare
from notifications.engine.runs import keys_of
from notifications.engine.settlement import settle
from notifications.features.operations.metrics import metrics_response
from notifications.models import NotificationMessage, SmsCharge, SmsSpend
from notifications.models.providers.sms import Charge
from notifications.queue import batches
from notifications.recording.record import record
from tests.integration.factories import make_messages, make_willing_user

pytestmark = pytest.mark.django_db
CENT = 10_000
SENT = SendResult(Verdict.SENT, provider_message_id="SM1")


@pytest.fixture(autouse=True)
def _twilio(frozen, override_environment):
    override_environment(
        sms_provider="twilio", sms_prices=("US=0.01", "GB=0.04"), sms_daily_spend=3 * CENT
    )


def ready(count=1, number="+14155552671"):
    make_messages(count, channel="sms", user=make_willing_user(phone_number=number))
    return again()


def again():
    found = batches.lease(owner="w", lane="default", seconds=60)
    return prepare("sms", keys_of(found))


def last_reason():
    return NotificationMessage.objects.latest("pk").history()[-1]["reason"]


def test_only_countries_on_the_list_get_sms(override_environment):
    override_environment(sms_countries=("US", "CA"), sms_daily_spend=0)
    assert len(ready().ready) == 1
    work = ready(number="+442071838750")
    record(work.outcomes, owner="w")
    assert NotificationMessage.objects.latest("pk").status == "suppressed"
    assert last_reason() == "country_not_allowed:GB"


def test_the_day_pays_for_what_it_can_and_the_rest_waits_for_the_next(frozen):
    work = ready(5)
    assert len(work.ready) == 5
    going = journal(work.ready, owner="w")
    assert len(going) == 3
    assert SmsSpend.objects.get().micros == 3 * CENT
    assert SmsSpend.objects.get().reached_at == frozen.now
    anew = prepare("sms", {item.message.id: item.lease for item in work.ready[3:]})
    assert anew.ready == []
    midnight = datetime.combine(frozen.now.date() + timedelta(days=1), datetime.min.time(), UTC)
    assert [outcome.again_at for outcome in anew.outcomes] == [midnight] * 2
    record(anew.outcomes, owner="w")
    assert last_reason() == "sms_daily_spend"


def test_segments_and_countries_have_their_price():
    (item,) = ready().ready
    long = replace(item.outbound, content=Content("", "é" * 161))
    abroad = replace(item.outbound, recipient="+442071838750")
    assert spending.cost_of(item.outbound) == item.cost == CENT
    assert spending.cost_of(long) == 2 * CENT
    assert spending.cost_of(abroad) == 4 * CENT


def test_what_no_day_can_pay_is_not_sent_at_all():
    work = ready(number="+442071838750")
    record(work.outcomes, owner="w")
    assert NotificationMessage.objects.get().status == "suppressed"
    assert last_reason() == "sms_over_daily_spend"


def test_a_country_without_a_price_is_refused_under_a_limit():
    work = ready(number="+79161234567")
    record(work.outcomes, owner="w")
    assert last_reason() == "sms_price_unknown"


def test_a_try_that_was_surely_not_taken_costs_nothing_and_a_doubtful_one_costs_again(frozen):
    def take(attempt, again=False):
        charge = Charge(7, attempt, CENT, again)
        return SmsSpend.objects.charge(
            [charge], day=date(2030, 1, 1), limit=3 * CENT, at=frozen.now
        )

    assert take(1) == (set(), False)
    assert take(1) == (set(), False)  # not started
    assert take(2) == (set(), False)  # refused before
    assert SmsSpend.objects.get().micros == CENT
    assert take(2, again=True) == (set(), False)  # the first may have been taken
    assert take(2, again=True) == (set(), False)
    assert take(3, again=True) == (set(), False)
    assert SmsSpend.objects.get().micros == 3 * CENT
    assert take(4, again=True) == ({7}, True)
    assert take(4, again=True) == ({7}, False)  # reported once a day
    assert SmsCharge.objects.get().attempt == 3


def test_the_next_day_begins_at_the_services_own_midnight(override_environment):
    override_environment(timezone="Asia/Tokyo")
    at = datetime(2030, 1, 1, 14, 59, tzinfo=UTC)
    assert spending.day_of(at) == date(2030, 1, 1)
    assert spending.next_day(at) == datetime(2030, 1, 1, 15, 0, tzinfo=UTC)


def test_the_spend_is_a_metric():
    journal(ready(2).ready, owner="w")
    text = metrics_response().decode()
    assert "notification_sms_spend 0.02" in text
    assert "notification_sms_spend_limit 0.03" in text


def test_without_a_limit_nothing_is_booked(override_environment):
    override_environment(sms_daily_spend=0)
    going = journal(ready(5).ready, owner="w")
    assert len(going) == 5
    assert SmsSpend.objects.count() == 0
    record([settle(item, SENT, at=item.lease and datetime.now(UTC)) for item in going], owner="w")


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer")
def test_workers_together_never_book_more_than_the_limit(frozen):
    day, limit, refused = date(2030, 1, 1), 50 * CENT, []

    def book(start):
        for number in range(start, start + 40):
            over, _ = SmsSpend.objects.charge(
                [Charge(number, 1, CENT)], day=day, limit=limit, at=frozen.now
            )
            refused.extend(over)
        connection.close()

    threads = [threading.Thread(target=book, args=(start,)) for start in (0, 100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert SmsSpend.objects.get().micros == limit
    assert (SmsCharge.objects.count(), len(refused)) == (50, 110)
