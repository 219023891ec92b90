"""What is small when it is sent and large when it is read: refused early, and cheaply."""

from __future__ import annotations

import gzip
import io
import json
import re
import time
import zipfile
import zlib
from typing import Any

import pytest
from rest_framework.test import APIClient

from directory.models import User
from notifications.api.route import Auth
from notifications.api.routes import ROUTES
from notifications.delivery.mail.mime import build_mail
from notifications.domain.messages import Attachment
from notifications.models import ApiKey
from tests.attacks.conftest import person, quiet
from tests.pace import pace

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.usefixtures("template")]
V1 = "/api/v1"
LIMIT_S = 1.5
DEEP = 100_000
BODIES: dict[str, bytes] = {
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep and never closed": b'{"context":' + b"[" * DEEP,
    "a deep value": b'{"context": {"a": ' + b"[" * DEEP + b"]" * DEEP + b"}}",
    "a long number": b'{"user_id": ' + b"9" * 500_000 + b"}",
    "a long fraction": b'{"user_id": 0.' + b"9" * 500_000 + b"}",
    "a great exponent": b'{"user_id": 1e999999999}',
    "not a number": b'{"user_id": NaN}',
    "infinity": b'{"user_id": -Infinity}',
    "many keys": b"{" + b",".join(b'"k%d":1' % n for n in range(50_000)) + b"}",
    "keys of one hash": b"{" + b",".join(b'"%d":1' % (n << 61) for n in range(20_000)) + b"}",
    "one key many times": b"{" + b",".join([b'"user_id":1'] * 50_000) + b"}",
    "long strings": b'{"template_path": "' + b"a" * 2_000_000 + b'"}',
    "escapes": b'{"template_path": "' + b"\\u0041" * 200_000 + b'"}',
    "half characters": b'{"template_path": "\\ud800"}',
    "no text": b"\xff\xfe\x00" * 1_000,
    "another encoding": json.dumps({"user_id": 1}).encode("utf-16"),
    "a mark before the text": b"\xef\xbb\xbf{}",
    "two objects": b"{}{}",
    "XML": b'<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><a>&c;</a>',
    "nothing": b"\x00" * 100_000,
}
WRITING = [
    route
    for route in ROUTES
    if route.body is not None and route.auth is Auth.CALLER and not route.parameters
]
SAMPLE = ("send_notification", "put_users", "create_segment", "create_template", "count_audience")


@pytest.mark.parametrize("body", BODIES)
def test_no_body_is_read_for_long(body: str) -> None:
    client = quiet(ApiKey.make(name="all", scopes=["*"])[1])
    for route in WRITING:
        if route.name in SAMPLE:
            began = time.process_time()
            answer = client.generic(route.method, route.path, BODIES[body], "application/json")
            assert answer.status_code in (400, 413), (route.name, answer.content[:300])
            assert time.process_time() - began < LIMIT_S * pace(), route.name
            assert len(answer.content) < 50_000


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "compress"])
def test_a_compressed_body_is_not_unpacked(encoding: str) -> None:
    """50 MB of zeros in 50 kB: the service reads no encoded bodies at all."""
    packed = {"deflate": zlib.compress}.get(encoding, gzip.compress)(b"0" * 50_000_000)
    client = quiet(ApiKey.make(name="all", scopes=["*"])[1])
    began = time.process_time()
    answer = client.generic(
        "POST", f"{V1}/notifications/send", packed, "application/json",
        headers={"Content-Encoding": encoding},
    )  # fmt: skip
    assert answer.status_code in (400, 413, 415), answer.content
    assert time.process_time() - began < LIMIT_S * pace()


