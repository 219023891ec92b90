"""Mails as bytes, parsed by the standard library."""

from __future__ import annotations

import re
from email import policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import parseaddr

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from notifications.delivery.mail import mime
from notifications.delivery.mail.mime import build_mail, encoded_words, mailbox
from notifications.domain.messages import Attachment

CYRILLIC = "Здравствуйте, оплата получена. Ваш баланс пополнен на двадцать девять рублей. "
EMOJI = "Paid 🎉👩‍👩‍👧‍👦 "
BODIES = {
    "ascii": "Hello,\nyour payment arrived.\n",
    "no line end": "Hello",
    "empty lines": "\n\n\nx\n\n",
    "cyrillic": CYRILLIC * 20,
    "mostly ascii": "A long text in plain words, " * 30 + "café\n",
    "emoji": EMOJI * 40,
    "one long ascii line": "word " * 400,
    "one long word": "x" * 5000,
    "998": "x" * 998 + "\n",
    "999": "x" * 999 + "\n",
    "dots": ".\n..\n.hidden\nend.\n.",
    "dots in cyrillic": ".\n..\n.Привет\n.",
    "trailing blanks": "é a \nb\t\n \nc ",
    "carriage returns": "a\r\nb\rc\r\n",
    "equals": "=3D = == =\n=?utf-8?q?no?=\n",
    "nul": "a\0b",
    "from": "From me\nFrom you\n",
    "boundary": f"--{mime._BOUNDARY}\nContent-Type: text/html\n\ninjected\n--{mime._BOUNDARY}--\n",
}
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=300)
BODY = st.text(st.characters(exclude_categories=["Cs"]), max_size=2000)


def built(**fields):
    return build_mail(
        **{
            "sender": "Carillon <notifications@example.com>",
            "recipient": "ann@example.org",
            "subject": "Hello",
            "text": "Hello",
            "reference": "0190aa.email",
            "date_s": 1_700_000_000.7,
            **fields,
        }
    )


def parsed(mail):
    return BytesParser(policy=policy.default).parsebytes(mail.content)


def content_of(part):
    return part.get_content().replace("\r\n", "\n")


def as_mail_text(text):
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.endswith("\n") else text + "\n"


def assert_wire_form(content):
    assert content.endswith(b"\r\n")
    lines = content.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line or b"\0" in line for line in lines)
    assert max(map(len, lines)) <= 998
    assert content.isascii()


def test_the_headers_are_filled_in():
    message = parsed(
        built(
            subject="Your payment",
            reply_to="Help <help@example.com>",
            headers={
                "List-Unsubscribe": "<https://example.com/u/1>",
                "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            },
        )
    )

    assert {name: str(value) for name, value in message.items()} == {
        "From": "Carillon <notifications@example.com>",
        "To": "ann@example.org",
        "Subject": "Your payment",
        "Date": "Tue, 14 Nov 2023 22:13:20 -0000",
        "Message-ID": "<0190aa.email@example.com>",
        "Reply-To": "Help <help@example.com>",
        "List-Unsubscribe": "<https://example.com/u/1>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "MIME-Version": "1.0",
        "Auto-Submitted": "auto-generated",
        "Content-Type": 'text/plain; charset="us-ascii"',
        "Content-Transfer-Encoding": "7bit",
    }
    assert not message.defects


def test_the_message_id_is_the_same_on_every_attempt():
    first = built(date_s=1.0, text="once")
    second = built(date_s=2.0, text="again")

    assert first.message_id == second.message_id == "<0190aa.email@example.com>"
    assert f"Message-ID: {first.message_id}\r\n".encode() in second.content


@pytest.mark.parametrize("html", BODIES)
@pytest.mark.parametrize("text", BODIES)
def test_both_bodies_are_read_back(text, html):
    mail = built(text=BODIES[text], html=BODIES[html])

    message = parsed(mail)
    assert_wire_form(mail.content)
    assert message.get_content_type() == "multipart/alternative"
    plain, rich = message.iter_parts()
    assert plain.get_content_type() == "text/plain"
    assert rich.get_content_type() == "text/html"
    assert content_of(plain) == as_mail_text(BODIES[text])
    assert content_of(rich) == as_mail_text(BODIES[html])
    assert not message.defects
    assert not plain.defects
    assert not rich.defects


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        ("ascii", "7bit"),
        ("998", "7bit"),
        ("dots", "7bit"),
        ("999", "quoted-printable"),
        ("one long ascii line", "quoted-printable"),
        ("mostly ascii", "quoted-printable"),
        ("boundary", "quoted-printable"),
        ("cyrillic", "base64"),
        ("emoji", "base64"),
    ],
)
def test_chooses_the_shorter_encoding(body, encoding):
    assert parsed(built(text=BODIES[body]))["Content-Transfer-Encoding"] == encoding


