"""DKIM: signed here, verified by dkimpy."""

from __future__ import annotations

import dataclasses

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from notifications.delivery.mail.mime import build_mail
from notifications.delivery.vendors.smtp import send as smtp
from notifications.delivery.vendors.smtp.dkim import (
    UnusableDkimKey,
    canonical_body,
    keys_for,
    published,
    read_keys,
    signed,
)
from notifications.delivery.vendors.smtp.send import SMTPEmailProvider
from notifications.domain.messages import Attachment, Content, OutboundMessage
from notifications.testing.servers import SMTPSink

AT = 1_790_000_000  # in the past: dkimpy refuses signatures from the future


def pem(private):
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("dkim")
    keys = {
        "rsa": rsa.generate_private_key(65537, 2048),
        "small": rsa.generate_private_key(65537, 1024),
        "ed": ed25519.Ed25519PrivateKey.generate(),
        "ec": ec.generate_private_key(ec.SECP256R1()),
    }
    for name, key in keys.items():
        (made / f"{name}.pem").write_bytes(pem(key))
    (made / "junk.pem").write_bytes(b"junk")
    return made


@pytest.fixture
def keys(folder):
    return read_keys([f"example.com:s1:{folder}/rsa.pem", f"Example.com:S2:{folder}/ed.pem"])


def mail(**more):
    return build_mail(
        **{
            "sender": "Carillon <notify@example.com>",
            "recipient": "Ann <ann@example.org>",
            "subject": "Hello",
            "text": "Body\n",
            "reference": "r.email",
            "date_s": AT,
            **more,
        }
    )


def verifies(content, keys, index=0):
    """Whether dkimpy accepts one of the signatures; it reads our records instead of the DNS."""
    records = {key.record_name + ".": key.record.encode() for key in keys}
    verifier = dkim.DKIM(content)
    try:
        return verifier.verify(
            idx=index, dnsfunc=lambda name, timeout=5: records.get(name.decode())
        )
    except dkim.ValidationError:
        return False


ODD = [
    {},
    {"text": ""},
    {"text": "  two  spaces \t tabs\t\n\n  \n\n\n"},
    {"text": "naïve € " * 200},
    {"text": "x" * 5000},
    {"html": "<p>Hello</p>\n\n\n", "reply_to": "help@example.com"},
    {"subject": "Ein sehr langer Betreff, der gefaltet wird, weil er nicht in eine Zeile passt"},
    {"subject": "Привет, мир! " * 10},
    {"subject": "  spaces   inside "},
    {
        "headers": {
            "List-Unsubscribe": "<https://example.com/u/abc>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "X-Own": "not signed",
        }
    },
    {"sender": "notify@mail.example.com"},
    {"html": "<p>x</p>", "attachments": (Attachment("Счёт.pdf", "application/pdf", b"x" * 9999),)},
]


@pytest.mark.parametrize("more", ODD)
def test_dkimpy_verifies_both_signatures_of_every_sort_of_mail(keys, more):
    content = signed(mail(**more), keys, at_s=AT).content
    assert content.count(b"DKIM-Signature:") == 2
    assert verifies(content, keys, 0)
    assert verifies(content, keys, 1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Subject: Hello", b"Subject: Hullo"),
        (b"Body", b"Bodi"),
        (b"To: Ann", b"To: Eve"),
        (b"Subject: Hello", b"Subject: Hello\r\nSubject: Another"),
        (b"To: Ann", b"From: Eve <eve@example.com>\r\nTo: Ann"),
        (b"To: Ann", b"Reply-To: eve@example.net\r\nTo: Ann"),
    ],
)
def test_a_changed_or_added_field_invalidates_the_signature(keys, old, new):
    content = signed(mail(), keys, at_s=AT).content
    assert old in content
    assert not verifies(content.replace(old, new), keys)


def test_no_line_of_a_signature_is_too_long(keys):
    content = signed(mail(), keys, at_s=AT).content
    head = content.partition(b"From:")[0]
    assert max(map(len, head.split(b"\r\n"))) <= 78


def test_a_sender_without_a_key_is_not_signed(keys):
    plain = mail(sender="a@example.net")
    assert signed(plain, keys, at_s=1) is plain
    assert keys_for("com", keys) == []


