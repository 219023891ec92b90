"""Text of others stays text: in templates, mail headers, HTTP headers, SMTP, SQL and HTML."""

from __future__ import annotations

from contextlib import suppress
from email import policy
from email.parser import BytesParser
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from directory.models import User
from notifications.delivery.mail.mime import build_mail
from notifications.models import ApiKey, SandboxMessage
from tests.attacks.conftest import person, quiet
from tests.integration.factories import make_template, make_user
from tests.integration.preferences.conftest import send, work

pytestmark = [pytest.mark.django_db, pytest.mark.once]
V1 = "/api/v1"
EXPRESSIONS = [
    "{{ 7*7 }}",
    "{% for a in range(9) %}{{ a }}{% endfor %}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ self._TemplateReference__context }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ config }}{{ settings.SECRET_KEY }}",
    "{%- raw -%}{{ 7*7 }}{%- endraw -%}",
    "{# comment #}",
    "{{ user.email }}",
    "{{ amount | upper }}",
    "{% include '/etc/passwd' %}",
    "{% assign a = 7 %}{{ a | times: 7 }}",
    "${7*7}",
    "${{7*7}}",
    "#{7*7}",
    "<%= 7*7 %>",
    "*{7*7}",
    "@(7*7)",
    "%(amount)s %s {0.__class__} {amount.__class__}",
    "$amount ${amount}",
]
"""What template languages run, in the texts of people and callers."""


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_an_expression_in_a_name_or_a_context_is_text(text: str) -> None:
    make_template(
        email_subject_template="S {{ user.first_name }} {{ amount }}",
        email_body_template="B {{ user.first_name }} {{ amount }} {{ user.last_name }}",
        in_app_template="T {{ amount }}\n\nM {{ amount }}",
    )
    reader = make_user(first_name=text[:150], last_name=text[:150])
    send(reader, context={"amount": text})

    work()

    content = SandboxMessage.objects.get(channel="email").content
    assert content["title"] == " ".join(f"S {text[:150]} {text}".split())
    assert content["body"].strip() == f"B {text[:150]} {text} {text[:150]}"


BREAKS = ["\r\n", "\n", "\r", "\r\n ", "\x0b", "\x0c", "\x85", "\u2028", "\x00", "\x1c"]
BCC = "Bcc: eve@example.net"


def header_names(content: bytes) -> set[str]:
    return {name.lower() for name in BytesParser(policy=policy.default).parsebytes(content)}


PLAIN = {
    "sender": "Carillon <notifications@example.com>",
    "recipient": "ann@example.org",
    "subject": "Hello",
    "text": "Hello",
    "reference": "0190aa.email",
    "date_s": 1_700_000_000.0,
}


@pytest.mark.parametrize("line", BREAKS)
@pytest.mark.parametrize("field", ["subject", "recipient", "sender", "reference"])
def test_no_text_of_a_mail_adds_a_header(field: str, line: str) -> None:
    expected = header_names(build_mail(**PLAIN).content)
    for text in (
        f"x{line}{BCC}",
        f"{line}{BCC}",
        f"x{line}{line}<script>",
        f"a@b.example{line}{BCC}",
    ):
        mail = None
        with suppress(ValueError):  # refused
            mail = build_mail(**{**PLAIN, field: text})
        if mail is None:
            continue
        assert header_names(mail.content) <= expected, text
        assert b"\nbcc:" not in mail.content.lower().partition(b"\r\n\r\n")[0]


@pytest.mark.parametrize("line", [line for line in BREAKS if line != "\x00"])
def test_a_name_with_a_line_break_adds_no_header_to_a_sent_mail(line: str) -> None:
    make_template(email_subject_template="{{ user.first_name }} {{ amount }}")
    reader = make_user()
    send(reader, context={"amount": f"5{line}{BCC}"})

    work()

    content = SandboxMessage.objects.get(channel="email").content
    assert not set("\r\n\x00\x0b\x0c\x1c\x85\u2028") & set(content["title"])
    assert {name.lower() for name in content.get("headers") or {}}.isdisjoint({"bcc", "cc"})


@pytest.mark.parametrize(
    "command", ["\r\n.\r\nMAIL FROM:<e@x>", "\n.\n", ".\r\nQUIT\r\n", "\r\n.\n"]
)
def test_a_body_cannot_end_the_data_of_smtp(command: str) -> None:
    """A line with a dot alone ends DATA. Only CRLF ends lines, so that no server reads another."""
    content = build_mail(**{**PLAIN, "text": f"a{command}b"}).content
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert b"\r" not in content.replace(b"\r\n", b"")


@pytest.mark.parametrize("line", ["\r\n", "\n", "\r", "%0d%0a", "%0a", "\u560a", "\u010a"])
def test_no_request_adds_a_header_to_its_response(client: Client, ada: User, line: str) -> None:
    planted = f"x{line}X-Planted: 1{line}Set-Cookie: a=b"
    answers: list[Any] = [
        client.get("/", headers={"X-Request-ID": planted}),
        client.get(f"/preferences?lang={planted}"),
        client.get("/admin/", {"next": planted}),
        client.get(f"/admin/login/?next=/{planted}"),
        client.get(f"/nothing/{planted}"),
        client.post("/admin/login/", {"username": planted, "password": planted, "next": planted}),
        person(ada).get(f"{V1}/notifications", {"cursor": planted}),
        person(ada).get(f"{V1}/preferences", headers={"Idempotency-Key": planted}),
    ]
    for answer in answers:
        assert answer.status_code < 500
        assert "X-Planted" not in answer.headers
        assert answer.cookies.get("a") is None
        assert not any(set("\r\n") & set(value) for value in answer.headers.values())


def test_django_refuses_a_header_with_a_line_break() -> None:
    response = HttpResponse()
    with pytest.raises(Exception, match="newlines"):
        response["X-A"] = "a\r\nX-Planted: 1"


SQL = [
    "' OR '1'='1",
    "1; DROP TABLE directory_user",
    "%' --",
    "\\",
    "a\x00b",
    "') UNION SELECT 1--",
]


@pytest.mark.parametrize("text", SQL)
def test_no_text_becomes_sql(text: str, ada: User, bob: User) -> None:
    reader = quiet(ApiKey.make(name="reader", scopes=["users:read", "notifications:read"])[1])
    for name in ("username", "email", "external_id", "role", "search"):
        answer = reader.get(f"{V1}/users", {name: text})
        assert answer.status_code in (200, 400), answer.content
        assert not (answer.status_code == 200 and answer.json()["results"]), (name, text)
    for name in ("status", "channel", "template", "source", "correlation_id", "cursor"):
        answer = reader.get(f"{V1}/notifications", {name: text})
        assert answer.status_code in (200, 400), (name, answer.content)
    assert User.objects.count() == 2


SCRIPTS = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "javascript:alert(1)"]


@pytest.mark.parametrize("text", SCRIPTS)
def test_no_name_becomes_markup_on_a_page(client: Client, staff: User, text: str) -> None:
    make_template(email_subject_template="{{ amount }}", in_app_template="{{ amount }}\n\nM")
    send(make_user(first_name=text), context={"amount": text})
    work()
    client.force_login(staff)
    for path in ("/outbox", f"/preferences?lang={text}", f"/outbox?channel={text}", f"/{text}"):
        page = client.get(path).content.decode()
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert 'href="javascript:' not in page