def test_a_mail_with_only_html_has_one_part():
    message = parsed(built(text="", html="<p>Привет</p>"))

    assert message.get_content_type() == "text/html"
    assert content_of(message) == "<p>Привет</p>\n"


@settings(max_examples=300, deadline=None)
@given(subject=TEXT, text=BODY, html=BODY)
@example(subject=" two  blanks ", text="", html="")
@example(subject="=?utf-8?q?literal?=", text=" ", html="\n")
@example(subject="word " * 60, text="\x0c", html="\x85")
@example(subject="я" * 200, text="=\n", html="= \n")
def test_a_written_mail_is_read_back(subject, text, html):
    mail = built(subject=subject, text=text, html=html)

    assert_wire_form(mail.content)
    message = parsed(mail)
    if text and html:
        plain, rich = message.iter_parts()
        assert content_of(plain) == as_mail_text(text)
        assert content_of(rich) == as_mail_text(html)
    else:
        assert content_of(message) == as_mail_text(text or html)
    assert decoded_subject(mail.content) == subject


def decoded_subject(content):
    """Decodes RFC 2047: the standard parser drops some spaces and control characters."""
    field = re.search(rb"^Subject:((?:.*\r\n)(?:[ \t].*\r\n)*)", content, re.MULTILINE)
    value = field[1].replace(b"\r\n", b"").removeprefix(b" ").decode()
    words = re.findall(r"=\?utf-8\?b\?([^?]*)\?=", value)
    if not words:
        return value
    assert re.fullmatch(r"(=\?utf-8\?b\?[^?]*\?= ?)+", value)
    assert all(len(word) + 12 <= 75 for word in words)
    # each word is decoded separately: a character split over two would fail here
    return "".join(mime.binascii.a2b_base64(word).decode() for word in words)


@settings(deadline=None)
@given(name=TEXT)
@example(name='A "quoted" \\ name')
@example(name="Иванов, Иван (отдел) <нет@нет>")
@example(name="x" * 200)
def test_display_names_are_read_back(name):
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')

    box = mailbox(f'"{quoted}" <ann@example.org>')

    assert box.address == "ann@example.org"
    mail = built(sender=f'"{quoted}" <ann@example.org>')
    assert_wire_form(mail.content)
    address = parsed(mail)["From"].addresses[0]
    assert address.addr_spec == "ann@example.org"
    if name.isprintable() and name == " ".join(name.split()):
        raw = re.search(rb"^From: ((?:.*\r\n)(?:[ \t].*\r\n)*)", mail.content, re.MULTILINE)[1]
        shown, _ = parseaddr(raw.decode().replace("\r\n", ""))
        assert str(make_header(decode_header(shown))) == name


@pytest.mark.parametrize("subject", ["Оплата", "Plain", "word " * 40, EMOJI * 10, "é" * 100])
def test_agrees_with_the_standard_library(subject):
    theirs = EmailMessage(policy=policy.SMTP)
    theirs["From"] = "Carillon <notifications@example.com>"
    theirs["To"] = "ann@example.org"
    theirs["Subject"] = subject.strip()
    theirs.set_content(BODIES["cyrillic"])
    theirs.add_alternative(BODIES["mostly ascii"], subtype="html")

    reread = BytesParser(policy=policy.default).parsebytes(theirs.as_bytes())
    ours = parsed(
        built(subject=subject.strip(), text=BODIES["cyrillic"], html=BODIES["mostly ascii"])
    )
    for name in ("From", "To", "Subject"):
        assert ours[name] == reread[name]
    assert [part.get_content() for part in ours.iter_parts()] == [
        part.get_content() for part in reread.iter_parts()
    ]


@pytest.mark.parametrize("bad", ["\r", "\n", "\0", "\r\nBcc: eve@example.com"])
@pytest.mark.parametrize(
    "field", ["subject", "sender", "recipient", "reply_to", "reference", "value", "name"]
)
def test_no_header_can_be_injected(field, bad):
    fields = {
        "subject": {"subject": f"Hello{bad}"},
        "sender": {"sender": f"Carillon{bad} <a@example.com>"},
        "recipient": {"recipient": f"ann@example.org{bad}"},
        "reply_to": {"reply_to": f"{bad}ann@example.org"},
        "reference": {"reference": f"1{bad}"},
        "value": {"headers": {"X-Note": f"a{bad}"}},
        "name": {"headers": {f"X-Note{bad}": "a"}},
    }
    with pytest.raises(ValueError, match=r"contains a line break|Message-ID|printable ASCII"):
        built(**fields[field])


@pytest.mark.parametrize("name", ["From", "bcc", "Message-ID", "Content-Type", "MIME-Version"])
def test_reserved_headers_are_refused(name):
    with pytest.raises(ValueError, match=f"a caller cannot set the header {name}"):
        built(headers={name: "x"})


