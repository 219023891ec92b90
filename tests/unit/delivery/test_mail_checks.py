"""The checks of the first-run guide, against name servers and mail servers on loopback."""

from __future__ import annotations

import asyncio
import socket

import dns.asyncresolver
import dns.message
import dns.rdatatype
import dns.rrset
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from notifications.delivery.mail.mime import build_mail
from notifications.delivery.vendors.smtp.dkim import read_keys
from notifications.features.providers import mail_dns, mail_trial
from notifications.features.providers.mail_dns import check_domain
from notifications.features.providers.mail_trial import (
    MailServer,
    is_mail_port,
    may_connect,
    try_server,
)
from notifications.testing.servers import HTTPSink, SMTPSink, by_verb

KEY = "v=DKIM1; k=rsa; p=MIGf"
WELL = {
    ("shop.test", "MX"): ["20 b.shop.test.", "10 a.shop.test."],
    ("shop.test", "TXT"): ['"site=1"', '"v=spf1 include:_spf.mail.test " "-all"'],
    ("s1._domainkey.shop.test", "TXT"): [f'"{KEY}"'],
    ("_dmarc.shop.test", "TXT"): ['"v=DMARC1; p=none"'],
}


class NameServer(asyncio.DatagramProtocol):
    """Answers from a table by (name, type); None in place of rows: it says nothing."""

    def __init__(self, table):
        self.table = table

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        asked = dns.message.from_wire(data)
        (question,) = asked.question
        name, kind = question.name.to_text().rstrip("."), dns.rdatatype.to_text(question.rdtype)
        rows = self.table.get((name, kind), [])
        if rows is None:
            return
        answer = dns.message.make_response(asked)
        if rows:
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *rows))
        self.transport.sendto(answer.to_wire(), address)


async def marks(monkeypatch, table, keys=(), domain="shop.test"):
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: NameServer(table), local_addr=("127.0.0.1", 0)
    )
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], transport.get_extra_info("sockname")[1]
    monkeypatch.setattr(dns.asyncresolver, "default_resolver", resolver)
    try:
        found = await check_domain(domain, keys)
    finally:
        transport.close()
    return {each.check: (each.mark.value, each.code, each.detail) for each in found}


async def test_the_records_of_a_domain_that_is_ready(monkeypatch):
    assert await marks(monkeypatch, WELL) == {
        "mx": ("good", "found", "a.shop.test, b.shop.test"),
        "spf": ("good", "found", "v=spf1 include:_spf.mail.test -all"),
        "dkim": ("good", "found", "s1._domainkey.shop.test"),
        "dmarc": ("good", "found", "v=DMARC1; p=none"),
    }


async def test_a_subdomain_has_the_policy_of_its_parent(monkeypatch):
    found = await marks(monkeypatch, WELL, domain="mail.shop.test")
    assert found["dmarc"][:2] == ("good", "found")
    assert found["spf"][:2] == ("bad", "missing")


@pytest.mark.parametrize(
    ("name", "kind", "rows", "check", "expected"),
    [
        ("shop.test", "MX", [], "mx", ("warn", "none")),
        ("shop.test", "MX", ["0 ."], "mx", ("warn", "none")),
        ("shop.test", "TXT", ['"v=spf10 -all"'], "spf", ("bad", "missing")),
        ("shop.test", "TXT", ['"v=spf1 -all"', '"v=spf1 ~all"'], "spf", ("bad", "several")),
        ("shop.test", "TXT", ['"v=spf1 +all"'], "spf", ("warn", "passes_all")),
        ("shop.test", "TXT", ['"v=spf1 all"'], "spf", ("warn", "passes_all")),
        ("shop.test", "TXT", ['"v=spf1 ~all"'], "spf", ("good", "found")),
        ("s1._domainkey.shop.test", "TXT", [], "dkim", ("warn", "unknown")),
        ("s1._domainkey.shop.test", "TXT", ['"v=DKIM1; p="'], "dkim", ("warn", "unknown")),
        ("_dmarc.shop.test", "TXT", [], "dmarc", ("warn", "missing")),
        ("_dmarc.shop.test", "TXT", ['"v=DMARC1; p=maybe"'], "dmarc", ("bad", "unreadable")),
        ("_dmarc.shop.test", "TXT", ['"v=DMARC1"'], "dmarc", ("bad", "unreadable")),
    ],
)
async def test_a_record_that_needs_work(monkeypatch, name, kind, rows, check, expected):
    found = await marks(monkeypatch, {**WELL, (name, kind): rows})
    assert found[check][:2] == expected


