"""Mails over a real SMTP connection on loopback."""

from __future__ import annotations

import asyncio
from email import policy
from email.parser import BytesParser

import pytest
from aiosmtpd.controller import Controller

from notifications.delivery.base import result_of
from notifications.delivery.vendors.smtp.wire import stuffed
from notifications.domain.messages import Content, OutboundMessage, SendResult, Verdict
from notifications.testing.servers import Act, SMTPSink, by_verb


def mail(number=1, **fields):
    content = Content("Привет 🎉", "Строка\n.точка\n", "<p>Привет</p>")
    return OutboundMessage(
        **{
            "message_id": number,
            "reference": f"0190{number:04x}.email",
            "channel": "email",
            "recipient": f"u{number}@example.org",
            "content": content,
            **fields,
        }
    )


async def send(provider, *mails):
    results = []
    for one in mails:
        results += await provider.send_batch([one])
    return results


@pytest.mark.parametrize("pipelining", [True, False])
async def test_a_mail_arrives_unchanged(provider_for, pipelining):
    async with SMTPSink(pipelining=pipelining) as sink:
        provider = provider_for(sink)
        (result,) = await send(provider, mail(headers={"List-Unsubscribe": "<https://e.com/u>"}))
        await provider.close()

    assert result.verdict is Verdict.SENT
    assert result.provider_message_id == "<01900001.email@example.com>"
    assert result.response == {"code": 250, "text": "2.0.0 OK"}
    (taken,) = sink.messages
    assert (taken.sender, taken.recipients) == ("bell@example.com", ("u1@example.org",))
    message = BytesParser(policy=policy.default).parsebytes(taken.content)
    assert message["Subject"] == "Привет 🎉"
    assert message["From"] == "Колокол <bell@example.com>"
    assert message["List-Unsubscribe"] == "<https://e.com/u>"
    plain, rich = message.iter_parts()
    assert plain.get_content() == "Строка\r\n.точка\r\n"
    assert rich.get_content() == "<p>Привет</p>\r\n"


async def test_an_independent_server_reads_the_same_mail(provider_for, unused_tcp_port_factory):
    class Recorder:
        def __init__(self):
            self.envelopes = []

        async def handle_DATA(self, _server, _session, envelope):
            self.envelopes.append(envelope)
            return "250 2.0.0 OK"

    recorder = Recorder()
    controller = Controller(recorder, hostname="127.0.0.1", port=unused_tcp_port_factory())
    controller.start()
    try:
        sink = SMTPSink()
        sink.port = controller.port
        provider = provider_for(sink)
        results = await send(provider, *(mail(n) for n in range(1, 6)))
        await provider.close()
    finally:
        controller.stop()

    assert [result.verdict for result in results] == [Verdict.SENT] * 5
    assert [envelope.rcpt_tos for envelope in recorder.envelopes] == [
        [f"u{n}@example.org"] for n in range(1, 6)
    ]
    message = BytesParser(policy=policy.default).parsebytes(recorder.envelopes[0].content)
    plain, _ = message.iter_parts()
    assert plain.get_content().replace("\r\n", "\n") == "Строка\n.точка\n"


async def test_the_documented_send_returns_the_documented_outcome(provider_for):
    async with SMTPSink() as sink:
        provider = provider_for(sink)
        outcome = await provider.send(
            "ann@example.org", {"title": "Hello", "body": "Body", "reference": "1.email"}
        )
        await provider.close()

    assert outcome["success"] is True
    assert outcome["message_id"] == "<1.email@example.com>"
    assert result_of(outcome).verdict is Verdict.SENT
    assert sink.messages[0].recipients == ("ann@example.org",)


async def test_connections_are_reused_and_shared(provider_for):
    async with SMTPSink() as sink:
        provider = provider_for(sink, smtp_connections=3)
        assert provider.calls_at_once() == 6  # one in flight and one queued, for each connection
        await asyncio.gather(*(provider.send_batch([mail(n)]) for n in range(30)))
        await provider.close()

    assert sink.count == 30
    assert sink.connections <= 3


