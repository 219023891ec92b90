"""Requests to Twilio and Telegram, and Twilio's responses, by their published documents."""

from __future__ import annotations

import dataclasses
import json
import runpy
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from jsonschema import ValidationError

from notifications.delivery.base import StatusQuery
from notifications.delivery.vendors.telegram.send import TelegramBotProvider
from notifications.delivery.vendors.twilio.faults import kind_of
from notifications.delivery.vendors.twilio.send import TwilioSMSProvider
from notifications.domain.messages import Content, OutboundMessage
from notifications.testing.servers import HTTPSink, Reply

ORACLES = Path(__file__).parents[3] / "shared" / "oracles"
pytestmark = [
    pytest.mark.skipif(not ORACLES.is_dir(), reason="../shared/oracles (documents) are absent"),
    pytest.mark.filterwarnings("ignore:unclosed file"),  # from the oracle's file reading
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SID = "AC" + "a" * 32
MESSAGES = "/2010-04-01/Accounts/{AccountSid}/Messages"


@pytest.fixture
async def sink(settings):
    async with HTTPSink(script=lambda _: Reply(body=b"{}")) as opened:
        settings.CARILLON = dataclasses.replace(
            settings.CARILLON,
            public_url="https://bell.example.com",
            twilio_base_url=opened.url,
            twilio_account_sid=SID,
            twilio_auth_token="secret",
            twilio_from="+15005550006",
            telegram_base_url=opened.url,
            telegram_bot_token="123:secret",
        )
        yield opened


def check(name):
    return runpy.run_path(str(ORACLES / "check.py"))[name]


def captured(sink):
    (request,) = sink.requests
    headers = {name.lower(): value for name, value in request.headers.items()}
    return {"path": request.path, "headers": headers, "body": request.body.decode()}


async def send(provider, channel, recipient, **more):
    values = {"message_id": 1, "reference": "0190aa.x", "channel": channel, "recipient": recipient}
    content = more.pop("content", Content("Paid", "We got 5 € <now>"))
    await provider.send_batch([OutboundMessage(**values, content=content, **more)])
    await provider.close()


@pytest.fixture
def twilio_document():
    return json.loads((ORACLES / "twilio_api_v2010.json").read_text())


@pytest.mark.parametrize("more", [{}, {"expires_at_s": 1e12}, {"expires_at_s": 0.0}])
@pytest.mark.parametrize("service", ["", "MG" + "c" * 32])
async def test_an_sms_conforms_to_twilios_openapi_document(settings, sink, more, service):
    settings.CARILLON = dataclasses.replace(settings.CARILLON, twilio_messaging_service=service)

    await send(TwilioSMSProvider(), "sms", "+4915112345678", **more)

    request = captured(sink)
    check("twilio")(request)
    request["body"] += "&Unknown=1"
    with pytest.raises(ValidationError, match="Unknown"):
        check("twilio")(request)


@pytest.mark.parametrize("name", ["", "SM" + "b" * 32])
async def test_status_queries_are_calls_that_twilio_documents(sink, twilio_document, name):
    provider = TwilioSMSProvider()
    await provider.query_status(StatusQuery("+4915112345678", 0.0, 60.0, name))
    await provider.close()

    (request,) = sink.requests
    where = urlsplit(request.path)
    path = f"{MESSAGES}/{{Sid}}.json" if name else f"{MESSAGES}.json"
    assert where.path == path.format(AccountSid=SID, Sid=name)
    operation = twilio_document["paths"][path]["get"]
    taken = {each["name"]: each["schema"] for each in operation["parameters"]}
    sent = parse_qs(where.query)
    assert set(sent) <= set(taken)
    if not name:
        (size,) = sent["PageSize"]
        assert 1 <= int(size) <= taken["PageSize"]["maximum"]


async def test_the_account_is_requested_as_twilio_documents(sink, twilio_document):
    provider = TwilioSMSProvider()
    await provider.examine()
    await provider.close()

    (request,) = sink.requests
    path = "/2010-04-01/Accounts/{Sid}.json"
    assert request.path == path.format(Sid=SID)
    assert "get" in twilio_document["paths"][path]
    assert "active" in twilio_document["components"]["schemas"]["account_enum_status"]["enum"]


def test_the_fields_that_are_read_are_documented(twilio_document):
    schemas = twilio_document["components"]["schemas"]
    fields = schemas["api.v2010.account.message"]["properties"]
    read = ("sid", "status", "error_code", "to", "from", "direction", "date_created")
    assert {*read, "messaging_service_sid"} <= set(fields)
    assert fields["error_code"]["type"] == "integer"
    assert fields["date_created"]["format"] == "date-time-rfc-2822"
    assert "outbound-api" in schemas["message_enum_direction"]["enum"]


def test_every_status_of_twilio_is_known_or_in_flight(twilio_document):
    documented = twilio_document["components"]["schemas"]["message_enum_status"]["enum"]
    open_yet = {"queued", "sending", "accepted", "scheduled", "receiving", "received"}
    assert {status for status in documented if kind_of(status, "") is None} == open_yet


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"priority": 4},
        {"content": Content("", "a", data={"url": "https://example.com/a?b=1&c=2"})},
        {"content": Content("", "&" * 4096)},
    ],
)
@pytest.mark.parametrize("recipient", ["123456789", "@bell_updates"])
async def test_a_chat_message_conforms_to_the_bot_api(sink, more, recipient):
    await send(TelegramBotProvider(), "telegram", recipient, **more)

    request = captured(sink)
    request["path"] = "/" + request["path"].rsplit("/", 1)[1]
    check("telegram")(request)
    body = json.loads(request["body"])
    with pytest.raises(AssertionError, match="unknown"):
        check("telegram")({**request, "body": json.dumps({**body, "unknown": 1})})


async def test_the_bot_is_checked_by_a_documented_method(sink):
    provider = TelegramBotProvider()
    await provider.examine()
    await provider.close()

    document = json.loads((ORACLES / "telegram-bot-api.json").read_text())
    assert sink.requests[0].path.rsplit("/", 1)[1] in document["methods"]
