"""Mails queued behind another on a connection: their envelope is sent with its content."""

from __future__ import annotations

import asyncio

import pytest

from notifications.domain.messages import Content, OutboundMessage, Verdict
from notifications.testing.servers import Act, SMTPSink


def mail(number):
    return OutboundMessage(
        message_id=number,
        reference=f"0190{number:04x}.email",
        channel="email",
        recipient=f"u{number}@example.org",
        content=Content("Subject", "Text\n", ""),
    )


async def send_at_once(provider, count):
    replies = await asyncio.gather(*(provider.send_batch([mail(n)]) for n in range(1, count + 1)))
    return [reply[0] for reply in replies]


def arrived(sink):
    return [int(taken.recipients[0].split("@")[0][1:]) for taken in sink.messages]


class Scripted:
    """A script with another reply to the n-th use (from 1) of a verb."""

    def __init__(self, **plan):
        self.plan, self.seen = plan, []

    def __call__(self, verb, line):
        self.seen.append(verb)
        at, reply = self.plan.get(verb, (0, None))
        return reply if self.seen.count(verb) == at else None


@pytest.mark.parametrize("pipelining", [True, False])
async def test_every_mail_arrives_once_over_one_connection(provider_for, pipelining):
    async with SMTPSink(chunking=False, pipelining=pipelining) as sink:
        provider = provider_for(sink, smtp_connections=1)
        results = await send_at_once(provider, 25)
        await provider.close()

    assert {result.verdict for result in results} == {Verdict.SENT}
    assert arrived(sink) == list(range(1, 26))
    assert sink.connections == 1


@pytest.mark.parametrize(
    ("plan", "failed", "code"),
    [
        ({"RCPT": (2, b"550 5.1.1 No\r\n")}, 2, "smtp_550"),
        ({"MAIL": (2, b"451 4.3.0 Later\r\n")}, 2, "smtp_451"),
        ({"END": (2, b"554 5.6.0 Bad content\r\n")}, 2, "smtp_554"),
        ({"DATA": (2, b"452 4.3.1 Full\r\n")}, 2, "smtp_452"),
    ],
)
async def test_a_refusal_affects_no_other_mail(provider_for, plan, failed, code):
    async with SMTPSink(chunking=False, script=Scripted(**plan)) as sink:
        provider = provider_for(sink, smtp_connections=1)
        results = await send_at_once(provider, 4)
        await provider.close()

    assert [result.error_code for result in results] == ["", code, "", ""]
    assert arrived(sink) == [n for n in (1, 2, 3, 4) if n != failed]
    assert sink.connections == 1


async def test_a_server_that_requires_rset_after_a_refused_content_gets_it(provider_for):
    """The next mail was refused only because of the one before it: it is retried once."""
    refused = []

    def script(verb, line):
        if verb == "END" and not refused:
            refused.append("content")
            return b"554 5.6.0 Bad content\r\n"
        if verb == "RSET":
            refused.append("reset")
        if verb in ("MAIL", "RCPT", "DATA") and refused == ["content"]:
            return b"503 5.5.1 RSET first\r\n"
        return None

    async with SMTPSink(chunking=False, script=script) as sink:
        provider = provider_for(sink, smtp_connections=1)
        results = await send_at_once(provider, 3)
        await provider.close()

    assert [result.error_code for result in results] == ["smtp_554", "", ""]
    assert arrived(sink) == [2, 3]


@pytest.mark.parametrize(
    ("plan", "codes"),
    [
        # The second mail's content was cut off: uncertain. The third's envelope was not received.
        ({"END": (2, Act.RESET)}, ["", "connection", "", ""]),
        ({"END": (2, Act.DROP)}, ["", "connection", "", ""]),
        # The server reset before its reply to the first arrived: uncertain, never resent.
        ({"MAIL": (2, Act.RESET)}, ["connection", "", "", ""]),
        # The server closes between mails: nothing of the second was written.
        ({"MAIL": (2, b"421 4.4.2 Enough\r\n")}, ["", "", "", ""]),
    ],
)
async def test_a_lost_connection_loses_and_duplicates_nothing(provider_for, plan, codes):
    async with SMTPSink(chunking=False, script=Scripted(**plan)) as sink:
        provider = provider_for(sink, smtp_connections=1)
        results = await send_at_once(provider, 4)
        await provider.close()

    assert [result.error_code for result in results] == codes
    verdicts = [Verdict.UNCERTAIN if code else Verdict.SENT for code in codes]
    assert [result.verdict for result in results] == verdicts
    there = arrived(sink)
    assert len(there) == len(set(there))
    assert set(there) >= {n for n, code in enumerate(codes, 1) if not code}


async def test_a_mail_whose_caller_stopped_waiting_is_not_sent(provider_for):
    held = asyncio.Event()

    def script(verb, _line):
        if verb == "END":
            held.set()
        return b"" if held.is_set() else None

    async with SMTPSink(chunking=False, script=script) as sink:
        provider = provider_for(sink, smtp_connections=1)
        first = asyncio.ensure_future(provider.send_batch([mail(1)]))
        second = asyncio.ensure_future(provider.send_batch([mail(2)]))
        await held.wait()
        second.cancel()
        first.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        sink.script = None
        (result,) = await provider.send_batch([mail(3)])
        await provider.close()

    assert result.verdict is Verdict.SENT
    assert arrived(sink) == [3]


async def test_a_mail_that_never_starts_uses_no_attempt(provider_for):
    silent = []

    def script(verb, _line):
        silent.extend([verb] if verb == "END" else [])
        return b"" if silent else None

    async with SMTPSink(chunking=False, script=script) as sink:
        provider = provider_for(sink, smtp_connections=1, provider_timeout_seconds=0.2)
        results = await send_at_once(provider, 2)
        await provider.close()

    assert [result.verdict for result in results] == [Verdict.UNCERTAIN, Verdict.RETRY]
    assert [result.error_code for result in results] == ["timeout", "not_started"]