async def test_a_refusal_leaves_the_connection_usable(provider_for):
    def script(verb, line):
        return b"550 5.1.1 Unknown u2@example.org\r\n" if "u2@" in line else None

    async with SMTPSink(script=script) as sink:
        provider = provider_for(sink)
        results = await send(provider, mail(1), mail(2), mail(3))
        await provider.close()

    assert [result.verdict for result in results] == [Verdict.SENT, Verdict.FAILED, Verdict.SENT]
    assert results[1].recipient_dead
    assert results[1].error == "the mail server replied 550 5.1.1 to the recipient"
    assert results[1].response == {"code": 550, "text": "5.1.1 Unknown u2@example.org"}
    assert sink.connections == 1
    assert [taken.recipients for taken in sink.messages] == [
        ("u1@example.org",),
        ("u3@example.org",),
    ]


@pytest.mark.parametrize("pipelining", [True, False])
async def test_data_accepted_without_a_recipient_is_ended_at_once(provider_for, pipelining):
    """RFC 2920 3.1: DATA may be accepted although every RCPT was refused."""
    refusals = iter([b"550 5.1.1 No\r\n"])

    def script(verb, _line):
        return next(refusals, None) if verb == "RCPT" else None

    async with SMTPSink(script=script, data_without_recipient=True, pipelining=pipelining) as sink:
        provider = provider_for(sink)
        results = await send(provider, mail(1), mail(2))
        await provider.close()

    assert [result.error_code for result in results] == ["smtp_550", ""]
    assert [taken.recipients for taken in sink.messages] == [("u2@example.org",)]
    assert sink.connections == 1


async def restart(sink):
    await sink.stop()
    await sink.start()
    await asyncio.sleep(0)


async def test_a_restarted_server_is_used_again(provider_for):
    sink = await SMTPSink().start()
    provider = provider_for(sink)
    await send(provider, mail(1))
    await restart(sink)

    (result,) = await send(provider, mail(2))

    await provider.close()
    await sink.stop()
    assert result.verdict is Verdict.SENT
    assert (sink.count, sink.connections) == (2, 2)


@pytest.mark.parametrize(
    ("verb", "fault"),
    [
        ("MAIL", b"421 4.4.2 Idle too long\r\n"),
        ("MAIL", Act.DROP),
        ("MAIL", Act.RESET),
        ("RCPT", Act.DROP),
        ("DATA", b"421 4.4.2 Bye\r\n"),
    ],
)
async def test_a_stale_connection_is_replaced_once(provider_for, verb, fault):
    async with SMTPSink() as sink:
        provider = provider_for(sink)
        await send(provider, mail(1))
        faults = iter([fault])
        sink.script = lambda said, _: next(faults, None) if said == verb else None

        (result,) = await send(provider, mail(2))
        await provider.close()

    assert result.verdict is Verdict.SENT
    assert (sink.count, sink.connections) == (2, 2)


async def test_a_stale_connection_is_replaced_only_once(provider_for):
    async with SMTPSink() as sink:
        provider = provider_for(sink)
        await send(provider, mail(1))
        sink.script = by_verb(MAIL=Act.RESET)

        (result,) = await send(provider, mail(2))
        await provider.close()

    assert (result.verdict, result.error_code) == (Verdict.RETRY, "connection")
    assert result.error == (
        "the connection to the mail server failed (before the content was written)"
    )
    assert sink.connections == 2


async def test_content_that_was_written_is_never_sent_again(provider_for):
    async with SMTPSink() as sink:
        provider = provider_for(sink)
        await send(provider, mail(1))
        sink.script = by_verb(END=Act.RESET)

        (result,) = await send(provider, mail(2))
        await provider.close()

    assert result.verdict is Verdict.UNCERTAIN
    assert result.error.endswith("(after the content was written)")
    assert sink.connections == 1


async def test_a_long_idle_smtp_connection_is_not_used_again(provider_for, monkeypatch):
    async with SMTPSink() as sink:
        provider = provider_for(sink)
        await send(provider, mail(1))
        provider._pool._idle[0].idle_since -= 3600

        await send(provider, mail(2))
        await provider.close()

    assert (sink.count, sink.connections) == (2, 2)