def test_an_archive_is_carried_and_never_opened() -> None:
    """An attached zip bomb stays as large as it is."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../etc/passwd", b"0" * 20_000_000)
    packed = file.getvalue()
    began = time.process_time()
    attached = Attachment(filename="a.zip", content_type="application/zip", content=packed)
    mail = build_mail(
        sender="a@example.com", recipient="b@example.org", subject="S", text="T",
        reference="1.email", date_s=0.0, attachments=(attached,),
    )  # fmt: skip
    assert len(mail.content) < 3 * len(packed) + 5_000
    assert time.process_time() - began < LIMIT_S * pace()


LAUGHS = (
    '<!DOCTYPE svg [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1 if n else str()};" * 10}">' for n in range(12))
    + "]>"
)
MARKUP = {
    "entities in SVG": f"{LAUGHS}<svg><text>&a11;</text></svg>",
    "entities in MJML": f"{LAUGHS}<mjml><mj-body>&a11;</mj-body></mjml>",
    "a file as an entity": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><p>&x;</p>',
    "deep elements": "<div>" * 50_000,
    "deep tables": "<table><tr><td>" * 10_000,
    "many attributes": "<p " + " ".join(f"a{n}=1" for n in range(50_000)) + ">x</p>",
    "a deep style": "<style>" + "a{" * 50_000 + "</style><p>x</p>",
    "many selectors": "<style>"
    + ",".join(f".a{n} .b" for n in range(20_000))
    + "{a:b}</style><p>x</p>",
    "imports of styles": "<style>"
    + "@import url('http://127.0.0.1/');" * 5_000
    + "</style><p>x</p>",
    "nested calc": "<style>p{width:" + "calc(" * 20_000 + "1" + ")" * 20_000 + "}</style><p>x</p>",
}


@pytest.mark.processes
@pytest.mark.parametrize("markup", MARKUP)
def test_no_markup_of_an_author_swells(markup: str, with_key: Any) -> None:
    author = with_key("templates:read", "templates:write")
    text = MARKUP[markup] + "{{ amount }}"
    answer = author.post(
        f"{V1}/templates/validate",
        {
            "path": "a.b", "name": "N", "category": "payment", "supported_channels": ["email"],
            "email_subject_template": "S", "email_html_template": text,
        },
        format="json",
    )  # fmt: skip
    assert answer.status_code in (200, 400), answer.content[:300]
    assert len(answer.content) < 200_000
    assert b"root:" not in answer.content


PATTERNS = ["(a+)+$", "^(a|a)*$", "(.*)*", "a" * 5_000 + "!", "((a*)*)*b", "%" * 2_000, "_" * 2_000]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_no_search_is_a_regular_expression(pattern: str, ada: User) -> None:
    reader = quiet(ApiKey.make(name="reader", scopes=["users:read"])[1])
    began = time.process_time()
    for name in ("search", "username", "email", "role"):
        answer = reader.get(f"{V1}/users", {name: pattern[:1_900]})
        assert answer.status_code in (200, 400), answer.content
        assert answer.status_code == 400 or answer.json()["results"] == []
    rule = {"field": "attributes.a", "op": "eq", "value": pattern}
    criteria = {"audience": {"criteria": {"all": [rule]}}}
    assert reader.post(f"{V1}/audiences/count", criteria, format="json").status_code in (200, 400)
    assert time.process_time() - began < LIMIT_S * pace()


def test_a_query_of_any_size_is_bounded(ada: User) -> None:
    client: APIClient = person(ada)
    many = "&".join(f"a{n}=1" for n in range(5_000))
    for query in (many, "status=" + "x" * 30_000, "cursor=" + "A" * 30_000, "limit=" + "9" * 4_000):
        answer = client.get(f"{V1}/notifications?{query}")
        assert answer.status_code == 400, answer.content[:300]
        assert len(answer.content) < 50_000


def test_a_page_has_a_greatest_size(ada: User) -> None:
    for route in ROUTES:
        limits = [query for query in route.query if query.name in ("limit", "page_size")]
        assert all(query.highest <= 1_000 for query in limits), route.name


def test_a_path_of_any_length_is_a_404(ada: User) -> None:
    for tail in ("9" * 20_000, "a/" * 5_000, "%2e%2e/" * 2_000, "..;/" * 100):
        answer = person(ada).get(f"{V1}/users/{tail}")
        assert answer.status_code in (400, 404), tail[:20]
    assert re.search("not_found|unknown", answer.content.decode())
