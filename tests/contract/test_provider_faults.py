"""Every network provider has the declared verdict for every fault of its protocol."""

from __future__ import annotations

import dataclasses
import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from notifications.delivery.base import call_safely
from notifications.delivery.registry import PROVIDERS, provider_class
from notifications.domain.callers import SYSTEM
from notifications.domain.messages import Content, OutboundMessage, Verdict
from notifications.features.providers.service import ProviderService
from notifications.testing.faults import (
    FAULT_VERDICTS,
    FAULTS,
    GRANT_PATH,
    LOGIN,
    PROTOCOLS,
    fault_table,
    faulty_server,
)
from notifications.testing.http_sink import HTTPSink, Reply
from notifications.testing.smtp_sink import SMTPSink

CASES = [(key, name) for key, verdicts in FAULT_VERDICTS.items() for name in verdicts]
ADDRESSES = {
    "smtp": "ann@example.org",
    "ses": "ann@example.org",
    "anymail": "ann@example.org",
    "apprise": "json://{host}:{port}/hook",
    "fcm": "a-registration-token",
    "twilio": "+4915112345678",
    "vonage": "+4915112345678",
    "telegram": "123456789",
    "webpush": json.dumps(
        {
            "endpoint": "{url}",
            "keys": {
                "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcx"
                "aOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
                "auth": "BTBZMqHH6r4Tts7J_aSIgg",
            },
        }
    ),
}


@pytest.fixture(scope="module")
def private_key():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@pytest.fixture
def provider_at(settings, tmp_path, private_key):
    """Returns a provider that calls our test server."""

    def make(key, sink, *, provider_timeout_seconds):
        base = f"http://{sink.host}:{sink.port}"
        account = tmp_path / "service-account.json"
        account.write_text(
            json.dumps(
                {
                    "project_id": "demo",
                    "client_email": "fcm@demo.example",
                    "private_key": private_key,
                    "token_uri": base + GRANT_PATH,
                }
            )
        )
        user, _, password = LOGIN.partition(":")
        settings.CARILLON = dataclasses.replace(
            settings.CARILLON,
            provider_timeout_seconds=provider_timeout_seconds,
            smtp_host=sink.host,
            smtp_port=sink.port,
            smtp_user=user,
            smtp_password=password,
            fcm_base_url=base,
            fcm_credentials=str(account),
            webhook_allow_private=True,
            anymail_backend="postmark",
            anymail_settings=json.dumps({"server_token": "secret", "api_url": base}),
            ses_base_url=base,
            ses_access_key_id="AKIDEXAMPLE",
            ses_secret_access_key="secret",
            telegram_base_url=base,
            telegram_bot_token="123:secret",
            twilio_base_url=base,
            twilio_account_sid="AC" + "0" * 32,
            twilio_auth_token="secret",
            twilio_from="+15005550006",
            vonage_base_url=base,
            vonage_api_key="abcd1234",
            vonage_api_secret="secret",
            vonage_from="447700900001",
        )
        return provider_class(key)()

    return make


def address_for(key, sink):
    address = ADDRESSES.get(key, "{url}").replace("{url}", f"http://{sink.host}:{sink.port}/hook")
    return address.replace("{host}", sink.host).replace("{port}", str(sink.port))


def message_for(key, sink):
    return OutboundMessage(
        message_id=1,
        reference="0190aa.test",
        channel=provider_class(key).capabilities.channel,
        recipient=address_for(key, sink),
        content=Content("Hello", "The body"),
    )


