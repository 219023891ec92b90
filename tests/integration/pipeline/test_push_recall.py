"""A push that a sender takes back: what browsers get, and what the response says."""

from __future__ import annotations

import json

import pytest

from notifications.delivery.vendors.webpush.send import payload_for
from notifications.domain.callers import Caller
from notifications.domain.messages import Retraction, SendResult, Verdict
from notifications.engine.journal import journal
from notifications.engine.prepare import prepare
from notifications.engine.runs import keys_of
from notifications.features.recalling.service import RecallService
from notifications.infra import clock
from notifications.models import (
    Category,
    DeliveryAttempt,
    FrequencyCount,
    KillSwitch,
    Notification,
    NotificationMessage,
    UserNotificationPreference,
)
from notifications.queue import batches
from tests.integration.factories import make_messages, make_user
from tests.integration.pipeline import test_push
from tests.integration.pipeline.test_push import AGAIN, DEAD, SENT, Fake, device, work

pytestmark = pytest.mark.django_db
plan = test_push.plan
KEY = Caller(name="key:1", is_service=True, scopes=frozenset({"notifications:send"}))
ENDPOINT = "https://push.example/x"


@pytest.fixture(autouse=True)
def _stopped_clock(frozen):
    """Time stands still."""


def browser(user, endpoint=ENDPOINT):
    return device(user, endpoint, kind="webpush", keys={"auth": "a"})


def pushed(user, **fields):
    """A push that was just sent to all devices of a person."""
    (message,) = make_messages(1, channel="push", user=user)
    Notification.objects.filter(pk=message.pk).update(**fields)
    work()
    message.refresh_from_db()
    return message


def retract(message):
    found = RecallService().retract(identifier=message.pk, caller=KEY)
    return found.recalled, found.not_recallable


def retractions():
    return NotificationMessage.objects.filter(notification__source="retraction").order_by("pk")


def test_browsers_close_what_they_show(plan):
    message = pushed(make_browser_user())
    uuid = message.notification.uuid.hex

    assert retract(message) == (["push"], [])
    work()

    (sent,) = retractions()
    assert sent.status == "sent"
    assert [name for name, _ in Fake.calls] == ["webpush", "webpush"]
    assert json.loads(payload_for(Fake.messages[0]))["tag"] == uuid
    assert json.loads(payload_for(Fake.messages[1])) == {
        "type": "retract",
        "tag": uuid,
        "reference": f"{uuid}.push",
    }
    assert DeliveryAttempt.objects.filter(message_id=sent.pk, verdict="sent").count() == 1
    assert [entry["event"] for entry in message.history()] == ["sent", "retraction"]
    assert message.history()[-1]["reason"] == sent.notification.uuid.hex


def make_browser_user():
    user = make_user()
    browser(user)
    return user


def test_a_second_call_sends_no_second_retraction(plan):
    message = pushed(make_browser_user())

    assert retract(message) == retract(message) == (["push"], [])

    assert retractions().count() == 1


def test_what_was_not_sent_is_cancelled_and_no_browser_hears_of_it(plan):
    (message,) = make_messages(1, channel="push", user=make_browser_user())

    assert retract(message) == (["push"], [])
    work()

    assert (Fake.calls, retractions().count()) == ([], 0)


def test_one_in_flight_is_named(plan):
    (message,) = make_messages(1, channel="push", user=make_browser_user())
    leases = batches.lease(owner="w", lane="default", seconds=60)
    journal(prepare("push", keys_of(leases)).ready, owner="w")

    assert retract(message) == ([], ["push"])
    assert retractions().count() == 0


@pytest.mark.parametrize("endpoint", ["https://web.push.apple.com/x", None])
def test_what_one_device_goes_on_to_show_cannot_be_recalled(plan, endpoint):
    """An app shows what it got, and Apple withdraws the permission after an empty push."""
    user = make_browser_user()
    if endpoint:
        browser(user, endpoint)
    else:
        device(user, "phone")
    message = pushed(user)
    Fake.calls.clear()

    assert retract(message) == ([], ["push"])
    work()

    assert [json.loads(address)["endpoint"] for _, address in Fake.calls] == [ENDPOINT]


