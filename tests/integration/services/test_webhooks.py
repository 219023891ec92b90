"""Status webhooks: what is written, what is posted, and what happens without a response."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from notifications.domain.callers import SYSTEM, Caller
from notifications.domain.errors import Conflict, InvalidRequest, NotFound, Refused
from notifications.domain.lifecycle import MessageStatus
from notifications.domain.status_events import KINDS, RETRIES, pause_after
from notifications.features.upkeep.maintenance import maintain
from notifications.features.webhooks.deliver import post_due
from notifications.features.webhooks.schemas import WebhookBody, WebhookReplayBody
from notifications.features.webhooks.service import WebhookService
from notifications.models import (
    OperatorAction,
    StatusEvent,
    WebhookDelivery,
    WebhookEndpoint,
    change_status,
)
from notifications.models.operations.status_webhook import LEASE
from notifications.testing.loopback import Act
from notifications.testing.servers import HTTPSink, Reply
from tests.integration.factories import make_messages

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _private_addresses(frozen, override_environment):
    override_environment(webhook_allow_private=True)


@pytest.fixture
def sink():
    with HTTPSink().run_in_thread() as sink:
        yield sink


@pytest.fixture
def endpoint(sink):
    return add(sink.url + "/hook")


def add(url, **more):
    return WebhookService().create(body=WebhookBody(url=url, **more), caller=SYSTEM)


def cancelled(count=1):
    """Creates cancelled messages."""
    messages = make_messages(count)
    change_status([m.pk for m in messages], MessageStatus.CANCELLED, reason="cancelled by key:1")
    return messages


def rows(**given):
    return list(WebhookDelivery.objects.filter(**given).order_by("id"))


def test_without_endpoints_nothing_is_written_or_queried(django_assert_num_queries):
    cancelled()  # the endpoints are read at most every two seconds
    with django_assert_num_queries(0):
        StatusEvent.objects.write(StatusEvent(x) for x in "never made")
    assert not StatusEvent.objects.exists()
    assert post_due(now=datetime.now(UTC)) == 0


def test_an_event_is_posted_with_a_signature_that_the_standard_library_accepts(
    endpoint, sink, frozen
):
    (message,) = cancelled()

    assert post_due(now=frozen.now) == 1

    (request,) = sink.requests
    name = request.headers["webhook-id"]
    signed = Webhook(endpoint.secret).sign(name, frozen.now, request.body.decode())
    assert (request.method, request.path) == ("POST", "/hook")
    assert request.headers["webhook-signature"] == signed
    assert json.loads(request.body) == {
        "type": "message.cancelled",
        "timestamp": frozen.now.isoformat(),
        "data": {
            "notification_id": str(message.notification.uuid),
            "message_id": message.pk,
            "status": "cancelled",
            "code": "cancelled by key:1",
            "channel": "email",
            "user_id": message.user_id,
            "provider": None,
            "provider_message_id": None,
            "attempts": 0,
            "category": "payment",
            "source": "key:1",
        },
    }
    (row,) = rows()
    assert (row.state, row.tries, row.next_at, row.http_status) == ("delivered", 1, None, 200)
    assert post_due(now=frozen.now) == 0


def test_an_endpoint_receives_only_its_subscribed_events(sink, frozen):
    add(sink.url, events=["message.failed"])
    everything = add(sink.url)
    cancelled()
    assert [row.endpoint_id for row in rows()] == [everything.id]


def test_a_disabled_endpoint_receives_nothing_until_a_replay(sink, frozen):
    off = add(sink.url, active=False)
    cancelled(2)
    frozen.forward(10)
    assert rows() == []

    WebhookService().replace(identifier=off.id, body=WebhookBody(url=sink.url), caller=SYSTEM)
    since = frozen.now - timedelta(hours=1)
    response = WebhookService().replay(
        identifier=off.id, body=WebhookReplayBody(since=since), caller=SYSTEM
    )

    assert (response.replayed, response.more) == (2, False)
    assert post_due(now=frozen.now) == 2


def test_a_failed_post_is_retried_after_the_documented_waits_then_abandoned(endpoint, sink, frozen):
    sink.script = lambda _: Reply(500)
    cancelled()
    names = []
    for tries, wait in enumerate([*RETRIES, None], start=1):
        WebhookEndpoint.objects.update(hold_until=None, failing_since=None)
        assert post_due(now=frozen.now) == 1
        (row,) = rows()
        assert (row.tries, row.error) == (tries, "http_500")
        assert row.next_at == (frozen.now + wait if wait else None)
        names.append(sink.requests[-1].headers["webhook-id"])
        if wait:
            frozen.now += wait
    assert row.state == "failed"
    assert len(set(names)) == 1  # by which the receiver knows a repetition
    assert post_due(now=frozen.now) == 0


def test_a_failing_endpoint_is_paused_as_a_whole(endpoint, sink, frozen):
    sink.script = lambda _: Act.RESET
    cancelled(30)

    assert post_due(now=frozen.now) == 20  # one round
    row = WebhookEndpoint.objects.get()
    assert (row.failures, row.hold_until) == (1, frozen.now + pause_after(1))
    assert post_due(now=frozen.now) == 0

    frozen.forward(5)
    assert post_due(now=frozen.now) == 1  # probed with one event
    assert WebhookEndpoint.objects.get().hold_until == frozen.now + pause_after(2)

    sink.script = None
    frozen.forward(400)
    assert post_due(now=frozen.now) == 30
    assert WebhookEndpoint.objects.get().failures == 0
    assert {r.state for r in rows()} == {"delivered"}


def test_after_five_days_an_endpoint_is_disabled_and_nothing_is_lost(endpoint, sink, frozen):
    sink.script = lambda _: Reply(503)
    cancelled()
    post_due(now=frozen.now)
    frozen.now += timedelta(days=5)
    post_due(now=frozen.now)

    shown = WebhookService().get(identifier=endpoint.id, caller=SYSTEM)
    assert (shown.active, shown.disabled_reason) == (False, "every post has failed for 5 days")
    assert shown.waiting == 1

    sink.script = None
    body = WebhookBody(url=sink.url)
    WebhookService().replace(identifier=endpoint.id, body=body, caller=SYSTEM)
    frozen.now += timedelta(days=1)
    assert post_due(now=frozen.now) == 1
    assert rows()[0].state == "delivered"


def test_410_disables_an_endpoint_at_once(endpoint, sink, frozen):
    sink.script = lambda _: Reply(410)
    cancelled()
    post_due(now=frozen.now)
    shown = WebhookService().get(identifier=endpoint.id, caller=SYSTEM)
    assert (shown.active, shown.disabled_reason) == (False, "it responded 410 Gone")


def test_a_claimed_delivery_belongs_to_one_process_until_its_lease_ends(endpoint, frozen):
    cancelled()
    (held,) = WebhookDelivery.objects.claim(endpoint.id, now=frozen.now, count=5)
    assert WebhookDelivery.objects.claim(endpoint.id, now=frozen.now, count=5) == []

    frozen.now += LEASE
    (successor,) = WebhookDelivery.objects.claim(endpoint.id, now=frozen.now, count=5)

    assert (successor.pk, successor.tries) == (held.pk, 2)
    assert not WebhookDelivery.objects.finish(held, state="failed", next_at=None)
    assert WebhookDelivery.objects.finish(successor, state="delivered", next_at=None)


def test_a_rotated_secret_also_signs_for_a_day(endpoint, sink, frozen):
    rotated = WebhookService().rotate(identifier=endpoint.id, caller=SYSTEM)
    assert rotated.secret != endpoint.secret
    cancelled()
    post_due(now=frozen.now)
    frozen.now += timedelta(days=1)
    cancelled()
    post_due(now=frozen.now)

    during, after = (r.headers["webhook-signature"].split() for r in sink.requests)
    assert (len(during), len(after)) == (2, 1)
    first = sink.requests[0]
    at = frozen.now - timedelta(days=1)
    for secret in (endpoint.secret, rotated.secret):
        name, body = first.headers["webhook-id"], first.body.decode()
        assert Webhook(secret).sign(name, at, body) in during


def test_deliveries_are_listed_and_replayed_by_id(endpoint, sink, frozen):
    cancelled(2)
    post_due(now=frozen.now)
    listed = WebhookService().deliveries(identifier=endpoint.id, caller=SYSTEM, limit=10)
    assert [(d.event, d.state, d.tries) for d in listed] == [
        ("message.cancelled", "delivered", 1)
    ] * 2

    response = WebhookService().replay(
        identifier=endpoint.id, body=WebhookReplayBody(ids=[listed[1].id]), caller=SYSTEM
    )

    assert response.replayed == 1
    assert post_due(now=frozen.now) == 1
    first, again = sink.requests[1], sink.requests[2]
    assert again.headers["webhook-id"] == first.headers["webhook-id"]


@pytest.mark.parametrize(
    "body",
    [
        WebhookReplayBody(),
        WebhookReplayBody(ids=[1], since=datetime(2030, 1, 1)),
    ],
)
def test_a_replay_without_a_selection_is_refused(endpoint, body):
    with pytest.raises(InvalidRequest):
        WebhookService().replay(identifier=endpoint.id, body=body, caller=SYSTEM)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ftp://example.com/", "url_refused"),
        ("http://user:pw@example.com/", "url_refused"),
        ("http://169.254.169.254/", "address_refused"),
        ("https://example.com:22/", "url_refused"),
    ],
)
def test_urls_that_may_not_be_called_are_refused_at_once(url, code, override_environment):
    override_environment(webhook_allow_private=False)
    with pytest.raises(InvalidRequest) as caught:
        add(url, events=["message.nonsense"])
    assert [(e.path, e.code) for e in caught.value.errors] == [
        ("url", code),
        ("events", "unknown_event"),
    ]


def test_a_name_of_an_internal_host_is_refused_at_the_call(frozen, override_environment):
    override_environment(webhook_allow_private=False)
    made = add("http://localhost:8080/hook")
    response = WebhookService().send_test(identifier=made.id, caller=SYSTEM)
    assert (response.taken, response.http_status) == (False, None)
    assert response.error.startswith("address_refused")


def test_a_test_is_posted_at_once_and_leaves_no_rows(endpoint, sink):
    response = WebhookService().send_test(identifier=endpoint.id, caller=SYSTEM)
    assert (response.taken, response.http_status, response.error) == (True, 200, "")
    assert json.loads(sink.requests[0].body)["type"] == "webhook.test"
    assert rows() == []


def test_a_deleted_endpoint_receives_nothing_more(endpoint, sink, frozen):
    cancelled()
    WebhookService().delete(identifier=endpoint.id, caller=SYSTEM)
    assert post_due(now=frozen.now) == 0
    assert rows()[0].state == "failed"
    with pytest.raises(NotFound, match="no webhook"):
        WebhookService().get(identifier=endpoint.id, caller=SYSTEM)


def test_there_are_at_most_fifty_endpoints(endpoint):
    row = WebhookEndpoint.objects.get()
    for _ in range(49):
        row.pk = None
        row.save(force_insert=True)
    with pytest.raises(Conflict) as caught:
        add("http://127.0.0.1/")
    assert caught.value.code == "too_many_webhooks"


def test_only_callers_with_the_scope_see_endpoints(endpoint):
    with pytest.raises(Refused):
        WebhookService().list(caller=Caller(name="key:9", is_service=True, scopes=frozenset()))


def test_changes_are_recorded_and_secrets_are_encrypted(endpoint):
    noted = OperatorAction.objects.values_list("action", "target")
    assert list(noted) == [("webhook.create", f"webhook:{endpoint.id}")]
    sealed = WebhookEndpoint.objects.extra(select={"raw": "secrets"}).values_list("raw", flat=True)
    assert endpoint.secret.encode() not in bytes(sealed[0])


def test_old_events_are_deleted_and_their_replay_ends(endpoint, sink, frozen):
    cancelled()
    frozen.now += timedelta(days=31)
    StatusEvent.objects.all().delete()
    assert post_due(now=frozen.now) == 0
    assert rows()[0].error == "the event was deleted"
    assert maintain()["webhook_deliveries_deleted"] == 1


def test_every_status_that_ends_or_moves_a_message_is_an_event():
    kinds = {f"message.{s}" for s in MessageStatus if s not in ("pending", "processing")}
    assert kinds < set(KINDS)
