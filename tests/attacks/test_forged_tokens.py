"""Tokens that were forged: no header, key or claim of the attacker's choice opens a route.

tests/integration/api/test_tokens.py has the claims, algorithms and published keys; here are headers
that try to choose the key, and tokens of odd form.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import urllib.request
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from django.test import Client

from directory.models import User
from notifications.features.access.authentication import REFRESH_AUDIENCE
from notifications.features.access.tokens.families import issue_tokens
from notifications.infra import clock
from notifications.infra.links import LinkKind, sign_link

pytestmark = [pytest.mark.django_db, pytest.mark.once]
DOOR = "/api/v1/preferences"
FAR = 99_999_999_999


def part(content: str | bytes) -> str:
    raw = content.encode() if isinstance(content, str) else content
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def token_of(header: str, claims: str, key: bytes, digest: str = "sha256") -> str:
    """A token of these texts, signed with HMAC and this key."""
    head = f"{part(header)}.{part(claims)}"
    return f"{head}.{part(hmac.digest(key, head.encode(), digest))}"


def claims_of(user: User, **more: Any) -> str:
    return json.dumps({"user_id": user.pk, "aud": "carillon", "exp": FAR, **more})


def opened(client: Client, token: str) -> int:
    answer = client.get(DOOR, headers={"Authorization": f"Bearer {token}"})
    return answer.status_code


OURS = json.dumps({"alg": "HS256", "typ": "JWT"})


def secret() -> bytes:
    return settings.JWT_SECRET.encode()


def test_the_token_that_the_others_vary_opens_the_door(client: Client, ada: User) -> None:
    assert opened(client, token_of(OURS, claims_of(ada), secret())) == 200


NO_SIGNATURE = ["none", "None", "NONE", "nOnE", "", "HS256 ", "hs256", "null"]


@pytest.mark.parametrize("algorithm", NO_SIGNATURE)
def test_no_spelling_of_none_goes_without_a_signature(
    client: Client, ada: User, algorithm: str
) -> None:
    header = json.dumps({"alg": algorithm, "typ": "JWT"})
    head = f"{part(header)}.{part(claims_of(ada))}"
    for signature in ("", part(b""), part(b"\0" * 32), part(hashlib.sha256(b"").digest())):
        assert opened(client, f"{head}.{signature}") == 401
    assert opened(client, head) == 401
    assert opened(client, f"{head}..") == 401


@pytest.mark.parametrize("alg", [None, True, 0, 256, [], ["HS256"], {"HS256": 1}, "HS256\x00"])
def test_an_algorithm_that_is_no_name_opens_nothing(client: Client, ada: User, alg: Any) -> None:
    assert opened(client, token_of(json.dumps({"alg": alg}), claims_of(ada), secret())) == 401


ELSEWHERE = "http://127.0.0.1:9/keys"
CHOICES: dict[str, dict[str, Any]] = {
    "a key in the header": {
        "jwk": {"kty": "oct", "k": part(b"attacker"), "alg": "HS256"},
    },
    "a set of keys elsewhere": {"jku": ELSEWHERE},
    "a certificate elsewhere": {"x5u": ELSEWHERE},
    "a certificate in the header": {"x5c": [base64.b64encode(b"attacker").decode()]},
    "a path for a key": {"kid": "../../../../dev/null"},
    "a statement for a key": {"kid": "x' UNION SELECT 'attacker' --"},
    "a command for a key": {"kid": "|id"},
    "an address for a key": {"kid": ELSEWHERE},
    "an empty key id": {"kid": ""},
    "a number for a key": {"kid": 0},
    "a list for a key": {"kid": ["a"]},
    "an object for a key": {"kid": {"k": "attacker"}},
    "an unknown critical field": {"crit": ["exp"], "exp": 1},
    "a payload as it is": {"b64": False, "crit": ["b64"]},
    "another form": {"typ": "at+jwt"},
}
KEYS = [b"attacker", b"", b"\0", b"secret", b"carillon"]


@pytest.mark.parametrize("choice", CHOICES)
def test_no_header_chooses_the_key(
    client: Client, ada: User, monkeypatch: pytest.MonkeyPatch, choice: str
) -> None:
    """Neither the key of the attacker counts, nor is anything fetched from where they say."""
    fetched: list[Any] = []
    monkeypatch.setattr(urllib.request, "urlopen", lambda *given, **_: fetched.append(given))
    for algorithm in ("HS256", "RS256", "ES256"):
        header = json.dumps({"alg": algorithm, **CHOICES[choice]})
        for key in KEYS:
            assert opened(client, token_of(header, claims_of(ada), key)) == 401, (algorithm, key)
    assert fetched == []


def test_a_public_key_is_no_shared_secret(client: Client, ada: User) -> None:
    """HS256 over what an attacker can know of an RSA key: its modulus, in several forms."""
    number = rsa.generate_private_key(65_537, 2048).public_key().public_numbers().n
    for key in (str(number).encode(), number.to_bytes(256, "big"), part(str(number)).encode()):
        assert opened(client, token_of(OURS, claims_of(ada), key)) == 401


@pytest.mark.parametrize("digest", ["sha1", "sha384", "sha512", "md5"])
def test_another_digest_under_the_name_of_ours_is_refused(
    client: Client, ada: User, digest: str
) -> None:
    assert opened(client, token_of(OURS, claims_of(ada), secret(), digest)) == 401


def test_a_changed_bit_anywhere_ends_a_token(client: Client, ada: User) -> None:
    token = token_of(OURS, claims_of(ada), secret())
    for place in range(0, len(token) - 1, 3):
        other = "A" if token[place] != "A" else "B"
        assert opened(client, token[:place] + other + token[place + 1 :]) == 401, place


@pytest.mark.parametrize(
    "claims",
    [
        "[]",
        "null",
        '"ada"',
        "1",
        "{",
        "",
        "[" * 20_000,
        '{"a":' * 5_000 + "1" + "}" * 5_000,
        '{"exp":' + "9" * 5_000 + "}",
        '{"user_id": "\\ud800"}',
    ],
    ids=range(10),
)
def test_claims_that_are_no_object_are_refused(client: Client, claims: str) -> None:
    assert opened(client, token_of(OURS, claims, secret())) == 401


def test_the_last_of_two_claims_counts_for_every_reader(
    client: Client, ada: User, bob: User
) -> None:
    """One reader decides; no other part of the service reads the claims again."""
    twice = f'{{"user_id": {bob.pk}, "aud": "carillon", "exp": {FAR}, "user_id": {ada.pk}}}'
    answer = client.get(
        f"/api/v1/users/{ada.pk}",
        headers={"Authorization": f"Bearer {token_of(OURS, twice, secret())}"},
    )
    assert answer.status_code == 200
    other = client.get(
        f"/api/v1/users/{bob.pk}",
        headers={"Authorization": f"Bearer {token_of(OURS, twice, secret())}"},
    )
    assert other.status_code in (403, 404)


def test_a_second_algorithm_in_a_header_cannot_be_none(client: Client, ada: User) -> None:
    for header in ('{"alg":"HS256","alg":"none"}', '{"alg":"none","alg":"HS256"}'):
        assert opened(client, token_of(header, claims_of(ada), b"attacker")) == 401


def test_a_token_in_a_token_is_not_unpacked(client: Client, ada: User) -> None:
    inner = token_of(OURS, claims_of(ada), secret())
    header = json.dumps({"alg": "HS256", "cty": "JWT"})
    assert opened(client, token_of(header, inner, secret())) == 401
    assert opened(client, token_of(header, json.dumps(inner), secret())) == 401


@pytest.mark.parametrize("around", ["{0} ", "{0}\t", "{0}.", ".{0}", "{0}.{0}", "{0},{0}"])
def test_what_stands_around_a_token_spoils_it(client: Client, ada: User, around: str) -> None:
    token = token_of(OURS, claims_of(ada), secret())
    expected = 200 if around.strip() == "{0}" else 401  # a header's end is trimmed (RFC 9110)
    assert opened(client, around.format(token)) == expected


def test_a_huge_token_is_refused_at_once(client: Client, ada: User) -> None:
    assert opened(client, token_of(OURS, claims_of(ada, more="x" * 2_000_000), b"attacker")) == 401


def test_a_token_of_one_purpose_serves_no_other(client: Client, ada: User) -> None:
    """A refresh token, a signed link and a token for somewhere else are no access tokens."""
    pair = issue_tokens(ada, now=clock.now())
    link = sign_link(LinkKind.PREFERENCES, str(ada.pk), "", "")
    others = [claims_of(ada, aud=aud) for aud in (REFRESH_AUDIENCE, "", [], ["elsewhere"], None)]
    tokens = [pair.refresh, link, *(token_of(OURS, each, secret()) for each in others)]
    assert [opened(client, token) for token in tokens] == [401] * len(tokens)
    for text in (pair.access, link):
        answer = client.post(
            "/api/v1/auth/refresh", {"refresh": text}, content_type="application/json"
        )
        assert answer.status_code == 401, answer.content


@pytest.mark.parametrize(
    "place", ["query", "cookie", "body", "X-Authorization", "X-Forwarded-Authorization", "twice"]
)
def test_a_token_counts_in_one_place_only(client: Client, ada: User, place: str) -> None:
    token = token_of(OURS, claims_of(ada), secret())
    if place == "query":
        answer = client.get(f"{DOOR}?token={token}&access_token={token}")
        assert answer.status_code in (400, 401)
        return
    if place == "cookie":
        client.cookies["token"] = client.cookies["access_token"] = token
        answer = client.get(DOOR)
    elif place == "body":
        answer = client.post(
            "/api/v1/devices", {"access_token": token}, content_type="application/json"
        )
    elif place == "twice":
        answer = client.get(DOOR, headers={"Authorization": f"Bearer x, Bearer {token}"})
    else:
        answer = client.get(DOOR, headers={place: f"Bearer {token}"})
    assert answer.status_code == 401