@pytest.mark.parametrize("value", ["<https://пример.рф>", "<https://e.com/" + "x" * 1000 + ">"])
def test_a_list_header_is_a_url_or_refused(value):
    with pytest.raises(ValueError, match="List-Unsubscribe is not a list of URLs"):
        built(headers={"List-Unsubscribe": value})


@pytest.mark.parametrize(
    "text",
    [
        "", "ann", "@example.org", "ann@", "a b@example.org", "ann@@example.org",
        "ann@-example.org", '"a b"@example.org', "ann@[127.0.0.1]", "<>", "ann@exa mple.org",
        "x" * 65 + "@example.org", "ann@example.org,eve@example.org", "ann@example.org>",
        "a..b@example.org",
    ],
)  # fmt: skip
def test_an_invalid_address_is_refused(text):
    with pytest.raises(ValueError, match="not an address that mail can carry"):
        mailbox(text)


def test_an_international_domain_is_sent_in_ascii():
    mail = built(recipient="ann@пример.рф", sender="Колокол <n@straße.de>")

    assert mail.recipient == "ann@xn--e1afmkfd.xn--p1ai"
    assert mail.message_id == "<0190aa.email@xn--strae-oqa.de>"
    assert not mail.smtputf8
    assert parsed(mail)["From"].addresses[0].display_name == "Колокол"


def test_an_international_local_part_needs_smtputf8():
    mail = built(recipient="анна@example.org")

    assert mail.smtputf8
    assert mail.recipient == "анна@example.org"
    assert "To: анна@example.org\r\n".encode() in mail.content


@given(text=TEXT, used=st.integers(0, 90))
def test_encoded_words_fit_their_lines(text, used):
    lines = (" " * used + encoded_words(text, used=used)).split("\r\n ")

    assert all(len(line) <= 75 for line in lines[1:])
    assert len(lines[0]) <= 76 or not lines[0].strip()


def test_each_shape_has_one_cached_skeleton():
    built(html="<p>a</p>")
    before = mime._skeleton.cache_info().currsize

    for number in range(50):
        built(html=f"<p>{number}</p>", recipient=f"u{number}@example.org")

    assert mime._skeleton.cache_info().currsize == before
    assert mime._skeleton.cache_info().maxsize is not None


NAMES = [
    "invoice.pdf",
    "Invoice (2) of May.pdf",
    'quo"ted; x=y.txt',
    "Счёт за май.pdf",
    "100% of it's.txt",
    "長い名前" * 20 + ".txt",
    "x" * 190 + ".bin",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("more", [{}, {"html": "<p>Hello</p>"}, {"text": "", "html": "<p>x</p>"}])
def test_files_are_read_back_unchanged(name, more):
    content = bytes(range(256)) * 5
    files = (
        Attachment(name, "application/pdf", content),
        Attachment("note.txt", "text/plain", b"a\n--b"),
    )
    mail = built(attachments=files, **more)
    read = parsed(mail)
    assert read.get_content_type() == "multipart/mixed"
    first, second = read.iter_attachments()
    assert (first.get_filename(), first.get_content_type()) == (name, "application/pdf")
    assert first.get_payload(decode=True) == content
    assert second.get_payload(decode=True) == b"a\n--b"
    assert (
        "Hello" in read.get_body(("plain", "html")).get_content() or more.get("html") == "<p>x</p>"
    )
    assert max(map(len, mail.content.split(b"\r\n"))) <= 78
    assert mail.content.isascii()


def test_a_body_cannot_end_the_part_it_is_in():
    text = f"--{mime._MIXED}--\n--{mime._MIXED}\nContent-Type: text/html\n\ninjected\n"
    mail = built(text=text, attachments=(Attachment("a.txt", "text/plain", b"a"),))
    assert [part.get_content_type() for part in parsed(mail).iter_parts()] == ["text/plain"] * 2
    assert parsed(mail).get_body().get_content().replace("\r\n", "\n") == text


@pytest.mark.parametrize(
    "file",
    [
        Attachment("a\r\nBcc: eve@example.org", "text/plain", b"a"),
        Attachment("", "text/plain", b"a"),
        Attachment("a", "text/plain\r\nX: y", b"a"),
    ],
)
def test_a_file_that_no_header_can_name_is_refused(file):
    with pytest.raises(ValueError, match="attachment's"):
        built(attachments=(file,))


def test_a_files_part_is_built_once_for_many_mails(monkeypatch):
    made = []
    build = mime._file_part
    monkeypatch.setattr(mime, "_file_part", lambda file: made.append(file) or build(file))
    mime._parts.clear()
    files = (Attachment("a.bin", "application/pdf", b"x" * 10_000, shared=True),)
    for number in range(5):
        built(attachments=files, recipient=f"p{number}@example.org")
    assert made == list(files)