@pytest.mark.parametrize(("key", "name"), CASES)
async def test_each_fault_has_its_verdict(key, name, provider_at):
    fault, expected = FAULTS[name], FAULT_VERDICTS[key][name]
    sink = await faulty_server(fault, PROTOCOLS[key]).start()
    provider = provider_at(key, sink, provider_timeout_seconds=0.4 if fault.is_slow else 20)
    if fault.is_refusing:
        await sink.stop()
    await provider.open()

    (result,) = await call_safely(provider, [message_for(key, sink)], 20)

    await provider.close()
    await sink.stop()
    assert result.verdict is expected.verdict, result
    assert result.error_code == expected.code
    assert result.retry_after_s == expected.retry_after_s
    assert result.recipient_dead is expected.recipient_dead
    assert bool(result.error) is (expected.verdict is not Verdict.SENT)
    assert message_for(key, sink).recipient not in result.error
    assert result.duration_s > 0


@pytest.mark.parametrize("key", FAULT_VERDICTS)
def test_no_fault_of_the_protocol_is_omitted(key):
    of_protocol = {name for name, fault in FAULTS.items() if PROTOCOLS[key] in fault.protocols}

    assert set(FAULT_VERDICTS[key]) == of_protocol


def test_every_network_provider_is_tested_with_the_faults():
    network = {key for key in PROVIDERS if not provider_class(key).capabilities.row_channel}

    assert network == set(FAULT_VERDICTS) == set(PROTOCOLS)


@pytest.mark.parametrize("key", PROVIDERS)
def test_a_provider_declares_its_capabilities(key):
    made = provider_class(key)

    assert made.key == key
    assert made.capabilities.batch_size >= 1
    assert made.capabilities.concurrency >= 1
    assert made.__doc__
    assert made().calls_at_once() >= 1


@pytest.mark.parametrize("key", FAULT_VERDICTS)
@pytest.mark.parametrize("error", [RuntimeError, ValueError, TimeoutError, KeyError, OSError])
async def test_no_exception_escapes_call_safely(key, error, provider_at, monkeypatch):
    async with HTTPSink() as sink:
        provider = provider_at(key, sink, provider_timeout_seconds=20)

        async def broken(*_args, **_kwargs):
            raise error("ann@example.org")

        monkeypatch.setattr(provider, "validate_recipient", broken)
        (result,) = await call_safely(provider, [message_for(key, sink)], 20)
        await provider.close()

    assert result.verdict is Verdict.UNCERTAIN
    assert result.error_code == ("deadline" if error is TimeoutError else "provider_exception")
    assert "ann@example.org" not in result.error


def test_the_table_names_every_verdict():
    table = fault_table()

    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert len(rows) == len(FAULTS) + 1  # a refused connection is in both tables
    assert sum(row.count(" | ") - 1 for row in rows) == len(CASES)
    assert (
        "| `429_after` | throttles, with a Retry-After | retry, `http_429`, not before 120 s"
        in table
    )
    assert "| `smtp_unknown` | does not know the recipient | failed, `smtp_550`, dead |" in table


SUCCESS = {
    "MessageId": "m-1",
    "ErrorCode": 0,
    "MessageID": "m-1",
    "Message": "OK",
    "sid": "SM1",
    "message_uuid": "u-1",
    "status": "active",
    "ok": True,
    "result": {"message_id": 1},
    "name": "projects/demo/messages/1",
    "access_token": "t",
    "expires_in": 3600,
}


def healthy_server(key):
    if PROTOCOLS[key] == "smtp":
        return SMTPSink(login=LOGIN)
    return HTTPSink(script=lambda _: Reply(200, body=json.dumps(SUCCESS).encode()))


@pytest.mark.django_db
@pytest.mark.parametrize("key", PROTOCOLS)
def test_every_provider_sends_a_test_message_and_is_examined(key, provider_at):
    """The calls of `carillon providers test` and `carillon doctor`, through the service."""
    with healthy_server(key).run_in_thread() as sink:
        provider_at(key, sink, provider_timeout_seconds=10)
        service = ProviderService()
        response = service.send_test(
            key=key, to=address_for(key, sink), title="", body="", caller=SYSTEM
        )
        found = service.check(key=key, caller=SYSTEM)

    assert (response.verdict, response.error) == ("sent", "")
    assert found == ""
