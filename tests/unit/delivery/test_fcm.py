"""FCM HTTP v1: the request by Google's document, and the meaning of its error codes."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import runpy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jsonschema import ValidationError

from notifications.delivery.vendors.fcm.send import FCMPushProvider, request_of
from notifications.domain.messages import Content, OutboundMessage, Verdict
from notifications.infra import clock
from notifications.testing.servers import HTTPSink, Reply

ORACLES = Path(__file__).parents[4] / "shared" / "oracles"
TOKEN = "fWtok_en:APA91b" + "x" * 120
NAME = "projects/demo/messages/0:1500415314455276%31bd1c9631bd1c96"
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class FCM:
    """Google on loopback: issues numbered access tokens and sends the scripted response."""

    def __init__(self):
        self.sink = HTTPSink(script=self._respond)
        self.granted = 0
        self.refused_tokens = set()
        self.token_reply = None
        self.reply = Reply(body=json.dumps({"name": NAME}).encode())

    def _respond(self, request):
        if request.path == "/token":
            self.granted += 1
            token = {"access_token": f"access-{self.granted}", "expires_in": 3599}
            return self.token_reply or Reply(body=json.dumps(token).encode())
        if request.headers["authorization"] in self.refused_tokens:
            return Reply(401)
        return self.reply

    @property
    def sends(self):
        return [request for request in self.sink.requests if request.path != "/token"]


@pytest.fixture
async def fcm():
    made = FCM()
    async with made.sink:
        yield made


@pytest.fixture
async def provider(settings, tmp_path, key, fcm):
    account = {
        "type": "service_account",
        "project_id": "demo",
        "client_email": "fcm@demo.example",
        "private_key": key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
        "private_key_id": "key-1",
        "token_uri": fcm.sink.url + "/token",
    }
    file = tmp_path / "account.json"
    file.write_text(json.dumps(account))
    settings.CARILLON = dataclasses.replace(
        settings.CARILLON,
        fcm_credentials=str(file),
        fcm_base_url=fcm.sink.url,
        provider_timeout_seconds=20,
    )
    made = FCMPushProvider()
    yield made
    await made.close()


def message(**fields):
    data = {"url": "https://example.com/c/1", "icon": "https://example.com/i.png", "n": 3}
    return OutboundMessage(
        **{
            "message_id": 1,
            "reference": "0190aa.push",
            "channel": "push",
            "recipient": TOKEN,
            "content": Content("Оплата", "Принята 🎉", data=data),
            **fields,
        }
    )


async def send(provider, one=None):
    with clock.reading(lambda: AT):
        (result,) = await provider.send_batch([one or message()])
    return result


async def test_sends_what_fcm_documents(provider, fcm):
    one = message(priority=1, collapse_key="course-7", expires_at_s=AT.timestamp() + 90.5)

    result = await send(provider, one)

    assert result.verdict is Verdict.SENT
    assert result.provider_message_id == NAME
    (request,) = fcm.sends
    assert (request.method, request.path) == ("POST", "/v1/projects/demo/messages:send")
    assert request.headers["authorization"] == "Bearer access-1"
    assert json.loads(request.body)["message"] == {
        "token": TOKEN,
        "notification": {"title": "Оплата", "body": "Принята 🎉"},
        "data": {
            "url": "https://example.com/c/1",
            "icon": "https://example.com/i.png",
            "n": "3",
            "reference": "0190aa.push",
        },
        "android": {"priority": "HIGH", "ttl": "90s", "collapse_key": "course-7"},
        "webpush": {
            "headers": {"Urgency": "high", "TTL": "90"},
            "notification": {"icon": "https://example.com/i.png"},
            "fcm_options": {"link": "https://example.com/c/1"},
        },
        "apns": {
            "headers": {
                "apns-priority": "10",
                "apns-expiration": str(int(AT.timestamp()) + 90),
                "apns-collapse-id": "course-7",
            }
        },
    }


@pytest.mark.filterwarnings("ignore:unclosed file")  # from the oracle's file reading
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(not ORACLES.is_dir(), reason="../shared/oracles (Google's document) is absent")
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"priority": 1, "collapse_key": "k" * 200, "expires_at_s": AT.timestamp() + 1e9},
        {"priority": 4, "content": Content("", "")},
        {"content": Content("a", "b", data={"x": {"y": [1, None]}, "url": "http://insecure"})},
    ],
)
async def test_the_request_passes_googles_discovery_document(provider, fcm, fields):
    check = runpy.run_path(str(ORACLES / "check.py"))["fcm"]

    await send(provider, message(**fields))

    (request,) = fcm.sends
    headers = dict(request.headers)
    check({"body": request.body.decode(), "path": request.path, "headers": headers})
    misspelled = request.body.decode().replace('"android"', '"androit"')
    with pytest.raises(ValidationError, match="androit"):
        check({"body": misspelled, "path": request.path, "headers": headers})


@pytest.mark.parametrize(
    ("fields", "path", "expected"),
    [
        ({"priority": 2}, ("android", "priority"), "HIGH"),
        ({"priority": 3}, ("android", "priority"), "NORMAL"),
        ({"expires_at_s": 100.0}, ("android", "ttl"), "0s"),
        ({"expires_at_s": 1e12}, ("android", "ttl"), "2419200s"),
        ({"collapse_key": "я" * 40}, ("apns", "headers", "apns-collapse-id"), "я" * 32),
        ({"data": {"url": "javascript:alert(1)"}}, ("webpush", "headers"), {"Urgency": "normal"}),
        ({"data": {"ok": True, "no": None}}, ("data", "ok"), "true"),
        ({"data": {"list": [1, "ё"]}}, ("data", "list"), '[1, "ё"]'),
    ],
)  # fmt: skip
def test_the_request_has_the_fields_of_each_device(fields, path, expected):
    found = request_of(TOKEN, {"title": "a", "body": "b", "priority": 3, **fields}, 1000.0)
    for name in path:
        found = found[name]

    assert found == expected


async def test_the_access_token_is_requested_as_google_documents(provider, fcm, key):
    await send(provider)

    grant = parse_qs(fcm.sink.requests[0].body.decode())
    assert grant["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    claims = jwt.decode(
        grant["assertion"][0],
        key.public_key(),
        algorithms=["RS256"],
        audience=fcm.sink.url + "/token",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims["iss"] == "fcm@demo.example"
    assert claims["scope"] == "https://www.googleapis.com/auth/firebase.messaging"
    assert claims["exp"] - claims["iat"] == 3600
    assert jwt.get_unverified_header(grant["assertion"][0])["kid"] == "key-1"


async def test_an_access_token_is_used_until_shortly_before_it_expires(provider, fcm):
    for minutes, granted in ((0, 1), (10, 1), (54, 1), (56, 2), (57, 2)):
        with clock.reading(lambda minutes=minutes: AT + timedelta(minutes=minutes)):
            await provider.send_batch([message()])
        assert fcm.granted == granted


async def test_concurrent_sends_request_one_token(provider, fcm):
    await asyncio.gather(*(provider.send_batch([message()]) for _ in range(20)))

    assert fcm.granted == 1
    assert len(fcm.sends) == 20


async def test_a_refused_access_token_is_renewed_once(provider, fcm):
    await send(provider)
    fcm.refused_tokens.add("Bearer access-1")

    result = await send(provider)

    assert result.verdict is Verdict.SENT
    assert fcm.granted == 2
    assert [request.headers["authorization"] for request in fcm.sends] == [
        "Bearer access-1",
        "Bearer access-1",
        "Bearer access-2",
    ]


async def test_credentials_that_remain_refused_are_a_wrong_setting(provider, fcm):
    fcm.reply = Reply(401)

    result = await send(provider)

    assert (result.verdict, result.error_code) == (Verdict.RETRY, "auth")
    assert not result.recipient_dead
    assert len(fcm.sends) == 2


def error(status, name, code="", text=""):
    details = [{"@type": ERROR, "errorCode": code}] if code else []
    body = {"error": {"code": status, "message": text, "status": name, "details": details}}
    return Reply(status, body=json.dumps(body).encode())


@pytest.mark.parametrize(
    ("reply", "verdict", "code", "dead"),
    [
        (error(404, "NOT_FOUND", "UNREGISTERED"), Verdict.FAILED, "unregistered", True),
        (error(404, "NOT_FOUND"), Verdict.FAILED, "not_found", True),
        (Reply(404, body=b"<html>"), Verdict.FAILED, "http_404", False),
        (error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "Too big"), Verdict.FAILED,
         "invalid_argument", False),
        (error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "The registration token is bad"),
         Verdict.FAILED, "invalid_argument", True),
        (error(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"), Verdict.FAILED,
         "sender_id_mismatch", False),
        (error(403, "PERMISSION_DENIED"), Verdict.RETRY, "auth", False),
        (error(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"), Verdict.RETRY, "auth", False),
        (error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), Verdict.RETRY,
         "quota_exceeded", False),
        (error(500, "INTERNAL", "INTERNAL"), Verdict.RETRY, "internal", False),
        (error(503, "UNAVAILABLE", "UNAVAILABLE"), Verdict.RETRY, "unavailable", False),
        (Reply(400, body=b'{"error": "odd"}'), Verdict.FAILED, "http_400", False),
        (Reply(400, body=b'{"error": {"details": [3], "status": 7}}'), Verdict.FAILED, "7", False),
        (Reply(400, body=b"[]"), Verdict.FAILED, "http_400", False),
        (Reply(200, body=b"[]"), Verdict.UNCERTAIN, "invalid_response", False),
        (Reply(200, body=b'{"name": 7}'), Verdict.UNCERTAIN, "invalid_response", False),
    ],
)  # fmt: skip
async def test_each_error_has_its_verdict(provider, fcm, reply, verdict, code, dead):
    fcm.reply = reply

    result = await send(provider)

    assert (result.verdict, result.error_code, result.recipient_dead) == (verdict, code, dead)
    assert TOKEN not in result.error


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(400, body=b'{"error": "invalid_grant"}'), "auth"),
        (Reply(200, body=b"<html>"), "auth"),
        (Reply(200, body=b"[]"), "auth"),
        (Reply(500), "token"),
        (Reply(429), "token"),
        (Reply(raw=b"SSH-2.0\r\n\r\n"), "invalid_response"),
    ],
)
async def test_without_an_access_token_nothing_was_sent(provider, fcm, reply, code):
    fcm.token_reply = reply

    result = await send(provider)

    assert (result.verdict, result.error_code) == (Verdict.RETRY, code)
    assert result.error.startswith("no access token")
    assert fcm.sends == []


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"project_id": "a"}', "nonsense"])
async def test_unreadable_credentials_report_what_to_correct(settings, tmp_path, content):
    file = tmp_path / "account.json"
    if content is not None:
        file.write_text(content)
    settings.CARILLON = dataclasses.replace(settings.CARILLON, fcm_credentials=str(file))

    result = await send(FCMPushProvider())

    assert (result.verdict, result.error_code) == (Verdict.RETRY, "auth")
    assert result.error == (
        "the FCM credentials cannot be read: set CARILLON_FCM_CREDENTIALS to the path of the"
        " service account's JSON file"
    )


async def test_it_is_created_without_credentials_and_with_the_old_key():
    for provider in (FCMPushProvider(), FCMPushProvider("legacy-server-key")):
        result = await send(provider)
        assert (result.verdict, result.error_code) == (Verdict.RETRY, "auth")
        assert result.error.startswith("there are no FCM credentials")


@pytest.mark.parametrize("name", ["from", "message_type", "gcm.notification", "google.sent"])
async def test_reserved_names_in_data_are_refused_before_the_call(provider, fcm, name):
    result = await send(provider, message(content=Content("a", "b", data={name: "x"})))

    assert (result.verdict, result.error_code) == (Verdict.FAILED, "reserved_data_key")
    assert fcm.sink.count == 0


@pytest.mark.parametrize(
    ("token", "valid"),
    [(TOKEN, True), ("test_fcm_token", True), ("", False), ("a b", False), ("x\n" * 9, False)],
)  # fmt: skip
async def test_a_token_is_opaque_but_has_no_spaces(token, valid):
    assert await FCMPushProvider().validate_recipient(token) is valid


async def test_the_pipeline_calls_the_documented_send(monkeypatch):
    """A documented example replaces `send`; its outcome is used."""

    async def fake(self, recipient, message):
        return {"success": True, "message_id": "fcm_message_123"}

    monkeypatch.setattr(FCMPushProvider, "send", fake)

    (result,) = await FCMPushProvider().send_batch([message(recipient="test_fcm_token")])

    assert (result.verdict, result.provider_message_id) == (Verdict.SENT, "fcm_message_123")