def test_only_browsers_that_accepted_it_get_it(plan):
    user = make_browser_user()
    broken = browser(user, "https://push.example/broken")
    plan(**{address_of(broken): [SendResult(Verdict.FAILED, error_code="http_400")]})
    message = pushed(user)
    browser(user, "https://push.example/new")
    Fake.calls.clear()

    assert retract(message) == (["push"], [])
    work()

    assert [json.loads(address)["endpoint"] for _, address in Fake.calls] == [ENDPOINT]


def address_of(device):
    return json.dumps({"endpoint": device.token, "keys": device.keys})


def test_a_browser_that_is_gone_may_still_show_it(plan):
    user = make_browser_user()
    message = pushed(user)
    user.devices.all().delete()

    assert retract(message) == ([], ["push"])
    assert retractions().count() == 0


def test_a_cancelled_retry_takes_back_what_another_browser_has(plan, frozen):
    user = make_browser_user()
    slow = browser(user, "https://push.example/slow")
    plan(**{address_of(slow): [AGAIN]})
    message = pushed(user)
    assert message.status == "pending"

    assert retract(message) == (["push"], [])
    work()

    assert [json.loads(a)["endpoint"] for _, a in Fake.calls].count(ENDPOINT) == 2
    assert NotificationMessage.objects.get(pk=message.pk).status == "cancelled"


def test_a_newer_push_of_the_same_tag_stays(plan):
    """The newer one stands in its place, so that there is nothing to close."""
    user = make_browser_user()
    old = pushed(user, collapse_key="order-5")
    pushed(user, collapse_key="order-5")

    assert retract(old) == (["push"], [])
    assert retractions().count() == 0


def test_a_collapse_key_is_the_tag(plan):
    message = pushed(make_browser_user(), collapse_key="order-5")

    retract(message)
    work()

    found = Fake.messages[-1]["retracts"]
    assert found == Retraction("order-5", f"{message.notification.uuid.hex}.push")


def test_preferences_and_caps_hold_no_retraction_back(plan):
    user = make_browser_user()
    message = pushed(user)
    UserNotificationPreference.objects.update_or_create(
        user=user, defaults={"notifications_enabled": False, "push_enabled": False}
    )
    cap = {"channel": "", "window_s": 3600, "limit": 1}
    Category.objects.filter(key="system").update(caps=[cap])

    retract(message)
    work()

    assert retractions().get().status == "sent"
    assert FrequencyCount.objects.count() == 0


def test_a_stop_of_pushes_holds_it(plan):
    message = pushed(make_browser_user())
    retract(message)
    KillSwitch.objects.create(
        scope="channel", value="push", reason="a test", actor="cli", created_at=clock.now()
    )

    work()

    assert retractions().get().status == "pending"
    assert len(Fake.calls) == 1


def test_a_dead_subscription_ends_it(plan):
    user = make_browser_user()
    message = pushed(user)
    plan(**{address_of(user.devices.get()): [DEAD]})

    retract(message)
    work()

    assert retractions().get().status == "failed"
    assert user.devices.live().count() == 0


def test_a_service_may_turn_it_off(plan, override_environment):
    message = pushed(make_browser_user())
    override_environment(push_retractions=False)

    assert retract(message) == ([], ["push"])
    assert retractions().count() == 0


def test_a_push_in_the_sandbox_went_nowhere(plan, override_environment):
    override_environment(push_provider="sandbox")
    user = make_browser_user()
    message = pushed(user)
    assert (message.status, SENT.success) == ("sent", True)

    assert retract(message) == ([], ["push"])
    assert retractions().count() == 0


def test_a_retraction_that_goes_to_the_sandbox_reaches_no_browser(plan, override_environment):
    """As in a copy of an installation that must not reach anyone."""
    message = pushed(make_browser_user())
    assert retract(message) == (["push"], [])
    Fake.calls.clear()
    override_environment(push_provider="sandbox")

    work()

    sent = retractions().get()
    assert (sent.status, sent.provider) == ("sent", "sandbox")
    assert [name for name, _ in Fake.calls] == ["sandbox"]
