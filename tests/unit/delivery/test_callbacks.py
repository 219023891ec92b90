"""Readers of callbacks: signatures by the vendors' libraries, and the receipt of each event."""

from __future__ import annotations

import base64
import dataclasses
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook
from twilio.request_validator import RequestValidator, add_port, remove_port

from notifications.delivery.callback_urls import callback_url
from notifications.delivery.callbacks.base import (
    CallbackRefused,
    CallbackUnreadable,
    IncomingCall,
)
from notifications.delivery.registry import CALLBACKS, PROVIDERS, callback_reader, provider_class
from notifications.delivery.vendors.ses import sns
from notifications.domain.receipts import Receipt, ReceiptKind
from notifications.infra.http.client import HttpFault, Response

TOPIC = "arn:aws:sns:eu-west-1:123456789012:carillon"
CERTIFICATE = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem"
REFERENCE = f"{7:032x}.email"


@pytest.fixture
def configure(settings):
    def change(**values):
        settings.CARILLON = dataclasses.replace(
            settings.CARILLON, public_url="https://bell.example.com", **values
        )

    change()
    return change


def call(body=b"", *, url="https://bell.example.com/api/v1/callbacks/x", query=None, **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return IncomingCall("POST", url, query or {}, names, body)


def test_every_provider_with_receipts_has_a_reader():
    reporting = {key for key in PROVIDERS if provider_class(key).capabilities.receipts}

    assert reporting <= set(CALLBACKS)
    assert all(callback_reader(key).key == key for key in CALLBACKS)


def test_a_stored_call_is_read_back_unchanged():
    original = call(b"\x00\xff", query={"a": "b"}, x_one="two")

    assert IncomingCall.from_json(json.loads(json.dumps(original.as_json()))) == original


# -- Twilio --------------------------------------------------------------------------------------

SMS = f"{7:032x}.sms"


def twilio_call(form, *, token="secret"):
    url = callback_url("twilio", SMS)
    signature = RequestValidator(token).compute_signature(url, form)
    query = dict(pair.split("=") for pair in url.partition("?")[2].split("&"))
    return call(urlencode(form).encode(), url=url, query=query, x_twilio_signature=signature)


FORM = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+4915112345678", "Ext": ""}


def test_twilios_library_and_ours_compute_the_same_signature(configure):
    configure(twilio_auth_token="secret")

    callback_reader("twilio").check(twilio_call({**FORM, "Body": "Grüße & +1 = 2"}))


@pytest.mark.parametrize(
    "base", ["https://n.example", "https://n.example:8443", "http://n.example:80"]
)
@pytest.mark.parametrize("signed", ["as it is", "with the port", "without the port"])
def test_twilios_signature_is_valid_with_and_without_the_port(configure, base, signed):
    configure(twilio_auth_token="secret")
    url = f"{base}/api/v1/callbacks/twilio?ref={SMS}"
    validator, parts = RequestValidator("secret"), urlsplit(url)
    spell = {"as it is": lambda _: url, "with the port": add_port, "without the port": remove_port}
    given = spell[signed](parts)
    signature = validator.compute_signature(given, FORM)
    body, query = urlencode(FORM).encode(), {"ref": SMS}

    callback_reader("twilio").check(call(body, url=url, query=query, x_twilio_signature=signature))
    other = validator.compute_signature(given.replace("twilio", "other"), FORM)
    with pytest.raises(CallbackRefused):
        callback_reader("twilio").check(call(body, url=url, query=query, x_twilio_signature=other))


@pytest.mark.parametrize("token", ["secret", ""])
def test_a_call_that_twilio_did_not_sign_is_refused(configure, token):
    configure(twilio_auth_token=token)

    with pytest.raises(CallbackRefused):
        callback_reader("twilio").check(twilio_call(FORM, token="another"))


def test_a_stored_token_does_not_replace_the_environments(configure, stored):
    """A caller who may store an account could otherwise forge STOP and START of others."""
    configure(twilio_auth_token="secret")
    stored(twilio={"account_sid": "AC1", "auth_token": "evil"})

    callback_reader("twilio").check(twilio_call(FORM))
    with pytest.raises(CallbackRefused):
        callback_reader("twilio").check(twilio_call(FORM, token="evil"))


def test_a_stored_token_is_used_if_the_environment_has_none(configure, stored):
    configure(twilio_auth_token="")
    stored(twilio={"account_sid": "AC1", "auth_token": "mine"})

    callback_reader("twilio").check(twilio_call(FORM, token="mine"))


@pytest.mark.parametrize(
    ("status", "error", "kind", "code"),
    [
        ("sent", "", ReceiptKind.SENT, ""),
        ("delivered", "", ReceiptKind.DELIVERED, ""),
        ("undelivered", "30003", ReceiptKind.FAILED, "twilio_30003"),
        ("undelivered", "30005", ReceiptKind.BOUNCED, "twilio_30005"),
        ("failed", "30004", ReceiptKind.BLOCKED, "twilio_30004"),
    ],
)
def test_a_status_of_twilio_becomes_a_receipt(configure, status, error, kind, code):
    form = {**FORM, "MessageStatus": status, "ErrorCode": error}

    (receipt,) = callback_reader("twilio").read(twilio_call(form))

    assert (receipt.kind, receipt.code) == (kind, code)
    assert (receipt.reference, receipt.provider_message_id) == (SMS, "SM1")
    assert receipt.address == "+4915112345678"


def test_a_message_in_flight_is_no_receipt(configure):
    assert callback_reader("twilio").read(twilio_call({**FORM, "MessageStatus": "queued"})) == []


def test_an_undocumented_status_of_twilio_is_unreadable(configure):
    with pytest.raises(CallbackUnreadable):
        callback_reader("twilio").read(twilio_call({**FORM, "MessageStatus": "vanished"}))


# -- SES over SNS --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def amazon():
    """A key of SNS, and its certificate."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    return key, certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def fetched(amazon, monkeypatch):
    """The URLs that were fetched; the certificate is at one of them."""
    seen = []

    def fetch(url):
        seen.append(url)
        return Response(200, {}, amazon[1])

    monkeypatch.setattr(sns, "fetch", fetch)
    sns.certificate_key.cache_clear()
    yield seen
    sns.certificate_key.cache_clear()


@pytest.fixture
def signed(amazon, configure):
    configure(ses_topics=(TOPIC,))

    def sign(message="", *, version="1", **more):
        body = {
            "Type": "Notification",
            "MessageId": "22b80b92",
            "TopicArn": TOPIC,
            "Message": message if isinstance(message, str) else json.dumps(message),
            "Timestamp": "2026-05-02T00:54:06.655Z",
            "SignatureVersion": version,
            "SigningCertURL": CERTIFICATE,
            **more,
        }
        algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
        signature = amazon[0].sign(sns.string_to_sign(body), padding.PKCS1v15(), algorithm)
        body["Signature"] = base64.b64encode(signature).decode()
        return body

    return sign


def as_call(message):
    return call(json.dumps(message).encode())


@pytest.mark.parametrize("version", ["1", "2"])
def test_an_sns_message_is_accepted_and_its_certificate_fetched_once(signed, fetched, version):
    for _ in range(2):
        callback_reader("ses").check(as_call(signed("{}", version=version, Subject="Amazon SES")))

    assert fetched == [CERTIFICATE]


@pytest.mark.parametrize(
    ("_case", "change"),
    [
        ("altered", {"Message": "other"}),
        ("another's topic", {"TopicArn": TOPIC + "2"}),
        ("no signature", {"Signature": ""}),
        ("no base64", {"Signature": "?"}),
        ("an unknown version", {"SignatureVersion": "3"}),
        ("another's certificate", {"SigningCertURL": "https://evil.example/x.pem"}),
        ("a host that only begins so", {"SigningCertURL": CERTIFICATE.replace(".com/", ".com.x/")}),
        ("a user name", {"SigningCertURL": CERTIFICATE.replace("//", "//sns.amazonaws.com@")}),
        ("without TLS", {"SigningCertURL": CERTIFICATE.replace("https", "http")}),
        ("no certificate", {"SigningCertURL": CERTIFICATE.replace(".pem", ".txt")}),
        ("of no type", {"Type": "Hello"}),
    ],
)
def test_a_message_that_sns_did_not_sign_is_refused(signed, fetched, _case, change):
    with pytest.raises(CallbackRefused):
        callback_reader("ses").check(as_call({**signed("{}"), **change}))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"not json", b"\xff"])
def test_a_body_that_is_no_sns_message_is_refused(configure, body):
    with pytest.raises(CallbackRefused):
        callback_reader("ses").check(call(body))


def test_a_subscription_is_confirmed_automatically(signed, fetched):
    where = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=x"
    message = signed("You chose", Type="SubscriptionConfirmation", SubscribeURL=where, Token="x")

    callback_reader("ses").check(as_call(message))

    assert fetched == [CERTIFICATE, where]
    assert callback_reader("ses").read(as_call(message)) == []


def test_a_confirmation_url_of_another_host_is_not_requested(signed, fetched):
    where = "https://evil.example/?Action=ConfirmSubscription"
    message = signed("You chose", Type="SubscriptionConfirmation", SubscribeURL=where, Token="x")

    with pytest.raises(CallbackRefused):
        callback_reader("ses").check(as_call(message))

    assert where not in fetched


def test_a_certificate_that_cannot_be_fetched_is_an_http_fault(signed, fetched, monkeypatch):
    monkeypatch.setattr(sns, "fetch", lambda _: Response(503, {}, b""))

    with pytest.raises(HttpFault):
        callback_reader("ses").check(as_call(signed("{}")))


MAIL = {
    "messageId": "0100018e",
    "timestamp": "2026-05-01T10:00:00.000Z",
    "destination": ["ann@example.org"],
    "tags": {"CarillonReference": [REFERENCE.replace(".", "-")]},
}
BOUNCE = {
    "bounceType": "Permanent",
    "bounceSubType": "General",
    "timestamp": "2026-05-01T10:00:05.000Z",
    "bouncedRecipients": [{"emailAddress": "ann@example.org", "status": "5.1.1"}],
}
COMPLAINT = {
    "complainedRecipients": [{"emailAddress": "ann@example.org"}],
    "complaintFeedbackType": "abuse",
    "timestamp": "2026-05-01T11:00:00.000Z",
}


@pytest.mark.parametrize(
    ("name", "detail", "kind", "code"),
    [
        ("Bounce", BOUNCE, ReceiptKind.BOUNCED, "ses_bounce_general"),
        ("Bounce", {**BOUNCE, "bounceType": "Transient"}, ReceiptKind.FAILED, "ses_bounce_general"),
        ("Complaint", COMPLAINT, ReceiptKind.COMPLAINED, "ses_complaint_abuse"),
        ("Delivery", {"timestamp": "2026-05-01T10:00:02Z"}, ReceiptKind.DELIVERED, "ses_delivery"),
        ("DeliveryDelay", {"delayType": "General"}, ReceiptKind.DEFERRED, "ses_deliverydelay"),
        ("Reject", {"reason": "Bad content"}, ReceiptKind.FAILED, "ses_reject"),
        ("Rendering Failure", {}, ReceiptKind.FAILED, "ses_rendering_failure"),
        ("Open", {}, ReceiptKind.OPENED, "ses_open"),
    ],
)
@pytest.mark.parametrize("form", ["eventType", "notificationType"])
def test_an_event_of_ses_becomes_a_receipt(signed, name, detail, kind, code, form):
    key = name[0].lower() + name[1:].replace(" ", "")

    (receipt,) = callback_reader("ses").read(
        as_call(signed({form: name, "mail": MAIL, key: detail}))
    )

    assert (receipt.kind, receipt.code) == (kind, code)
    assert (receipt.reference, receipt.provider_message_id) == (REFERENCE, "0100018e")
    assert receipt.address == "ann@example.org"
    assert receipt.at is not None


def test_the_text_that_sets_a_topic_up_has_no_receipt(signed):
    text = "Successfully validated SNS topic for Amazon SES event publishing."

    assert callback_reader("ses").read(as_call(signed(text))) == []


@pytest.mark.parametrize("message", ["hello", {"eventType": "Party"}, {"eventType": "Bounce"}, []])
def test_a_message_that_is_no_ses_event_is_unreadable(signed, message):
    with pytest.raises(CallbackUnreadable):
        callback_reader("ses").read(as_call(signed(message)))


# -- anymail -------------------------------------------------------------------------------------


def postmark(**more):
    event = {
        "RecordType": "Delivery",
        "MessageID": "pm-1",
        "Recipient": "ann@example.org",
        "DeliveredAt": "2026-05-01T10:00:00Z",
        "Metadata": {"reference": REFERENCE},
        **more,
    }
    basic = base64.b64encode(b"carillon:secret").decode()
    return call(
        json.dumps(event).encode(), content_type="application/json", authorization=f"Basic {basic}"
    )


@pytest.fixture
def with_postmark(configure):
    configure(
        anymail_backend="postmark",
        anymail_settings='{"server_token": "t"}',
        anymail_webhook_secret="carillon:secret",
    )


@pytest.mark.parametrize(
    ("event", "kind", "code"),
    [
        ({}, ReceiptKind.DELIVERED, "anymail_delivered"),
        (
            {"RecordType": "Bounce", "Type": "HardBounce", "ID": 1, "Email": "ann@example.org"},
            ReceiptKind.BOUNCED,
            "anymail_bounced_bounced",
        ),
        (
            {"RecordType": "SpamComplaint", "Type": "SpamComplaint", "Email": "ann@example.org"},
            ReceiptKind.COMPLAINED,
            "anymail_complained_spam",
        ),
    ],
)
def test_an_event_of_a_mail_service_becomes_a_receipt(with_postmark, event, kind, code):
    callback_reader("anymail").check(postmark(**event))
    (receipt,) = callback_reader("anymail").read(postmark(**event))

    assert (receipt.kind, receipt.code) == (kind, code)
    assert (receipt.reference, receipt.provider_message_id) == (REFERENCE, "pm-1")
    assert receipt.address == "ann@example.org"


def test_another_password_is_refused(with_postmark, configure):
    configure(anymail_backend="postmark", anymail_webhook_secret="carillon:other")

    with pytest.raises(CallbackRefused):
        callback_reader("anymail").check(postmark())


@pytest.mark.parametrize("backend", ["postmark", "", "unknown"])
def test_without_a_secret_every_call_is_refused(configure, backend):
    configure(anymail_backend=backend, anymail_webhook_secret="")

    with pytest.raises(CallbackRefused):
        callback_reader("anymail").check(postmark())


def test_an_undocumented_body_of_a_mail_service_is_unreadable(with_postmark):
    with pytest.raises(CallbackUnreadable):
        callback_reader("anymail").read(call(b"<html>", content_type="application/json"))


# -- generic -------------------------------------------------------------------------------------


def generic(event, settings, *, at, key=None):
    body = json.dumps(event).encode()
    signature = Webhook(key or settings.CALLBACK_SECRET).sign("msg_1", at, body.decode())
    return call(
        body,
        webhook_id="msg_1",
        webhook_timestamp=str(int(at.timestamp())),
        webhook_signature=f"v1,bm9uc2Vuc2U= {signature}",
    )


EVENT = {"event": "bounced", "reference": REFERENCE, "at": "2026-05-01T10:00:00+02:00"}


def test_a_call_signed_by_the_reference_library_is_accepted(settings, frozen):
    callback_reader("generic").check(generic(EVENT, settings, at=frozen.now))


@pytest.mark.parametrize("seconds", [-301, 301])
def test_an_old_call_is_refused(settings, frozen, seconds):
    with pytest.raises(CallbackRefused, match="five minutes"):
        callback_reader("generic").check(
            generic(EVENT, settings, at=frozen.now + timedelta(seconds=seconds))
        )


def test_another_key_is_refused(settings, frozen):
    other = "whsec_" + base64.b64encode(b"0" * 32).decode()
    with pytest.raises(CallbackRefused):
        callback_reader("generic").check(generic(EVENT, settings, at=frozen.now, key=other))


def test_unsigned_calls_are_refused():
    with pytest.raises(CallbackRefused):
        callback_reader("generic").check(call(b"{}"))


def test_a_body_has_one_event_or_several(settings, frozen):
    at = frozen.now
    one = callback_reader("generic").read(generic(EVENT, settings, at=at))
    many = callback_reader("generic").read(generic({"events": [EVENT, EVENT]}, settings, at=at))

    assert one == [
        Receipt(
            ReceiptKind.BOUNCED,
            at=datetime(2026, 5, 1, 8, tzinfo=UTC),
            reference=REFERENCE,
        )
    ]
    assert many == one * 2


@pytest.mark.parametrize(
    "event",
    [
        [],
        {"events": "x"},
        {"events": ["x"]},
        {"event": "party", "reference": "x"},
        {"event": "sent"},
        {"event": "sent", "reference": "x", "at": "yesterday"},
        {"event": "sent", "reference": "x", "at": "2026-05-01T10:00:00"},
    ],
)
def test_an_invalid_event_is_unreadable(event):
    with pytest.raises(CallbackUnreadable):
        callback_reader("generic").read(call(json.dumps(event).encode()))
