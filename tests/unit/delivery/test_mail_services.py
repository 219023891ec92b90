"""Callbacks of every mail service: valid, forged and without a secret; and each event's kind."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import hmac
import json
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from notifications.delivery.callbacks.base import CallbackRefused, CallbackUnreadable, IncomingCall
from notifications.delivery.registry import callback_reader
from notifications.delivery.vendors.anymail.bounces import kind_by_raw
from notifications.delivery.vendors.anymail.services import SERVICES
from notifications.domain.receipts import CLOSES, ReceiptKind
from notifications.testing.mail_events import ADDRESS, REFERENCE, events

URL = "https://notify.example.org/api/v1/callbacks/anymail"
NOW = datetime(2026, 5, 1, 10, tzinfo=UTC)
REPORTING = [name for name, service in SERVICES.items() if service.view]
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CURVE = ec.generate_private_key(ec.SECP256R1())
ALL = events()
BODY = {name: next(each for each in ALL if each.service == name) for name in REPORTING}


def public(key):
    lines = (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
        .splitlines()
    )
    return "".join(lines[1:-1])


SETTINGS = {
    "mailersend": {"signing_secret": "secret"},
    "mailgun": {"webhook_signing_key": "secret"},
    "mailtrap": {"tracking_secret": "secret"},
    "mandrill": {"webhook_key": "secret"},
    "postal": {"webhook_key": public(RSA)},
    "resend": {"signing_secret": SECRET},
    "sendgrid": {"tracking_webhook_verification_key": public(CURVE)},
    "unisender_go": {"api_key": "secret"},
}
"""The key that verifies each service that signs."""


def mac(text, key=b"secret", kind=hashlib.sha256):
    return hmac.new(key, text, kind)


def signed(service, body, url=URL):
    """Returns the headers and the body of a call that the service signed."""
    if service in ("mailersend", "mailtrap"):
        name = "signature" if service == "mailersend" else "mailtrap-signature"
        return {name: mac(body).hexdigest()}, body
    if service == "mailgun":
        event = json.loads(body)
        event["signature"] = {"timestamp": "1777629600", "token": "t" * 50}
        event["signature"]["signature"] = mac(b"1777629600" + b"t" * 50).hexdigest()
        return {}, json.dumps(event).encode()
    if service == "mandrill":
        signed_text = url + "".join(
            name + value for name, value in sorted(parse_qsl(body.decode()))
        )
        digest = mac(signed_text.encode(), kind=hashlib.sha1).digest()
        return {"x-mandrill-signature": base64.b64encode(digest).decode()}, body
    if service == "postal":
        signature = RSA.sign(body, padding.PKCS1v15(), hashes.SHA1())
        return {"x-postal-signature": base64.b64encode(signature).decode()}, body
    if service == "resend":
        moment = str(int(NOW.timestamp()))
        digest = mac(f"msg_1.{moment}.".encode() + body, key=b"k" * 32).digest()
        given = "v1,bm9uZQ== v1," + base64.b64encode(digest).decode()
        return {"svix-id": "msg_1", "svix-timestamp": moment, "svix-signature": given}, body
    if service == "sendgrid":
        signature = CURVE.sign(b"1777629600" + body, ec.ECDSA(hashes.SHA256()))
        name = "x-twilio-email-event-webhook"
        encoded = base64.b64encode(signature).decode()
        return {f"{name}-signature": encoded, f"{name}-timestamp": "1777629600"}, body
    if service == "unisender_go":
        auth = hashlib.md5(body.replace(b"x" * 32, b"secret")).hexdigest()
        return {}, body.replace(b"x" * 32, auth.encode())
    return {}, body


def call_of(event, *, sign=True, password="", url=URL, body=None):
    headers, sent = {}, event.body if body is None else body
    if sign:
        given = url.replace("://", f"://{password}@") if password else url
        headers, sent = signed(event.service, sent, given)
    if password:
        headers["authorization"] = f"Basic {base64.b64encode(password.encode()).decode()}"
    return IncomingCall("POST", url, {}, {"content-type": event.content_type, **headers}, sent)


@pytest.fixture
def use(settings, frozen):
    frozen.now = NOW

    def choose(service, account=None, password="", prefix=""):
        settings.CARILLON = dataclasses.replace(
            settings.CARILLON,
            anymail_backend=f"{prefix}{service}" + (".EmailBackend" if prefix else ""),
            anymail_settings=json.dumps(account or {}),
            anymail_webhook_secret=password,
        )
        return callback_reader("anymail")

    return choose


@pytest.mark.parametrize("service", SETTINGS)
@pytest.mark.parametrize("prefix", ["", "anymail.backends."])
def test_a_key_alone_verifies_a_service_that_signs(use, service, prefix):
    reader = use(service, SETTINGS[service], prefix=prefix)

    call = call_of(BODY[service])
    reader.check(call)

    assert isinstance(reader.read(call), list)


@pytest.mark.parametrize("service", SETTINGS)
def test_with_a_password_as_well_both_are_required(use, service):
    reader = use(service, SETTINGS[service], password="carillon:pw")

    reader.check(call_of(BODY[service], password="carillon:pw"))

    for bad in (
        call_of(BODY[service]),
        call_of(BODY[service], password="carillon:other"),
        call_of(BODY[service], sign=False, password="carillon:pw"),
    ):
        with pytest.raises(CallbackRefused):
            reader.check(bad)


@pytest.mark.parametrize("service", [n for n in REPORTING if not SERVICES[n].always_signs])
def test_the_password_verifies_a_service_without_a_key(use, service):
    reader = use(service, password="carillon:pw")

    reader.check(call_of(BODY[service], sign=False, password="carillon:pw"))

    for bad in ("", "carillon:other", "carillon:", "x:pw"):
        with pytest.raises(CallbackRefused):
            reader.check(call_of(BODY[service], sign=False, password=bad))


@pytest.mark.parametrize("service", REPORTING)
def test_without_a_secret_a_service_is_refused_with_the_setting(use, service):
    reader = use(service)

    for call in (call_of(BODY[service]), call_of(BODY[service], sign=False)):
        with pytest.raises(CallbackRefused) as refused:
            reader.check(call)
        wanted = [*SERVICES[service].signed_by[:1], *(["_WEBHOOK_SECRET"] * (service in PLAIN))]
        assert all(word in str(refused.value.detail) for word in wanted)


PLAIN = {name for name in REPORTING if not SERVICES[name].always_signs}


@pytest.mark.parametrize("service", SETTINGS)
def test_a_forged_call_is_refused(use, service):
    reader = use(service, SETTINGS[service])
    good = call_of(BODY[service])
    other = good.body.replace(b"ann@", b"bob@").replace(b"ann%40", b"bob%40")
    forged = [call_of(BODY[service], sign=False)]
    if service != "mailgun":  # which signs a time and a token, and not the event
        assert other != good.body
        forged.append(IncomingCall("POST", URL, {}, good.headers, other))
    for name, value in good.headers.items():
        if name != "content-type":
            for bad in ("", "x", value[:-4] + "AAAA", "é", "\u0100"):
                headers = {**good.headers, name: bad}
                forged.append(IncomingCall("POST", URL, {}, headers, good.body))
    for call in forged:
        if call.headers == good.headers and call.body == good.body:
            continue
        with pytest.raises(CallbackRefused):
            reader.check(call)


@pytest.mark.parametrize("service", ["mailgun", "unisender_go"])
@pytest.mark.parametrize("bad", ["x", "\u0100", 7, None, [], {}])
def test_a_signature_inside_the_body_is_checked(use, service, bad):
    reader = use(service, SETTINGS[service])
    event = json.loads(call_of(BODY[service]).body)
    if service == "mailgun":
        event["signature"]["signature"] = bad
    else:
        event["auth"] = bad

    with pytest.raises(CallbackRefused):
        reader.check(call_of(BODY[service], sign=False, body=json.dumps(event).encode()))


def test_an_old_call_of_resend_is_refused(use, frozen):
    reader = use("resend", SETTINGS["resend"])
    call = call_of(BODY["resend"])
    frozen.forward(301)

    with pytest.raises(CallbackRefused):
        reader.check(call)


@pytest.mark.parametrize("service", REPORTING)
@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"null", b"7", b"[7]", b'{"event": []}', b"[" * 100_000, b"\xff\xfe", b"{"],
)
def test_any_other_body_is_refused_or_unreadable(use, service, body):
    settings = SETTINGS.get(service, {})
    reader = use(service, settings, password="" if settings else "carillon:pw")
    try:
        call = call_of(BODY[service], body=body, password="" if settings else "carillon:pw")
    except (ValueError, TypeError, LookupError, RecursionError):  # cannot even be signed
        call = call_of(BODY[service], body=body, sign=False)
    with contextlib.suppress(CallbackRefused):
        reader.check(call)
    with contextlib.suppress(CallbackUnreadable):
        assert isinstance(reader.read(call), list)


@pytest.mark.parametrize("event", ALL, ids=lambda each: f"{each.service}-{each.says}")
def test_every_event_of_every_service_has_its_kind(use, event):
    use(event.service, SETTINGS.get(event.service), password="a:b")
    found = callback_reader("anymail").read(call_of(event))

    if event.means is None:
        assert found == []
        return
    (receipt,) = found
    assert receipt.kind is event.means
    assert receipt.address == ADDRESS
    if event.service not in ("mailersend", "postal"):  # which carry no metadata
        assert receipt.reference == REFERENCE
    assert receipt.provider_message_id


@pytest.mark.parametrize("event", ALL, ids=lambda each: f"{each.service}-{each.says}")
def test_a_bounce_that_is_not_hard_closes_nothing(event):
    soft = ("soft", "Soft", "blocked", "Blocked", "Transient", "full", "Reputation", "Content")
    if any(word in event.says for word in soft):
        assert event.means not in CLOSES


@pytest.mark.parametrize("service", REPORTING)
@pytest.mark.parametrize("raw", [{}, {"event": "x"}, {"data": {}}, {"msys": {}}, {"event-data": 7}])
def test_a_bounce_in_an_unknown_form_closes_nothing(service, raw):
    assert kind_by_raw(service, ReceiptKind.BOUNCED, raw) is ReceiptKind.FAILED


def test_every_service_with_callbacks_has_events():
    assert {event.service for event in ALL} == set(REPORTING)
    for service in REPORTING:
        kinds = {event.means for event in ALL if event.service == service}
        assert {ReceiptKind.BOUNCED, ReceiptKind.FAILED, ReceiptKind.CLICKED} <= kinds | (
            {ReceiptKind.CLICKED} if service == "postal" else set()
        )


def test_mailguns_format_before_2018_separates_hard_and_soft(use):
    reader = use("mailgun", SETTINGS["mailgun"])
    kinds = {}
    for code in ("550", "5.1.1", "452", "4.2.2", "499", "605", "607", "552", "5.7.1", ""):
        form = {"event": "bounced", "recipient": ADDRESS, "timestamp": "1777629600", "code": code}
        form |= {"message-headers": "[]", "Message-Id": "<x>", "token": "t"}
        call = IncomingCall(
            "POST",
            URL,
            {},
            {"content-type": "application/x-www-form-urlencoded"},
            urlencode(form).encode(),
        )
        (receipt,) = reader.read(call)
        kinds[code] = receipt.kind
    hard = {code for code, kind in kinds.items() if kind is ReceiptKind.BOUNCED}
    assert hard == {"550", "5.1.1", "605"}


@pytest.mark.parametrize("service", ["postmark", "brevo"])
def test_a_stored_password_does_not_replace_the_environments(use, stored, service):
    reader = use(service, password="ops:real")
    stored(anymail={"webhook_secret": "evil:evil"})
    event = next(each for each in events() if each.service == service)

    reader.check(call_of(event, sign=False, password="ops:real"))
    with pytest.raises(CallbackRefused):
        reader.check(call_of(event, sign=False, password="evil:evil"))


@pytest.mark.parametrize("service", sorted(SETTINGS.keys() - {"unisender_go"}))
def test_a_stored_key_does_not_replace_the_environments(use, stored, service):
    reader = use(service, SETTINGS[service])
    forged = dict.fromkeys(SETTINGS[service], "evil")
    stored(anymail={"backend": service, "settings": json.dumps(forged)})
    event = next(each for each in events() if each.service == service)

    reader.check(call_of(event))