async def test_keys_of_this_service_are_compared(monkeypatch, tmp_path):
    path = tmp_path / "dkim.pem"
    path.write_bytes(
        ed25519.Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    keys = read_keys([f"shop.test:own:{path}"])
    mark, code, detail = (await marks(monkeypatch, WELL, keys))["dkim"]
    assert (mark, code) == ("bad", "unpublished")
    assert detail == f"own._domainkey.shop.test TXT {keys[0].record}"
    table = {**WELL, ("own._domainkey.shop.test", "TXT"): [f'"{keys[0].record}"']}
    assert (await marks(monkeypatch, table, keys))["dkim"][:2] == ("good", "own")


async def test_silent_name_servers_are_named_in_time(monkeypatch):
    monkeypatch.setattr(mail_dns, "LOOKUP_S", 0.2)
    silent = dict.fromkeys(WELL)
    silent |= {(f"{each}._domainkey.shop.test", "TXT"): None for each in mail_dns.SELECTORS}
    found = await marks(monkeypatch, silent)
    assert {each[:2] for each in found.values()} == {("warn", "no_answer")}


def mail(to="ann@example.org"):
    return build_mail(
        sender="bell@example.com",
        recipient=to,
        subject="Hello",
        text="Hello",
        reference="test1.email",
        date_s=0,
    )


async def trial(sink, **given):
    described = {
        "host": sink.host,
        "port": sink.port,
        "tls": "auto",
        "user": "",
        "password": "",
        **given,
    }
    found, is_sent = await try_server(MailServer(**described), mail(), ())
    return [(each.check, each.mark.value, each.code) for each in found], is_sent


OPEN = [("server", "good", "found"), ("connection", "good", "open")]


async def test_a_server_takes_the_mail():
    async with SMTPSink() as sink:
        found, is_sent = await trial(sink)
    assert found == [
        *OPEN,
        ("encryption", "good", "not_needed"),
        ("mail", "good", "accepted"),
    ]
    assert is_sent
    assert [each.recipients for each in sink.messages] == [("ann@example.org",)]


@pytest.mark.parametrize("implicit", [True, False])
async def test_the_name_is_checked_though_the_address_is_chosen(monkeypatch, certificate, implicit):
    server, client = certificate
    async with SMTPSink(tls=server, implicit_tls=implicit, login="ann:pw") as sink:
        given = {"tls": "tls" if implicit else "starttls", "user": "ann", "password": "pw"}
        refused = await trial(sink, **given)
        monkeypatch.setattr(mail_trial, "tls_context_of", lambda *_: client)
        found, is_sent = await trial(sink, **given)
        other = await trial(sink, **given, host="localhost")
    assert refused[0][-1] == ("encryption", "bad", "tls")
    assert found == [
        *OPEN,
        ("encryption", "good", "encrypted"),
        ("login", "good", "accepted"),
        ("mail", "good", "accepted"),
    ]
    assert is_sent
    assert other[0][-1] == ("encryption", "bad", "tls")


@pytest.mark.parametrize(
    ("options", "given", "expected"),
    [
        ({"login": "ann:pw"}, {"user": "ann", "password": "no"}, ("login", "bad", "auth")),
        ({}, {"user": "ann", "password": "pw"}, ("login", "bad", "auth")),
        ({}, {"tls": "starttls"}, ("encryption", "bad", "tls")),
        ({"login": "ann:pw"}, {}, ("mail", "bad", "login_required")),
        ({"script": by_verb(CONNECT=b"554 no\r\n")}, {}, ("connection", "bad", "greeting")),
        ({"script": by_verb(MAIL=b"550 no\r\n")}, {}, ("mail", "bad", "refused")),
        ({"script": by_verb(RCPT=b"550 no\r\n")}, {}, ("mail", "bad", "refused")),
        ({"script": by_verb(END=b"451 later\r\n")}, {}, ("mail", "bad", "refused")),
    ],
)
async def test_what_is_wrong_is_named(options, given, expected):
    async with SMTPSink(**options) as sink:
        found, is_sent = await trial(sink, **given)
    assert found[-1] == expected
    assert not is_sent


async def test_a_port_without_a_mail_server(monkeypatch):
    monkeypatch.setattr(mail_trial, "TRIAL_S", mail_trial.DELIVER_S + 0.3)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        found, _ = await trial(SMTPSink(), port=closed.getsockname()[1])
    assert found[-1] == ("connection", "bad", "connection")
    async with HTTPSink() as web:
        found, _ = await trial(web)
    assert found[-1][:2] == ("connection", "bad")


async def test_names_that_lead_nowhere_or_where_no_mail_server_is():
    found, _ = await trial(SMTPSink(), host="no-such-host.invalid", port=587)
    assert found == [("server", "bad", "unknown_name")]
    for host in ("169.254.169.254", "0.0.0.0", "224.0.0.1", "fe80::1"):
        found, _ = await trial(SMTPSink(), host=host, port=587)
        assert found == [("server", "bad", "refused_address")], host


def test_where_a_trial_connects():
    allowed = ("127.0.0.1", "10.1.2.3", "192.168.0.9", "172.16.0.1", "8.8.8.8", "::1", "fd00::1")
    refused = ("169.254.169.254", "0.0.0.0", "255.255.255.255", "fe80::1", "ff02::1", "::", "x")
    assert [each for each in allowed if not may_connect(each)] == []
    assert [each for each in refused if may_connect(each)] == []
    assert [port for port in (25, 465, 587, 1024, 2525, 65_535) if not is_mail_port(port)] == []
    assert [port for port in (0, 22, 80, 443, 1023, 65_536) if is_mail_port(port)] == []