@pytest.mark.parametrize(
    ("body", "canonical"),
    [
        (b"", b""),
        (b"\r\n\r\n", b""),
        (b" C \r\nD \t E\r\n\r\n\r\n", b" C\r\nD E\r\n"),  # RFC 6376 3.4.5
        (b"no end", b"no end\r\n"),
    ],
)
def test_bodies_are_canonical_by_the_rfc(body, canonical):
    assert canonical_body(body) == canonical


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("example.com", "is not domain:selector:path"),
        ("example.com:s1:", "is not domain:selector:path"),
        ("exa mple.com:s1:{folder}/rsa.pem", "is not domain:selector:path"),
        ("example.com:s1:{folder}/none.pem", "cannot be read"),
        ("example.com:s1:{folder}/junk.pem", "is not a plain PEM"),
        ("example.com:s1:{folder}/ec.pem", "neither RSA"),
    ],
)
def test_an_unusable_key_is_reported_with_its_error(folder, entry, words):
    with pytest.raises(UnusableDkimKey, match=words):
        read_keys([entry.format(folder=folder)])


def test_a_record_is_recognised_in_any_spelling(keys):
    first, second = keys
    spaced = f"v=DKIM1; k=rsa; p={first.public[:100]} {first.public[100:]}"
    assert published([spaced], first)
    assert not published([spaced], second)


@pytest.fixture
def provider(settings, folder, sink):
    settings.CARILLON = dataclasses.replace(
        settings.CARILLON,
        smtp_host=sink.host,
        smtp_port=sink.port,
        smtp_tls="none",
        email_from="notify@example.com",
        smtp_dkim_keys=(f"example.com:s1:{folder}/rsa.pem",),
    )
    return SMTPEmailProvider()


@pytest.fixture
async def sink():
    async with SMTPSink() as made:
        yield made


async def test_a_mail_arrives_signed(provider, sink, keys):
    message = OutboundMessage(
        message_id=1,
        reference="r.email",
        channel="email",
        recipient="ann@example.org",
        content=Content("Hello", ".a line that begins with a dot\n\n.\nend"),
    )
    (result,) = await provider.send_batch([message])
    await provider.close()
    assert result.success
    assert verifies(sink.messages[0].content, keys[:1])


@pytest.mark.parametrize(
    ("published", "words"),
    [
        (None, ""),
        ([], "is missing; it should be: v=DKIM1; k=rsa; p="),
        (["v=DKIM1; k=rsa; p=AAAA"], "contains another key"),
        (OSError("no name server responds"), "cannot be read: no name server responds"),
    ],
)
async def test_doctor_compares_the_published_record(provider, keys, monkeypatch, published, words):
    async def records(name, *, timeout_s):
        assert name == "s1._domainkey.example.com"
        if isinstance(published, OSError):
            raise published
        return [keys[0].record] if published is None else published

    monkeypatch.setattr(smtp, "txt_records", records)
    found = await provider.examine()
    assert words in found
    assert bool(found) == bool(words)


async def test_doctor_reports_a_refused_login(provider, monkeypatch):
    async def none(name, *, timeout_s):
        return []

    monkeypatch.setattr(smtp, "txt_records", none)
    provider._pool._server = dataclasses.replace(provider._pool._server, port=1)
    found = await provider.examine()
    assert found.startswith("the connection to the mail server failed; DKIM: ")


async def test_chunks_arrive_signed(provider, sink, keys):
    """With BDAT, several mails in one write."""
    texts = [f"mail {number}\n.\n" for number in range(12)]
    messages = [
        OutboundMessage(
            message_id=number,
            reference=f"r{number}.email",
            channel="email",
            recipient="ann@example.org",
            content=Content("Hello", text),
        )
        for number, text in enumerate(texts)
    ]
    for start in range(0, len(messages), 4):
        results = await provider.send_batch(messages[start : start + 4])
        assert all(result.success for result in results)
    await provider.close()
    assert len(sink.messages) == 12
    assert all(verifies(mail.content, keys[:1]) for mail in sink.messages)
