"""Undocumented callbacks are refused, or skipped as unreadable; the others are applied."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest
from standardwebhooks import Webhook

from notifications.delivery.callbacks.base import (
    CallbackReader,
    CallbackRefused,
    CallbackUnreadable,
    IncomingCall,
    check_call,
)
from notifications.delivery.registry import CALLBACKS, INBOUND, callback_reader
from notifications.delivery.vendors.anymail.services import SERVICES
from notifications.domain.lifecycle import MessageStatus
from notifications.domain.receipts import Receipt, ReceiptKind
from notifications.features.receipts.apply import apply_due
from notifications.infra.crypto import body_hash
from notifications.models import ItemFault, ProviderCallback, change_status
from tests.integration.factories import make_messages

pytestmark = [
    pytest.mark.strict,
    pytest.mark.django_db,
    pytest.mark.filterwarnings("ignore:django-anymail has dropped official support"),
]
READER = "notifications.features.receipts.apply.callback_reader"
REFERENCE = f"{7:032x}.email"
SES_MAIL = {"messageId": "m", "destination": [], "tags": {"CarillonReference": ["x-email"]}}
EVENTS = [
    {"event": "delivered", "reference": REFERENCE, "at": at}
    for at in (
        "0001-01-01T00:00:00+02:00",
        "9999-12-31T23:59:59.9999999-05:00",
        "9999-12-31T23:59:59-14:00",
        "10000-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "20300131T090000Z",
        "2030-01-31T09:00:00",
        20300131,
        ["2030-01-31T09:00:00Z"],
        {},
    )
] + [
    {"event": "failed", "reference": REFERENCE, "detail": "\ud83c"},
    {"event": "failed", "reference": REFERENCE, "code": "a\x00b"},
    {"event": "failed", "reference": REFERENCE, "code": "x" * 61},
    {"event": "bounced", "reference": "\udc00", "address": "\ud83c@example.com"},
    {"event": "delivered", "provider_message_id": "x" * 201},
    {"event": ["delivered"], "reference": REFERENCE},
    {"event": None},
    {"event": "delivered"},
]
OF_SES = [
    {"eventType": "Delivery", "mail": SES_MAIL},
    {"eventType": "Delivery", "mail": {**SES_MAIL, "destination": None}},
    {"eventType": "Delivery", "mail": []},
    {"eventType": "Bounce", "mail": SES_MAIL, "bounce": {"bouncedRecipients": [7]}},
    {"eventType": "Bounce", "mail": SES_MAIL, "bounce": []},
    {"eventType": "Delivery", "mail": {**SES_MAIL, "destination": ["a"], "timestamp": "soon"}},
    {"eventType": "Delivery", "mail": {**SES_MAIL, "destination": ["a"], "timestamp": 7}},
    {"eventType": "Delivery", "mail": {**SES_MAIL, "destination": ["a"], "tags": 7}},
    {
        "eventType": "Delivery",
        "mail": {**SES_MAIL, "destination": ["a"], "tags": {"CarillonReference": [7]}},
    },
    {"eventType": ["Delivery"], "mail": SES_MAIL},
    {"notificationType": {}},
    [],
    7,
]


def bodies() -> dict[str, bytes]:
    """Bodies that no vendor documents."""
    found = {
        "empty": b"",
        "blank": b"  ",
        "null": b"null",
        "number": b"7",
        "infinite": b'{"events": [{"ts": 1e999, "timestamp": 1e999}]}',
        "long number": b'{"timestamp": ' + b"1" * 5_000 + b"}",
        "list": b"[]",
        "list of lists": b"[[[]]]",
        "object": b"{}",
        "inbound": b'{"RecordType": "Inbound"}',
        "deep list": b"[" * 3_000 + b"]" * 3_000,
        "deep object": b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
        "deep events": b'{"events":' + b"[" * 3_000 + b"]" * 3_000 + b"}",
        "half a document": b'{"events": [',
        "not UTF-8": b"\xff\xfe\x00",
        "NUL": b"\x00",
        "NUL in a form": b"MessageStatus=delivered%00&MessageSid=%00&To=%00",
        "half a character": b'{"event": "\\ud83c", "RecordType": "\\udc00"}',
        "form": b"mandrill_events=%5B%7B%7D&MessageStatus=party&signature=x",
        "multipart": b"--x\r\nbroken",
    }
    for number, event in enumerate(EVENTS):
        found[f"event {number}"] = json.dumps(event).encode()
    for number, event in enumerate(OF_SES):
        message = {"Type": "Notification", "TopicArn": "t", "Message": json.dumps(event)}
        found[f"SES {number}"] = json.dumps(message).encode()
    deep = {"Type": "Notification", "TopicArn": "t", "Message": "[" * 3_000}
    found["SES, deep"] = json.dumps(deep).encode()
    found["SES, odd type"] = b'{"Type": ["Notification"]}'
    found["SES, odd address"] = json.dumps(
        {**deep, "SignatureVersion": "1", "SigningCertURL": "https://["}
    ).encode()
    return found


BODIES = bodies()
TYPES = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]


def call_of(body: bytes, kind: str = "application/json", **headers: str) -> IncomingCall:
    url = "https://bell.example.com/api/v1/callbacks/x"
    return IncomingCall("POST", url, {}, {"content-type": kind, **headers}, body)


@pytest.fixture(autouse=True)
def accounts(override_environment, frozen):
    def use(service: str = "postmark") -> None:
        override_environment(
            anymail_backend=f"anymail.backends.{service}.EmailBackend",
            anymail_webhook_secret="user:password",
            anymail_settings=json.dumps(
                {
                    "webhook_key": base64.b64encode(b"k" * 32).decode(),
                    "webhook_secret": "user:password",
                    "webhook_signing_key": "k",
                    "tracking_webhook_secret": "k",
                    "signing_secret": "whsec_" + base64.b64encode(b"k" * 24).decode(),
                }
            ),
            ses_topics=("t",),
            twilio_auth_token="secret",
            vonage_signature_secret="s" * 32,
        )

    use()
    return use


@pytest.fixture(autouse=True)
def callbacks_are_read(monkeypatch):
    """Certificates are never fetched here."""
    monkeypatch.setattr("notifications.delivery.vendors.ses.sns.fetch", lambda url: 1 / 0)


def readers(accounts):
    for key in CALLBACKS:
        if key != "anymail":
            yield key, callback_reader(key)
    for service in (name for name, each in SERVICES.items() if each.view):
        accounts(service)
        yield f"anymail {service}", callback_reader("anymail")


def test_readers_raise_only_what_they_document(accounts):
    for name, reader in readers(accounts):
        for what, body in BODIES.items():
            for kind in TYPES:
                try:
                    found = reader.read(call_of(body, kind))
                except (CallbackUnreadable, CallbackRefused):
                    continue
                assert all(isinstance(each, Receipt) for each in found), (name, what)


ODD_HEADERS = [
    {},
    {"x-twilio-signature": "\xe9\u2603"},
    {"webhook-id": "x", "webhook-timestamp": "\xb2", "webhook-signature": "v1,\xe9"},
    {"webhook-id": "x", "webhook-timestamp": "9" * 5_000, "webhook-signature": "v1,x"},
    {"authorization": "Basic \xff"},
    {"authorization": "Basic " + base64.b64encode(b"\xff:\xfe").decode()},
    {"x-twilio-email-event-webhook-signature": "\xe9", "x-mailgun-signature": "\x00"},
]


def test_no_reader_accepts_an_undocumented_call_or_fails(accounts):
    for _, reader in readers(accounts):
        for body in BODIES.values():
            for headers in ODD_HEADERS:
                with pytest.raises(CallbackRefused):
                    check_call(reader, call_of(body, **headers))


@pytest.mark.parametrize("provider", sorted(CALLBACKS))
def test_the_route_responds_403_to_every_undocumented_call(client, provider):
    for what, body in BODIES.items():
        for headers in ODD_HEADERS[1:3]:
            encoded = {
                name: value.encode("utf-8").decode("latin-1") for name, value in headers.items()
            }
            response = client.post(
                f"/api/v1/callbacks/{provider}",
                body,
                content_type="application/json",
                headers=encoded,
            )
            assert response.status_code in (400, 403), (what, response.content)
    assert not ProviderCallback.objects.exists()


@pytest.mark.parametrize("path", ["/sms/twilio", *(f"/inbound/{key}" for key in INBOUND)])
def test_the_route_of_texts_refuses_every_undocumented_call(client, path):
    for body in BODIES.values():
        response = client.post(
            path,
            body,
            content_type="application/x-www-form-urlencoded",
            headers={"X-Twilio-Signature": "x", "Authorization": "Bearer x"},
        )
        assert response.status_code in (400, 403)


def good(frozen):
    (message,) = make_messages(1, in_batch=False)
    change_status([message.pk], MessageStatus.SENT, reason="test")
    event = {"event": "delivered", "reference": f"{message.notification.uuid.hex}.email"}
    store("generic", json.dumps(event).encode(), frozen, kind="application/json")
    return message


def store(provider, body, frozen, kind):
    ProviderCallback.objects.store(
        provider=provider,
        digest=body_hash(kind.encode() + b"|" + body),
        call=call_of(body, kind).as_json(),
        at=frozen.now,
    )


@pytest.mark.parametrize("provider", sorted(CALLBACKS))
def test_unreadable_callbacks_are_skipped_and_the_others_applied(provider, frozen):
    for body in BODIES.values():
        for kind in TYPES:
            store(provider, body, frozen, kind)
    message = good(frozen)

    apply_due(now=frozen.now)

    message.refresh_from_db()
    assert message.status == "delivered", "the round was held up"
    for _ in range(3):
        frozen.forward(301)
        apply_due(now=frozen.now)
    states = set(ProviderCallback.objects.values_list("state", flat=True))
    assert states <= {"unreadable", "nothing", "applied", "waiting"}
    waiting = ProviderCallback.objects.filter(state="waiting")
    assert not ItemFault.objects.filter(set_aside=False).exists(), "what failed waits for ever"
    for each in waiting:  # readable, about a message that is not known yet
        assert callback_reader(provider).read(IncomingCall.from_json(each.call))
    for text in ProviderCallback.objects.values_list("result", flat=True):
        assert "example.com" not in text


def test_a_signed_undocumented_body_is_skipped_at_once(client, frozen, settings):
    message = good(frozen)
    for number, event in enumerate(EVENTS):
        body, name = json.dumps(event), f"msg_{number}"
        signature = Webhook(settings.CALLBACK_SECRET).sign(name, frozen.now, body)
        response = client.post(
            "/api/v1/callbacks/generic",
            body,
            content_type="application/json",
            headers={
                "webhook-id": name,
                "webhook-timestamp": str(int(frozen.now.timestamp())),
                "webhook-signature": signature,
            },
        )
        assert response.status_code == 200
    apply_due(now=frozen.now)
    found = ProviderCallback.objects.filter(state="unreadable")
    assert (found.count(), found.filter(next_at=None).count()) == (len(EVENTS), len(EVENTS))
    assert all(found.values_list("result", flat=True))
    message.refresh_from_db()
    assert message.status == "delivered"


class Odd(CallbackReader):
    """A reader that raises an unexpected exception, or returns what cannot be stored."""

    key = "generic"

    def __init__(self, found):
        self.found = found

    def check(self, call):
        return

    def read(self, call):
        if isinstance(self.found, Exception):
            raise self.found
        return [self.found]


@pytest.mark.parametrize(
    "found",
    [
        RuntimeError("ada@example.com"),
        SystemError("odd"),
        CallbackRefused("the backend was changed"),
        StopIteration("odd"),
    ],
    ids=lambda found: type(found).__name__,
)
def test_a_failing_reader_is_attempted_three_times(found, frozen, monkeypatch):
    store("generic", b"{}", frozen, "application/json")
    with monkeypatch.context() as patched:
        patched.setattr(READER, lambda _: Odd(found))
        for attempts in (1, 2, 3):
            apply_due(now=frozen.now)
            callback = ProviderCallback.objects.get()
            assert callback.tries == attempts
            frozen.forward(301)
    assert (callback.state, callback.next_at) == ("unreadable", None)
    assert callback.result.startswith(f"{type(found).__name__} at ")
    assert "ada@" not in callback.result


def test_a_receipt_with_an_impossible_time_is_unreadable(frozen, monkeypatch):
    from datetime import datetime, timezone

    store("generic", b"{}", frozen, "application/json")
    at = datetime.max.replace(tzinfo=timezone(timedelta(hours=-14)))
    receipt = Receipt(ReceiptKind.DELIVERED, at=at, reference=REFERENCE)
    monkeypatch.setattr(READER, lambda _: Odd(receipt))
    apply_due(now=frozen.now)
    callback = ProviderCallback.objects.get()
    assert (callback.state, callback.result) == (
        "unreadable",
        "an event's time must lie within 1970-01-01 to 2199-12-31 (UTC)",
    )


def test_a_backend_that_changed_while_a_call_waits_delays_no_other(accounts, frozen):
    store("anymail", b"{}", frozen, "application/json")
    message = good(frozen)
    accounts("no_such_service")
    for _ in range(3):
        apply_due(now=frozen.now)
        frozen.forward(301)
    message.refresh_from_db()
    assert message.status == "delivered"
    assert ProviderCallback.objects.get(provider="anymail").state == "unreadable"


def test_a_call_that_cannot_be_decrypted_delays_no_other(frozen):
    store("generic", b"{}", frozen, "application/json")
    ProviderCallback.objects.update(call=b"not sealed at all")
    message = good(frozen)
    for _ in range(3):
        apply_due(now=frozen.now)
        frozen.forward(301)
    message.refresh_from_db()
    assert message.status == "delivered"
    assert ProviderCallback.objects.filter(state="unreadable").count() == 1


def test_a_removed_provider_delays_no_other(frozen):
    store("pigeon", b"{}", frozen, "application/json")
    message = good(frozen)
    apply_due(now=frozen.now)
    message.refresh_from_db()
    assert message.status == "delivered"
