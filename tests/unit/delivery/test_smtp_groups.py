"""Several mails in one write, if the server offers CHUNKING (RFC 3030)."""

from __future__ import annotations

import pytest

from notifications.domain.messages import Content, OutboundMessage, Verdict
from notifications.testing.servers import Act, SMTPSink


def mail(number, *, text="Text\n", recipient=""):
    return OutboundMessage(
        message_id=number,
        reference=f"0190{number:04x}.email",
        channel="email",
        recipient=recipient or f"u{number}@example.org",
        content=Content("Subject", text, ""),
    )


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


async def warm(provider_for, sink, script=None, **more):
    """A provider that knows the server's pace, because it has sent one mail."""
    provider = provider_for(sink, smtp_connections=1, **more)
    await send(provider, 1)
    sink.messages.clear()
    sink.script = script
    return provider


async def send(provider, count):
    return await provider.send_batch([mail(n) for n in range(1, count + 1)])


async def test_queued_mails_are_sent_in_groups_separated_by_rset(provider_for):
    script = Scripted()
    async with SMTPSink() as sink:
        provider = await warm(provider_for, sink, script)
        results = await send(provider, 12)
        await provider.close()

    assert {result.verdict for result in results} == {Verdict.SENT}
    assert arrived(sink) == list(range(1, 13))
    assert sink.connections == 1
    assert script.seen[:6] == ["MAIL", "RCPT", "BODY", "END", "RSET", "MAIL"]
    assert "DATA" not in script.seen


async def test_chunked_content_is_sent_without_dot_stuffing(provider_for):
    text = ".\n..\nQUIT\nRSET\n.end\n"
    async with SMTPSink() as sink:
        provider = await warm(provider_for, sink)
        await provider.send_batch([mail(1, text=text), mail(2, text=text)])
        await provider.close()
    async with SMTPSink(chunking=False) as plain:
        provider = provider_for(plain, smtp_connections=1)
        await provider.send_batch([mail(1, text=text), mail(2, text=text)])
        await provider.close()

    def bodies(server):
        return [taken.content.split(b"\r\n\r\n", 1)[1] for taken in server.messages]

    assert bodies(sink) == bodies(plain)
    assert arrived(sink) == [1, 2]


@pytest.mark.parametrize(
    ("plan", "codes"),
    [
        ({"RCPT": (2, b"550 5.1.1 No\r\n"), "END": (2, b"503 No\r\n")}, "smtp_550"),
        ({"MAIL": (2, b"451 4.3.0 Later\r\n"), "END": (2, b"503 No\r\n")}, "smtp_451"),
        ({"END": (2, b"554 5.6.0 Bad content\r\n")}, "smtp_554"),
        ({"END": (2, b"452 4.3.1 Full\r\n")}, "smtp_452"),
    ],
)
async def test_a_refusal_affects_no_other_mail_of_the_group(provider_for, plan, codes):
    async with SMTPSink() as sink:
        provider = await warm(provider_for, sink, Scripted(**plan))
        results = await send(provider, 4)
        again = await send(provider, 1)
        await provider.close()

    assert [result.error_code for result in results] == ["", codes, "", ""]
    assert arrived(sink) == [1, 3, 4, 1]
    assert again[0].verdict is Verdict.SENT
    assert sink.connections == 1


@pytest.mark.parametrize("act", [Act.RESET, Act.DROP])
async def test_a_written_mail_without_a_reply_is_uncertain(provider_for, act):
    async with SMTPSink() as sink:
        provider = await warm(provider_for, sink, Scripted(END=(2, act)))
        results = await send(provider, 4)
        await provider.close()

    uncertain = [result.verdict is Verdict.UNCERTAIN for result in results]
    assert uncertain[1:] == [True, True, True]  # a reset also loses the first one's positive reply
    assert act is Act.RESET or uncertain[0] is False
    assert {result.error_code for result in results[1:]} == {"connection"}
    assert len(arrived(sink)) == len(set(arrived(sink)))


async def test_after_421_the_unread_mails_are_sent_on_a_new_connection(provider_for):
    script = Scripted(MAIL=(2, b"421 4.4.2 Enough\r\n"))

    def closing(verb, line):
        reply = script(verb, line)
        if script.seen.count("MAIL") >= 2 and sink.connections == 1 and reply is None:
            return Act.DROP
        return reply

    async with SMTPSink() as sink:
        provider = await warm(provider_for, sink, closing)
        results = await send(provider, 4)
        await provider.close()

    assert {result.verdict for result in results} == {Verdict.SENT}
    assert sorted(arrived(sink)) == [1, 2, 3, 4]
    assert sink.connections == 2


async def test_a_server_without_the_bdat_it_offers_leaves_uncertain_mails(provider_for):
    """The server reads what follows as commands, so no later reply can be trusted."""
    async with SMTPSink() as sink:
        provider = await warm(provider_for, sink, Scripted(END=(1, b"502 5.5.1 What?\r\n")))
        results = await send(provider, 3)
        await provider.close()

    assert results[0].error_code == "smtp_502"
    assert [result.verdict for result in results[1:]] == [Verdict.UNCERTAIN] * 2
    assert {result.error_code for result in results[1:]} == {"invalid_response"}


async def test_a_group_without_a_reply_in_time_is_uncertain(provider_for):
    silent = []

    def script(verb, _line):
        silent.extend([verb] if verb == "END" else [])
        return b"" if silent else None

    async with SMTPSink() as sink:
        provider = await warm(provider_for, sink, script, provider_timeout_seconds=0.3)
        results = await send(provider, 3)
        await provider.close()

    assert {result.verdict for result in results} == {Verdict.UNCERTAIN}
    assert {result.error_code for result in results} == {"timeout"}


async def test_a_single_mail_sends_its_envelope_before_its_content(provider_for):
    script = Scripted()
    async with SMTPSink(script=script) as sink:
        provider = provider_for(sink, smtp_connections=1)
        await send(provider, 1)
        await send(provider, 1)
        await provider.close()

    assert script.seen.count("DATA") == 2


async def test_a_slow_server_gets_one_mail_at_a_time(provider_for):
    script = Scripted()
    async with SMTPSink() as sink:
        provider = await warm(provider_for, sink, script)
        provider._pool._pace_s = 10.0
        results = await send(provider, 3)
        await provider.close()

    assert {result.verdict for result in results} == {Verdict.SENT}
    assert script.seen.count("DATA") == 3


async def test_an_invalid_address_fails_only_its_own_mail(provider_for):
    async with SMTPSink() as sink:
        provider = await warm(provider_for, sink)
        results = await provider.send_batch([mail(1), mail(2, recipient="not-an-address"), mail(3)])
        await provider.close()

    assert [result.error_code for result in results] == ["", "invalid_recipient", ""]
    assert results[1].recipient_dead
    assert arrived(sink) == [1, 3]
