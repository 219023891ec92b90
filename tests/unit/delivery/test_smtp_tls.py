"""Encryption and login of the mail provider."""

from __future__ import annotations

import pytest

from notifications.delivery.vendors.smtp import wire as smtp_wire
from notifications.domain.messages import Content, OutboundMessage, Verdict
from notifications.testing.servers import SMTPSink


def mail(number):
    content = Content("Hello", "Body")
    return OutboundMessage(number, f"{number}.email", "email", f"u{number}@example.org", content)


async def send(provider, *mails):
    return [result for one in mails for result in await provider.send_batch([one])]


@pytest.mark.parametrize("mode", ["auto", "starttls", "tls"])
async def test_tls_is_used_and_the_login_succeeds(provider_for, certificate, mode):
    server, client = certificate
    sink = SMTPSink(tls=server, implicit_tls=mode == "tls", login="bell:secret")
    async with sink:
        provider = provider_for(
            sink, smtp_tls=mode, smtp_user="bell", smtp_password="secret", tls_context=client
        )
        results = await send(provider, mail(1), mail(2))
        await provider.close()

    assert [result.verdict for result in results] == [Verdict.SENT] * 2
    assert (sink.count, sink.connections) == (2, 1)


@pytest.mark.parametrize(
    ("mode", "user", "code"),
    [
        ("auto", "", ""),  # encrypted without verification; it carries no secret
        ("auto", "bell", "tls"),
        ("starttls", "", "tls"),
        ("tls", "", "tls"),
        ("none", "", ""),
    ],
)
async def test_an_unknown_certificate_is_refused_if_it_protects_anything(
    provider_for, certificate, mode, user, code
):
    server, _ = certificate
    login = "bell:secret" if user else ""
    async with SMTPSink(tls=server, implicit_tls=mode == "tls", login=login) as sink:
        provider = provider_for(sink, smtp_tls=mode, smtp_user=user, smtp_password="secret")
        (result,) = await send(provider, mail(1))
        await provider.close()

    assert result.error_code == code
    assert result.verdict is (Verdict.RETRY if code else Verdict.SENT)


async def test_without_the_required_starttls_nothing_is_sent(provider_for):
    async with SMTPSink() as sink:
        (result,) = await send(provider_for(sink, smtp_tls="starttls"), mail(1))

    assert (result.verdict, result.error_code) == (Verdict.RETRY, "tls")
    assert sink.count == 0


async def test_no_password_is_sent_unencrypted_to_another_machine(provider_for, monkeypatch):
    monkeypatch.setattr(smtp_wire.SmtpServer, "is_loopback", False)
    async with SMTPSink(login="bell:secret") as sink:
        provider = provider_for(sink, smtp_user="bell", smtp_password="secret")
        (result,) = await send(provider, mail(1))

    assert (result.verdict, result.error_code) == (Verdict.RETRY, "tls")