@pytest.mark.parametrize(
    ("fields", "code", "dead"),
    [
        ({"recipient": "not-an-address"}, "invalid_recipient", True),
        ({"recipient": "a@b>\r\nRCPT TO:<eve@example.org"}, "invalid_recipient", True),
        ({"headers": {"X-Note": "a\r\nBcc: eve@example.org"}}, "invalid_message", False),
        ({"headers": {"From": "eve@example.org"}}, "invalid_message", False),
        ({"sender": "not-an-address"}, "invalid_message", False),
        ({"reply_to": "not-an-address"}, "invalid_message", False),
        ({"content": Content("a\nBcc: x@y.z", "b")}, "invalid_message", False),
    ],
)
async def test_a_mail_with_forbidden_content_is_never_sent(provider_for, fields, code, dead):
    async with SMTPSink() as sink:
        (result,) = await send(provider_for(sink), mail(**fields))

    assert (result.verdict, result.error_code) == (Verdict.FAILED, code)
    assert result.recipient_dead is dead
    assert sink.connections == 0


async def test_smtputf8_is_used_if_offered_else_the_failure_is_final(provider_for):
    async with SMTPSink() as sink:
        provider = provider_for(sink)
        (taken,) = await send(provider, mail(recipient="анна@example.org"))
        await provider.close()
    async with SMTPSink(smtputf8=False) as plain:
        provider = provider_for(plain)
        (refused,) = await send(provider, mail(recipient="анна@example.org"))
        await provider.close()

    assert taken.verdict is Verdict.SENT
    assert sink.messages[0].recipients == ("анна@example.org",)
    assert refused == SendResult(
        Verdict.FAILED,
        error="the mail server accepts ASCII addresses only",
        error_code="smtputf8_unsupported",
    )


async def test_an_unsupported_sender_is_retried_and_reported_by_examine(provider_for):
    async with SMTPSink(smtputf8=False) as plain:
        provider = provider_for(plain, email_from="анна@example.org")
        (refused,) = await send(provider, mail())
        wrong = await provider.examine()
        await provider.close()
    async with SMTPSink() as sink:
        provider = provider_for(sink, email_from="анна@example.org")
        (taken,) = await send(provider, mail())
        fine = await provider.examine()
        await provider.close()

    assert (refused.verdict, refused.error_code) == (Verdict.RETRY, "sender_not_ascii")
    assert "CARILLON_EMAIL_FROM" in wrong
    assert (taken.verdict, fine) == (Verdict.SENT, "")


async def test_a_cancelled_call_closes_its_smtp_connection(provider_for):
    reached = asyncio.Event()

    def script(verb, _line):
        if verb != "END":
            return None
        reached.set()
        return Act.HANG

    async with SMTPSink(script=script) as sink:
        provider = provider_for(sink, smtp_connections=1)
        task = asyncio.create_task(provider.send_batch([mail(1)]))
        async with asyncio.timeout(5):
            await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        sink.script = None
        (result,) = await send(provider, mail(2))
        await provider.close()

    assert result.verdict is Verdict.SENT
    assert sink.connections == 2


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        (b"a\r\n", b"a\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b"a\r\n.b\r\n..\r\n", b"a\r\n..b\r\n...\r\n.\r\n"),
    ],
)
def test_dots_are_doubled_at_the_beginning_of_lines(content, sent):
    assert stuffed(content) == sent


@pytest.mark.parametrize(
    ("public_url", "name"),
    [
        ("https://bell.example.com", "bell.example.com"),
        ("http://127.0.0.1:8000", "[127.0.0.1]"),
        ("http://[::1]:8000", "[IPv6:::1]"),
    ],
)
async def test_the_greeting_has_the_public_name(provider_for, public_url, name):
    said = []

    def script(verb, line):
        said.append(line)

    async with SMTPSink(script=script) as sink:
        provider = provider_for(sink, public_url=public_url)
        await send(provider, mail(1))
        await provider.close()

    assert f"EHLO {name}" in said


def test_the_sink_runs_in_a_thread(provider_for):
    async def one(sink):
        provider = provider_for(sink)
        results = await send(provider, mail(1))
        await provider.close()
        return results

    with SMTPSink().run_in_thread() as sink:
        (result,) = asyncio.run(one(sink))

    assert result.verdict is Verdict.SENT
    assert sink.count == 1
