"""Attachments in a request: types with their parameters, and base64 of one spelling."""

from __future__ import annotations

import base64
from email import message_from_bytes, policy

import pytest

from notifications.delivery.mail.mime import _file_part
from notifications.intake.attachments import read_attachments
from notifications.intake.fields import Fields


def read(content: str = "YQ==", kind: str = "text/plain") -> tuple[Fields, str]:
    file = {"filename": "a", "content": content, "content_type": kind}
    fields = Fields({"attachments": [file]})
    found = read_attachments(fields)
    return fields, found[0].content_type if found else ""


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ("Text/Calendar;METHOD=REQUEST", "text/calendar; method=REQUEST"),
        ("text/calendar; method=REQUEST; charset=UTF-8", None),
        ('text/plain; charset="utf-8"; format=flowed; delsp=yes', None),
        ("application/pdf", None),
    ],
)
def test_a_type_retains_its_known_parameters(written: str, stored: str | None) -> None:
    fields, kind = read(kind=written)

    assert (fields.errors, kind) == ([], stored or written)
    (file,) = read_attachments(
        Fields({"attachments": [{"filename": "a", "content": "YQ==", "content_type": written}]})
    )
    head = _file_part(file).partition(b"\r\n")[2].partition(b"\r\n")[2]
    part = message_from_bytes(head, policy=policy.default)
    assert str(part["Content-Type"]).replace('"', "") == kind.replace('"', "")
    assert not part.defects


@pytest.mark.parametrize(
    "written",
    [
        "text/plain; name=evil.exe",
        "multipart/mixed; boundary=x",
        "text/plain; charset=utf-8\r\nBcc: a@example.com",
        "text/plain; charset=utf-8; charset=utf-7",
        'text/plain; charset="a\\"b"',
        "text/plain;",
        "text/plain; charset",
        "text/plain; charset=",
        "text/plain; =x",
        "text/plain; charset=\N{SNOWMAN}",
        "text; charset=utf-8",
        "; charset=utf-8",
    ],
)
def test_any_other_parameter_is_refused(written: str) -> None:
    fields, _ = read(kind=written)

    assert [(each.path, each.code) for each in fields.errors] == [
        ("attachments[0].content_type", "invalid")
    ]


@pytest.mark.parametrize(
    "written",
    ["YQ", "YQ=", "YQ===", "YWI=====", "YR==", "YQ==YQ==", "YQ==\n", " YQ==", "Y-_=", "="],
)
def test_base64_has_one_spelling(written: str) -> None:
    fields, _ = read(content=written)

    assert [each.code for each in fields.errors] == ["invalid_base64"]


def test_any_bytes_are_accepted() -> None:
    for size in range(1, 9):
        assert (
            read(content=base64.b64encode(bytes(range(200, 200 + size))).decode())[0].errors == []
        )
