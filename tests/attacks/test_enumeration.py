"""No one learns from an answer, or from the work behind it, who has an account.

Time is not measured: a test compares the statements and the password hashes of both cases.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from directory.models import User
from notifications.features.access import authentication
from notifications.models import ApiKey
from tests.attacks.conftest import person, quiet
from tests.integration.factories import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.once]
V1 = "/api/v1"
PASSWORD = "correct horse battery"


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that were hashed."""
    found: list[str] = []
    encode = MD5PasswordHasher.encode

    def counted(self: Any, password: str, salt: str) -> str:
        found.append(password)
        return str(encode(self, password, salt))

    monkeypatch.setattr(MD5PasswordHasher, "encode", counted)
    return found


@pytest.fixture
def known(db: None) -> User:
    user = make_user(username="lovelace", email="lovelace@example.com")
    user.set_password(PASSWORD)
    user.save()
    inactive = make_user(username="inactive", is_active=False)
    inactive.set_password(PASSWORD)
    inactive.save()
    make_user(username="without")
    return user


def work_of(call: Callable[[], Any], hashes: list[str]) -> tuple[Any, int, list[str]]:
    """Returns the answer, the number of hashes, and the forms of the statements."""
    hashes.clear()
    with CaptureQueriesContext(connection) as queries:
        answer = call()
    texts = [re.sub(r"\d+(?:_x\d+)?", "0", each["sql"]) for each in queries.captured_queries]
    forms = [text.split(" WHERE ")[0][:60] for text in texts]
    return answer, len(hashes), forms


def without_id(answer: Any) -> Any:
    body = answer.json()
    return answer.status_code, {name: body[name] for name in body if name != "instance"}


NAMES = {"a known name": "lovelace", "no name": "unknown-here", "an inactive name": "inactive"}
"""Names with a wrong password, which all must look alike."""


@pytest.mark.parametrize("case", NAMES)
def test_a_token_by_password_tells_no_name(
    client: Client, known: User, hashes: list[str], case: str
) -> None:
    def sign_in(name: str, address: str) -> Any:
        return client.post(
            f"{V1}/auth/token",
            {"username": name, "password": "wrong horse"},
            content_type="application/json",
            REMOTE_ADDR=address,
        )

    first = work_of(lambda: sign_in("lovelace", "192.0.2.1"), hashes)
    other = work_of(lambda: sign_in(NAMES[case], "192.0.2.2"), hashes)
    assert without_id(other[0]) == without_id(first[0])
    assert other[1] == first[1] == 1
    assert other[2] == first[2]


@pytest.mark.parametrize("case", NAMES)
def test_a_sign_in_on_a_page_tells_no_name(
    client: Client, known: User, hashes: list[str], case: str
) -> None:
    def sign_in(name: str, address: str) -> Any:
        form = {"login": name, "password": "wrong horse"}
        return client.post("/account/login", form, REMOTE_ADDR=address)

    known.staff_role = "admin"
    known.save()
    client.get("/account/login")  # the session has a row from here on

    first = work_of(lambda: sign_in("lovelace", "192.0.2.1"), hashes)
    other = work_of(lambda: sign_in(NAMES[case], "192.0.2.2"), hashes)
    assert other[0].status_code == first[0].status_code
    assert other[1] == first[1] == 1
    assert len(other[2]) == len(first[2])
    shown = [
        each[0].content.decode().replace(name, "")
        for each, name in ((first, "lovelace"), (other, NAMES[case]))
    ]
    forms = [re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", text) for text in shown]
    assert forms[0] == forms[1]


def test_a_key_tells_nothing_of_its_prefix(hashes: list[str], monkeypatch: Any) -> None:
    """An unknown prefix costs the same comparison and the same statement as a known one."""
    key, text = ApiKey.make(name="a", scopes=[])
    compared: list[int] = []
    digest = authentication.hmac.compare_digest

    def counted(first: Any, second: Any) -> bool:
        compared.append(len(first))
        return digest(first, second)

    monkeypatch.setattr(authentication.hmac, "compare_digest", counted)
    seen = []
    for wrong in (
        text[:-1] + ("A" if text[-1] != "A" else "B"),
        text.replace(key.prefix, "0" * 12),
    ):
        compared.clear()
        answer, _, forms = work_of(partial(quiet(wrong).get, f"{V1}/users"), hashes)
        seen.append((without_id(answer), forms, list(compared)))
    assert seen[0] == seen[1]
    assert seen[0][2] == [64]


def test_an_id_of_another_and_an_unknown_id_look_alike(
    hashes: list[str], ada: User, bob: User
) -> None:
    client = person(ada)
    client.get(f"{V1}/preferences")  # the caller is read once a second
    for path in ("users/{}", "preferences?user_id={}", "devices?user_id={}", "consents?user_id={}"):
        seen = [
            without_id(client.get(f"{V1}/{path.format(number)}")) for number in (bob.pk, 999_999)
        ]
        known, unknown = seen
        assert known[0] == unknown[0], (path, seen)
        assert known[1].get("code") == unknown[1].get("code"), (path, seen)


def test_a_proof_of_an_address_tells_not_whose_it_is(ada: User, bob: User) -> None:
    """Who asks for a code for another person's address learns the same as for a free one."""
    client = person(ada)
    seen = []
    for address in (bob.email, "free@example.org"):
        body = {"kind": "email", "address": address}
        answer = client.post(f"{V1}/verifications", body, format="json")
        seen.append((answer.status_code, sorted(answer.json())))
    assert seen[0] == seen[1]
