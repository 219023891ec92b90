"""Services of django-anymail: anymail's request, sent by our HTTP client."""

from __future__ import annotations

import base64
import dataclasses
import json

import pytest
from django.core.mail import EmailMultiAlternatives

from notifications.delivery.vendors.anymail.send import AnymailEmailProvider, backend_of
from notifications.domain.messages import Attachment, Content, OutboundMessage, Verdict
from notifications.testing.servers import HTTPSink, Reply

SERVICES = {
    "postmark": ({"server_token": "t"}, {"ErrorCode": 0, "MessageID": "m", "Message": "OK"}),
    "mailgun": (
        {"api_key": "k", "sender_domain": "example.com"},
        {"id": "<m>", "message": "Queued. Thank you."},
    ),
    "brevo": ({"api_key": "k"}, {"messageId": "<m>"}),
    "resend": ({"api_key": "k"}, {"id": "m"}),
    "sparkpost": (
        {"api_key": "k"},
        {"results": {"id": "m", "total_accepted_recipients": 1, "total_rejected_recipients": 0}},
    ),
    "mailjet": (
        {"api_key": "k", "secret_key": "s"},
        {"Messages": [{"Status": "success", "To": [{"Email": "ann@example.org", "MessageID": 1}]}]},
    ),
}


@pytest.fixture
async def service(settings):
    async with HTTPSink() as sink:

        def configure(name, response, **own):
            sink.script = lambda _: Reply(body=json.dumps(response).encode())
            settings.CARILLON = dataclasses.replace(
                settings.CARILLON,
                email_from="Колокол <bell@example.com>",
                anymail_backend=name,
                anymail_settings=json.dumps({"api_url": sink.url, **own}),
            )
            return sink

        yield configure


async def sent(**more):
    provider = AnymailEmailProvider()
    values = {
        "message_id": 1,
        "reference": "0190aa.email",
        "channel": "email",
        "recipient": "ann@example.org",
        "content": Content("Оплата", "Текст", "<p>Текст</p>"),
        "category": "payment",
        "reply_to": "help@example.com",
        "headers": {"List-Unsubscribe": "<https://bell.example.com/u/1>"},
    }
    (result,) = await provider.send_batch([OutboundMessage(**{**values, **more})])
    await provider.close()
    return result


@pytest.mark.parametrize("name", SERVICES)
async def test_the_request_equals_that_of_anymail(service, name):
    own, response = SERVICES[name]
    sink = service(name, response, **own)

    result = await sent()

    backend = backend_of(name, {"api_url": sink.url, **own})
    backend.open()
    mail = EmailMultiAlternatives(
        "Оплата",
        "Текст",
        "Колокол <bell@example.com>",
        ["ann@example.org"],
        reply_to=["help@example.com"],
        headers={"List-Unsubscribe": "<https://bell.example.com/u/1>"},
    )
    mail.attach_alternative("<p>Текст</p>", "text/html")
    mail.metadata, mail.tags = {"reference": "0190aa.email"}, ["payment"]
    with HTTPSink(script=sink.script).run_in_thread() as theirs:
        backend.api_url = theirs.url + "/"
        backend._send(mail)
    backend.close()
    (ours,), (wanted,) = sink.requests, theirs.requests
    assert result.verdict is Verdict.SENT, result
    assert (ours.method, ours.path) == (wanted.method, wanted.path)
    assert ours.headers.get("authorization") == wanted.headers.get("authorization")
    assert comparable(ours) == comparable(wanted)
    assert b"0190aa.email" in ours.body


def comparable(request):
    """Returns the body, without what is random in each request."""
    kind = request.headers["content-type"]
    if "json" not in kind:
        return request.body.replace(kind.rpartition("boundary=")[2].encode(), b"")
    body = json.loads(request.body)
    for holder in (body, *body.get("personalizations", [])):
        for names in (holder, holder.get("custom_args", {})):
            names.pop("anymail_id", None)
    return body


@pytest.mark.parametrize(
    ("code", "status", "verdict", "error_code", "dead"),
    [
        (406, 422, Verdict.FAILED, "anymail_rejected", False),
        (300, 422, Verdict.FAILED, "anymail_invalid", True),
        (10, 401, Verdict.RETRY, "auth", False),
        (429, 429, Verdict.RETRY, "http_429", False),
        (500, 500, Verdict.RETRY, "http_500", False),
    ],
)
async def test_the_services_own_status_decides(service, code, status, verdict, error_code, dead):
    text = {
        300: "Error parsing 'To': Illegal email address 'ann@example.org'. It must contain @.",
        406: "Found inactive addresses: ann@example.org. Inactive recipients are ones that bounced",
    }.get(code, "ann@example.org")
    sink = service("postmark", {}, server_token="t")
    body = json.dumps({"ErrorCode": code, "Message": text}).encode()
    sink.script = lambda _: Reply(status, body=body)

    result = await sent()

    assert (result.verdict, result.error_code, result.recipient_dead) == (verdict, error_code, dead)
    assert "ann@example.org" not in result.error


