"""SES: requests equal the AWS SDK's, satisfy AWS's service model, and are accepted by moto."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import email
import json

import boto3
import botocore.config
import botocore.session
import pytest
from botocore.validate import ParamValidator
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.server import ThreadedMotoServer

from notifications.delivery.vendors.ses.send import AWSSESEmailProvider
from notifications.domain.messages import Attachment, Content, OutboundMessage, Verdict
from notifications.testing.servers import HTTPSink, Reply

SENT = json.dumps({"MessageId": "0100018e-1"}).encode()
SENDER = "Колокол <bell@example.com>"


@pytest.fixture
def configured(settings):
    def configure(url, **more):
        settings.CARILLON = dataclasses.replace(
            settings.CARILLON,
            **{
                "email_from": SENDER,
                "ses_base_url": url,
                "ses_region": "eu-west-1",
                "ses_access_key_id": "AKIDEXAMPLE",
                "ses_secret_access_key": "secret",
                "ses_configuration_set": "events",
                "provider_timeout_seconds": 20,
                **more,
            },
        )
        return AWSSESEmailProvider()

    return configure


def mail(number=1, **more):
    values = {
        "message_id": number,
        "reference": f"{number:032x}.email",
        "channel": "email",
        "recipient": f"ann{number}@example.org",
        "content": Content(f"Paid {number}", "Hello {{you}}", "<p>5 &lt; 6 & €</p>"),
        "category": "payment",
        "priority": 2,
        "headers": {"List-Unsubscribe": "<https://bell.example.com/u/1>"},
    }
    return OutboundMessage(**{**values, **more})


def client(url):
    return boto3.client(
        "sesv2",
        region_name="eu-west-1",
        endpoint_url=url,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=botocore.config.Config(retries={"max_attempts": 0}),
    )


def the_model(operation):
    session = botocore.session.get_session()
    return session.get_service_model("sesv2").operation_model(operation)


def bulk_reply(request):
    count = len(json.loads(request.body)["BulkEmailEntries"])
    results = [{"Status": "SUCCESS", "MessageId": f"m-{at}"} for at in range(count)]
    return Reply(body=json.dumps({"BulkEmailEntryResults": results}).encode())


def check_against_model(operation, request):
    model = the_model(operation)
    body = json.loads(request.body)
    report = ParamValidator().validate(body, model.input_shape)
    assert not report.has_errors(), report.generate_report()
    assert set(body) <= set(model.input_shape.members)
    assert (request.method, request.path) == (model.http["method"], model.http["requestUri"])
    assert "/eu-west-1/ses/aws4_request" in request.headers["authorization"]


async def test_one_mail_equals_the_request_of_the_sdk(configured):
    async with HTTPSink(script=lambda _: Reply(body=SENT)) as sink:
        provider = configured(sink.url)
        (result,) = await provider.send_batch([mail()])
        await provider.close()
        (ours,) = sink.requests
        given = json.loads(ours.body)
        given["Content"]["Raw"]["Data"] = base64.b64decode(given["Content"]["Raw"]["Data"])
        await asyncio.to_thread(client(sink.url).send_email, **given)
        theirs = sink.requests[1]

    check_against_model("SendEmail", ours)
    assert json.loads(ours.body) == json.loads(theirs.body)
    assert ours.headers["content-type"] == theirs.headers["content-type"]
    assert signed_headers(ours) == signed_headers(theirs)
    assert (result.verdict, result.provider_message_id) == (Verdict.SENT, "0100018e-1")


def signed_headers(request):
    text = request.headers["authorization"].split("SignedHeaders=")[1].partition(",")[0]
    return {name for name in text.split(";") if not name.startswith("amz-sdk")}


async def test_mails_with_files_are_sent_one_by_one(configured):
    files = (Attachment("Invoice.pdf", "application/pdf", b"%PDF"),)
    async with HTTPSink(script=lambda _: Reply(body=SENT)) as sink:
        provider = configured(sink.url)
        results = await provider.send_batch(
            [mail(1, attachments=files), mail(2, attachments=files)]
        )
        await provider.close()

    assert [result.verdict for result in results] == [Verdict.SENT, Verdict.SENT]
    for request in sink.requests:
        check_against_model("SendEmail", request)
        raw = base64.b64decode(json.loads(request.body)["Content"]["Raw"]["Data"])
        parsed = email.message_from_bytes(raw, policy=email.policy.default)
        (file,) = parsed.iter_attachments()
        assert (file.get_filename(), file.get_payload(decode=True)) == ("Invoice.pdf", b"%PDF")


async def test_the_mail_and_its_tags_have_the_messages_fields(configured):
    async with HTTPSink(script=lambda _: Reply(body=SENT)) as sink:
        provider = configured(sink.url)
        await provider.send_batch([mail(reply_to="help@example.com")])
        await provider.close()

    body = json.loads(sink.requests[0].body)
    parsed = email.message_from_bytes(
        base64.b64decode(body["Content"]["Raw"]["Data"]), policy=email.policy.default
    )
    assert body["EmailTags"] == [
        {"Name": "NotificationType", "Value": "payment"},
        {"Name": "Priority", "Value": "2"},
        {"Name": "CarillonReference", "Value": f"{1:032x}-email"},
    ]
    assert body["ConfigurationSetName"] == "events"
    assert body["Destination"] == {"ToAddresses": ["ann1@example.org"]}
    assert parsed["Subject"] == "Paid 1"
    assert parsed["From"] == SENDER
    assert parsed["Reply-To"] == "help@example.com"
    assert parsed["List-Unsubscribe"] == "<https://bell.example.com/u/1>"
    assert parsed.get_body(("html",)).get_content().strip() == "<p>5 &lt; 6 & €</p>"


async def test_several_mails_equal_the_bulk_request_of_the_sdk(configured):
    async with HTTPSink(script=bulk_reply) as sink:
        provider = configured(sink.url)
        results = await provider.send_batch([mail(number) for number in range(1, 4)])
        await provider.close()
        (ours,) = sink.requests
        await asyncio.to_thread(client(sink.url).send_bulk_email, **json.loads(ours.body))
        theirs = sink.requests[1]

    check_against_model("SendBulkEmail", ours)
    assert json.loads(ours.body) == json.loads(theirs.body)
    assert [result.provider_message_id for result in results] == ["m-0", "m-1", "m-2"]
    entry = json.loads(ours.body)["BulkEmailEntries"][1]
    data = entry["ReplacementEmailContent"]["ReplacementTemplate"]["ReplacementTemplateData"]
    assert json.loads(data) == {
        "subject": "Paid 2",
        "text": "Hello {{you}}",
        "html": "<p>5 &lt; 6 & €</p>",
    }
    assert entry["ReplacementHeaders"][0]["Name"] == "List-Unsubscribe"


async def test_different_mails_are_separate_calls_with_results_in_order(configured):
    def respond(request):
        return bulk_reply(request) if "bulk" in request.path else Reply(body=SENT)

    async with HTTPSink(script=respond) as sink:
        provider = configured(sink.url)
        results = await provider.send_batch(
            [
                mail(1),
                mail(2, sender="Help <help@example.com>"),
                mail(3, recipient="not an address"),
                mail(4),
                mail(5, content=Content("only text", "text")),
                mail(6, content=Content("line\r\nbreak", "text")),
            ]
        )
        await provider.close()

    verdicts = [result.verdict for result in results]
    assert [request.path.rpartition("-")[2] for request in sink.requests] == [
        "emails",
        "emails",
        "emails",
    ]
    assert sum("bulk" in request.path for request in sink.requests) == 1
    assert verdicts == [Verdict.SENT] * 2 + [Verdict.FAILED] + [Verdict.SENT] * 2 + [Verdict.FAILED]
    assert results[2].error_code == "invalid_recipient"
    assert results[5].error_code == "invalid_message"


async def test_each_mail_of_a_bulk_request_has_its_own_result(configured):
    entries = [
        {"Status": "SUCCESS", "MessageId": "m-1"},
        {"Status": "MESSAGE_REJECTED", "Error": "ann2@example.org is not verified"},
        {"Status": "TRANSIENT_FAILURE"},
        {"Status": "ACCOUNT_SENDING_PAUSED"},
        {},
    ]
    reply = Reply(body=json.dumps({"BulkEmailEntryResults": entries}).encode())
    async with HTTPSink(script=lambda _: reply) as sink:
        provider = configured(sink.url)
        results = await provider.send_batch([mail(number) for number in range(1, 6)])
        await provider.close()

    assert [(result.verdict, result.error_code) for result in results] == [
        (Verdict.SENT, ""),
        (Verdict.FAILED, "ses_message_rejected"),
        (Verdict.RETRY, "ses_transient_failure"),
        (Verdict.RETRY, "auth"),
        (Verdict.UNCERTAIN, "ses_invalid_response"),
    ]
    assert not any("ann" in result.error for result in results)


@pytest.mark.parametrize(
    ("status", "name", "verdict", "code"),
    [
        (400, "MessageRejected", Verdict.FAILED, "ses_message_rejected"),
        (400, "BadRequestException", Verdict.FAILED, "http_400"),
        (400, "AccountSuspendedException", Verdict.RETRY, "auth"),
        (400, "SendingPausedException", Verdict.RETRY, "auth"),
        (400, "LimitExceededException", Verdict.RETRY, "http_400"),
        (403, "ExpiredTokenException", Verdict.RETRY, "auth"),
        (404, "NotFoundException", Verdict.RETRY, "auth"),
        (429, "TooManyRequestsException", Verdict.RETRY, "http_429"),
    ],
)
@pytest.mark.parametrize("count", [1, 2])
async def test_the_name_of_an_error_decides_before_the_status(
    configured, status, name, verdict, code, count
):
    reply = Reply(status, headers={"x-amzn-ErrorType": f"{name}:http://internal/"})
    async with HTTPSink(script=lambda _: reply) as sink:
        provider = configured(sink.url)
        results = await provider.send_batch([mail(number) for number in range(count)])
        await provider.close()

    assert {(result.verdict, result.error_code) for result in results} == {(verdict, code)}
    assert len(results) == count


async def test_missing_credentials_lose_no_message(configured, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    async with HTTPSink() as sink:
        provider = configured(sink.url, ses_access_key_id="")
        (single,) = await provider.send_batch([mail()])
        several = await provider.send_batch([mail(1), mail(2)])
        await provider.close()

    for result in (single, *several):
        assert (result.verdict, result.error_code) == (Verdict.RETRY, "auth")
        assert "CARILLON_SES_ACCESS_KEY_ID" in result.error
    assert sink.count == 0


async def test_the_machines_credentials_are_found(configured, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDROLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session")
    async with HTTPSink(script=lambda _: Reply(body=SENT)) as sink:
        provider = configured(sink.url, ses_access_key_id="")
        (result,) = await provider.send_batch([mail()])
        await provider.close()

    headers = sink.requests[0].headers
    assert result.verdict is Verdict.SENT
    assert "Credential=AKIDROLE/" in headers["authorization"]
    assert headers["x-amz-security-token"] == "session"


@pytest.fixture(scope="module")
def moto():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


async def test_a_fake_ses_server_accepts_the_mail(configured, moto):
    sdk = client(moto)
    await asyncio.to_thread(sdk.create_email_identity, EmailIdentity="bell@example.com")
    provider = configured(moto)

    (result,) = await provider.send_batch([mail()])
    await provider.close()

    taken = get_backend("sesv2")[DEFAULT_ACCOUNT_ID]["eu-west-1"].core_backend.sent_messages
    (stored,) = [each for each in taken if each.id == result.provider_message_id]
    assert result.verdict is Verdict.SENT
    assert set(stored.destinations) == {"ann1@example.org"}
    assert "Subject: Paid 1" in stored.raw_data


async def test_a_sender_unknown_to_ses_is_refused(configured, moto):
    provider = configured(moto, email_from="stranger@example.net")

    (result,) = await provider.send_batch([mail()])
    await provider.close()

    assert (result.verdict, result.error_code) == (Verdict.FAILED, "ses_message_rejected")