@pytest.mark.parametrize(
    "backend", ["", "unknown", "amazon_ses", "test", "django.core.mail.backends.smtp.EmailBackend"]
)
async def test_an_unusable_backend_loses_no_message(service, backend):
    sink = service(backend, {})

    result = await sent()

    assert (result.verdict, result.error_code) == (Verdict.RETRY, "not_configured")
    assert "CARILLON_ANYMAIL_BACKEND" in result.error
    assert sink.count == 0


async def test_a_missing_setting_loses_no_message(service):
    sink = service("postmark", {})

    result = await sent()

    assert (result.verdict, result.error_code) == (Verdict.RETRY, "not_configured")
    assert sink.count == 0


async def test_files_are_attached(service):
    own, response = SERVICES["postmark"]
    sink = service("postmark", response, **own)
    await sent(attachments=(Attachment("Счёт.pdf", "application/pdf", b"%PDF"),))

    (file,) = json.loads(sink.requests[0].body)["Attachments"]
    assert file["Name"] == "Счёт.pdf"
    assert file["ContentType"] == "application/pdf"
    assert base64.b64decode(file["Content"]) == b"%PDF"


@pytest.mark.parametrize(
    ("kind", "content", "sent_as"),
    [
        ('text/csv; charset="windows-1251"', "Счёт".encode("cp1251"), "windows-1251"),
        ("text/plain; charset=utf-8", "Счёт".encode(), "utf-8"),
        ("text/plain; charset=utf-8", b"\xff\xfe", "application/octet-stream"),
        ("text/plain; charset=klingon", b"a", "application/octet-stream"),
    ],
)
async def test_a_text_keeps_its_charset_and_its_bytes(service, kind, content, sent_as):
    own, response = SERVICES["postmark"]
    sink = service("postmark", response, **own)
    await sent(attachments=(Attachment("a.txt", kind, content),))

    (file,) = json.loads(sink.requests[0].body)["Attachments"]
    assert sent_as in file["ContentType"]
    assert base64.b64decode(file["Content"]) == content


async def test_a_header_with_a_line_break_is_not_sent(service):
    sink = service("postmark", {}, server_token="t")

    result = await sent(content=Content("a\r\nBcc: eve@example.org", "b"))

    assert (result.verdict, result.error_code) == (Verdict.FAILED, "invalid_message")
    assert sink.count == 0


REQUESTED = "ann@bücher.example"
SPELLINGS = [
    "ann@bücher.example",
    "ann@xn--bcher-kva.example",
    "Ann@BÜCHER.example",
    "ANN@XN--BCHER-KVA.EXAMPLE",
]


def responses_for(spelling):
    """Returns the response of each service that returns the address, by its name."""
    mailjet = {"Status": "success", "To": [{"Email": spelling, "MessageID": 7}]}
    return {
        "postmark": (
            {"server_token": "t"},
            {"ErrorCode": 0, "MessageID": "7", "Message": "OK", "To": spelling},
        ),
        "mailjet": ({"api_key": "k", "secret_key": "s"}, {"Messages": [mailjet]}),
        "mandrill": ({"api_key": "k"}, [{"email": spelling, "status": "sent", "_id": "7"}]),
        "postal": (
            {"api_key": "k"},
            {"status": "success", "data": {"message_id": "x", "messages": {spelling: {"id": 7}}}},
        ),
        "unisender_go": (
            {"api_key": "k", "generate_message_id": False},
            {"status": "success", "job_id": "7", "emails": [spelling]},
        ),
    }


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("name", responses_for(""))
async def test_the_recipient_is_found_by_its_message_id_in_any_spelling(service, name, spelling):
    own, response = responses_for(spelling)[name]
    service(name, response, **own)

    result = await sent(recipient=REQUESTED)

    assert result.verdict is Verdict.SENT, result
    assert result.provider_message_id in ("7", "x")


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(
    ("name", "own", "response", "code"),
    [
        (
            "postmark",
            {"server_token": "t"},
            {"ErrorCode": 406, "Message": "Found inactive addresses: {}. Inactive recipients are"},
            "anymail_rejected",
        ),
        (
            "mandrill",
            {"api_key": "k"},
            [{"email": "{}", "status": "rejected", "reject_reason": "hard-bounce"}],
            "anymail_rejected",
        ),
        (
            "mandrill",
            {"api_key": "k"},
            [{"email": "{}", "status": "invalid", "_id": "7"}],
            "anymail_invalid",
        ),
        (
            "mailjet",
            {"api_key": "k", "secret_key": "s"},
            {"Messages": [{"Status": "error", "Errors": [{"ErrorMessage": "{}"}]}]},
            "anymail_failed",
        ),
    ],
)
async def test_a_refused_recipient_is_refused_in_any_spelling(
    service, name, own, response, code, spelling
):
    text = json.dumps(response, ensure_ascii=False).replace("{}", spelling)
    sink = service(name, {}, **own)
    sink.script = lambda _: Reply(422 if name == "postmark" else 200, body=text.encode())

    result = await sent(recipient=REQUESTED)

    assert (result.verdict, result.error_code) == (Verdict.FAILED, code)
