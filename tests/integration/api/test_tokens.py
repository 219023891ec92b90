"""Who may come in: JWTs of ours and of the platform, DRF tokens, API keys."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from directory.models import User
from notifications.features.access.tokens.families import issue_tokens
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.models import ApiKey
from tests.integration.api.conftest import KeyClient, bearer
from tests.integration.factories import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.once]
DOOR = "/api/v1/notifications/1/status"  # no notification: 404 if admitted


def minted(key: Any = None, algorithm: str = "HS256", **claims: Any) -> str:
    """A token as the platform would mint it; a claim of None is left out."""
    now = int(clock.now().timestamp())
    full = {"aud": "carillon", "exp": now + 60, **claims}
    claims = {name: value for name, value in full.items() if value is not None}
    return jwt.encode(claims, key or settings.JWT_SECRET, algorithm, headers={"kid": "k1"})


def code_of(token: str, scheme: str = "Bearer") -> str:
    """The code that the door answers a token with: unknown_notification is "come in"."""
    client = bearer("")
    client.credentials(HTTP_AUTHORIZATION=f"{scheme} {token}")
    response = client.get(DOOR)
    assert response.status_code == (404 if response.data["code"] == "unknown_notification" else 401)
    if response.status_code == 401:
        assert response["WWW-Authenticate"].startswith("Bearer")
    return str(response.data["code"])


class TestLoggingIn:
    def test_a_name_and_password_get_tokens_that_open_the_door(self, api: APIClient) -> None:
        user = User.objects.create_user("ada", password="secret")

        response = api.post("/api/v1/auth/token/", {"username": "ada", "password": "secret"})

        assert response.status_code == 200
        assert response.data["expires_in"] == 3600
        assert code_of(response.data["access"]) == "unknown_notification"
        assert (
            str(user.uuid)
            == jwt.decode(response.data["access"], options={"verify_signature": False})["user_id"]
        )

    @pytest.mark.parametrize(
        ("_case", "name", "password"),
        [
            ("wrong password", "ada", "wrong"),
            ("unknown name", "eve", "secret"),
            ("inactive", "idle", "secret"),
            ("empty", "", ""),
        ],
    )
    def test_wrong_credentials_all_look_alike(
        self, api: APIClient, _case: str, name: str, password: str
    ) -> None:
        User.objects.create_user("ada", password="secret")
        User.objects.create_user("idle", password="secret", is_active=False)

        response = api.post("/api/v1/auth/token", {"username": name, "password": password})

        assert response.status_code == 401
        assert response.data["code"] == "invalid_credentials"
        assert response.data["detail"] == "no active user has this name and password"

    def test_a_body_without_fields_names_both(self, api: APIClient) -> None:
        response = api.post("/api/v1/auth/token", {})

        assert response.status_code == 400
        assert [error["path"] for error in response.data["errors"]] == ["username", "password"]


class TestRefreshing:
    def test_a_refresh_token_gets_a_new_pair(self, api: APIClient, user: User) -> None:
        pair = issue_tokens(user, now=clock.now())

        response = api.post("/api/v1/auth/refresh", {"refresh": pair.refresh})

        assert response.status_code == 200
        assert code_of(response.data["access"]) == "unknown_notification"

    def test_a_refresh_token_opens_no_other_door(self, user: User) -> None:
        assert code_of(issue_tokens(user, now=clock.now()).refresh) == "invalid_token"

    def test_an_access_token_is_no_refresh_token(self, api: APIClient, user: User) -> None:
        pair = issue_tokens(user, now=clock.now())

        response = api.post("/api/v1/auth/refresh", {"refresh": pair.access})

        assert (response.status_code, response.data["code"]) == (401, "invalid_token")

    def test_a_changed_password_ends_refresh_tokens(self, api: APIClient, user: User) -> None:
        pair = issue_tokens(user, now=clock.now())
        user.set_password("new")
        user.save()

        response = api.post("/api/v1/auth/refresh", {"refresh": pair.refresh})

        assert (response.status_code, response.data["code"]) == (401, "invalid_token")
        assert "log in again" in response.data["detail"]

    def test_a_refresh_token_ends_after_a_week(self, api: APIClient, user: User) -> None:
        pair = issue_tokens(user, now=clock.now() - timedelta(days=8))

        response = api.post("/api/v1/auth/refresh", {"refresh": pair.refresh})

        assert (response.status_code, response.data["code"]) == (401, "expired_token")


class TestTokensOfThePlatform:
    @pytest.mark.parametrize("form", ["id", "uuid", "capitals", "external_id"])
    def test_user_id_may_be_any_of_a_persons_identifiers(self, form: str) -> None:
        user = make_user(external_id="platform-7")
        identifier = {
            "id": user.pk,
            "uuid": str(user.uuid),
            "capitals": str(user.uuid).upper(),
            "external_id": "ext:platform-7",
        }[form]

        assert code_of(minted(user_id=identifier)) == "unknown_notification"

    @pytest.mark.parametrize("external_id", ["7", "007", "p-7", "12", "ext:7"])
    def test_an_id_of_the_platforms_is_never_taken_for_one_of_ours(self, external_id: str) -> None:
        named = make_user(external_id=external_id)
        for number in range(1, 13):
            if number != named.pk:
                User.objects.get_or_create(pk=number, defaults={"username": f"n{number}"})

        assert code_of(minted(user_id=f"ext:{external_id}")) == "unknown_notification"
        if not external_id.startswith("ext:"):
            assert code_of(minted(user_id=external_id)) == "unknown_user"

    @pytest.mark.parametrize(
        "text",
        [
            "{0.pk}",
            " {0.pk}",
            "{0.uuid.hex}",
            "{{{0.uuid}}}",
            "urn:uuid:{0.uuid}",
            "{0.username}",
            "EXT:{0.external_id}",
            "ext: {0.external_id}",
            "ext:",
        ],
    )
    def test_a_claim_that_only_looks_like_somebody_is_no_one(self, text: str) -> None:
        user = make_user(external_id="p-7")
        make_user(external_id=None)

        assert code_of(minted(user_id=text.format(user))) == "unknown_user"

    @pytest.mark.parametrize("number", [0, -1, 1 << 63, 1 << 80])
    def test_a_number_beyond_all_ids_is_no_one(self, user: User, number: int) -> None:
        assert code_of(minted(user_id=number)) == "unknown_user"

    def test_a_person_whose_external_id_is_a_uuid_is_not_the_one_with_that_uuid(self) -> None:
        victim = make_user()
        make_user(external_id=str(victim.uuid), is_active=False)

        assert code_of(minted(user_id=str(victim.uuid))) == "unknown_notification"
        assert code_of(minted(user_id=f"ext:{victim.uuid}")) == "inactive_user"

    @pytest.mark.parametrize(
        ("_case", "claims", "code"),
        [
            ("a fraction", {"user_id": 1.0}, "invalid_token"),
            ("half a character", {"user_id": "ext:\ud800"}, "invalid_token"),
            ("nothing", {"user_id": ""}, "invalid_token"),
            ("expired", {"exp": 1_000}, "expired_token"),
            ("no expiry", {"exp": None}, "invalid_token"),
            ("expiry is text", {"exp": "tomorrow"}, "invalid_token"),
            ("expiry is true", {"exp": True}, "invalid_token"),
            ("another audience", {"aud": "elsewhere"}, "invalid_token"),
            ("no audience", {"aud": None}, "invalid_token"),
            ("not yet valid", {"nbf": 99_999_999_999}, "invalid_token"),
            ("unknown", {"user_id": None}, "invalid_token"),
            ("a list", {"user_id": [1]}, "invalid_token"),
            ("true", {"user_id": True}, "invalid_token"),
            ("NUL", {"user_id": "a\x00"}, "invalid_token"),
            ("unknown id", {"user_id": 999_999}, "unknown_user"),
            ("unknown name", {"user_id": "unknown-here"}, "unknown_user"),
            ("unknown uuid", {"user_id": "1f0c5f5e-0000-4000-8000-000000000000"}, "unknown_user"),
        ],
    )
    def test_claims_that_do_not_hold_are_refused(
        self, user: User, _case: str, claims: dict[str, Any], code: str
    ) -> None:
        assert code_of(minted(**{"user_id": user.pk, **claims})) == code

    def test_an_inactive_user_is_refused(self) -> None:
        user = make_user(is_active=False)

        assert code_of(minted(user_id=user.pk)) == "inactive_user"

    def test_another_secret_is_refused(self, user: User) -> None:
        assert code_of(minted("x" * 40, user_id=user.pk)) == "invalid_token"

    def test_an_unsigned_token_is_refused(self, user: User) -> None:
        token = jwt.encode(
            {"aud": "carillon", "exp": 99_999_999_999, "user_id": user.pk}, "", algorithm="none"
        )

        assert code_of(token) == "invalid_token"

    @pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
    def test_no_other_algorithm_goes_with_the_secret(self, user: User, algorithm: str) -> None:
        token = minted("s" * 64, algorithm=algorithm, user_id=user.pk)

        assert code_of(token) == "invalid_token"

    @pytest.mark.parametrize(
        "header",
        ["Bearer", "Bearer a b", "Basic abc", "Bearer \xff\xfe", "nonsense", "Bearer a.b.c"],
    )
    def test_a_header_that_is_none_is_refused(self, api: APIClient, header: str) -> None:
        api.credentials(HTTP_AUTHORIZATION=header)

        response = api.get(DOOR)

        assert (response.status_code, response.data["code"]) == (401, "invalid_token")


class KeyServer:
    """The platform's key set on loopback."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                body = json.dumps({"keys": outer.keys}).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Silence."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)


@pytest.fixture
def key_server(override_environment: Any) -> Iterator[KeyServer]:
    server = KeyServer()
    override_environment(jwt_jwks_url=server.url)
    yield server
    server.close()


class TestPublishedKeys:
    @pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
    def test_a_token_signed_with_a_published_key_opens_the_door(
        self, key_server: KeyServer, user: User, algorithm: str
    ) -> None:
        private = _published(key_server, algorithm)

        assert code_of(minted(private, algorithm, user_id=user.pk)) == "unknown_notification"
        assert code_of(minted(private, algorithm, user_id=user.pk)) == "unknown_notification"
        assert key_server.asked == 1

    def test_a_published_key_cannot_be_used_as_the_secret(
        self, key_server: KeyServer, user: User
    ) -> None:
        """The classic confusion: HS256 over the public key's own bytes."""
        private = _published(key_server, "RS256")
        public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        forged = jwt.api_jws.PyJWS()
        forged.get_algorithm_by_name("HS256").prepare_key = lambda key: key  # type: ignore[method-assign]
        claims = {"aud": "carillon", "exp": 99_999_999_999, "user_id": user.pk}
        token = forged.encode(json.dumps(claims).encode(), public, "HS256", headers={"kid": "k1"})

        assert code_of(token) == "invalid_token"

    def test_a_key_of_another_algorithm_is_refused(self, key_server: KeyServer, user: User) -> None:
        _published(key_server, "RS256")
        private = ec.generate_private_key(ec.SECP256R1())

        assert code_of(minted(private, "ES256", user_id=user.pk)) == "invalid_token"

    def test_made_up_key_ids_do_not_become_requests(
        self, key_server: KeyServer, user: User
    ) -> None:
        private = _published(key_server, "RS256")
        claims = {"aud": "carillon", "exp": 99_999_999_999, "user_id": user.pk}

        for number in range(5):
            token = jwt.encode(claims, private, "RS256", headers={"kid": f"made-up-{number}"})
            assert code_of(token) == "invalid_token"

        assert key_server.asked <= 2

    def test_an_unreachable_key_set_is_503_and_not_401(
        self, key_server: KeyServer, user: User, api: APIClient
    ) -> None:
        private = _published(key_server, "RS256")
        key_server.close()
        api.credentials(HTTP_AUTHORIZATION=f"Bearer {minted(private, 'RS256', user_id=user.pk)}")

        for _ in range(2):
            response = api.get(DOOR)
            assert (response.status_code, response.data["code"]) == (503, "keys_unreachable")
            assert response["Retry-After"] == "5"


def test_without_a_key_set_only_the_secret_counts(user: User) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    assert environment().jwt_jwks_url == ""
    assert code_of(minted(private, "RS256", user_id=user.pk)) == "invalid_token"


def _published(server: KeyServer, algorithm: str) -> Any:
    private: Any
    if algorithm == "RS256":
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        described = json.loads(RSAAlgorithm.to_jwk(private.public_key()))
    else:
        private = ec.generate_private_key(ec.SECP256R1())
        described = json.loads(ECAlgorithm.to_jwk(private.public_key()))
    server.keys = [{**described, "kid": "k1", "use": "sig", "alg": algorithm}]
    return private


class TestDrfTokens:
    def test_a_token_opens_the_door(self, user: User) -> None:
        token = Token.objects.create(user=user)

        assert code_of(token.key, "Token") == "unknown_notification"

    def test_an_unknown_token_and_an_inactive_user_are_refused(self) -> None:
        token = Token.objects.create(user=make_user(is_active=False))

        assert code_of("0" * 40, "Token") == "invalid_token"
        assert code_of(token.key, "Token") == "inactive_user"


class TestApiKeys:
    def test_a_key_opens_the_door_and_notes_its_use(self) -> None:
        key, text = ApiKey.make(name="a", scopes=["notifications:read"])

        assert code_of(text) == "unknown_notification"
        key.refresh_from_db()
        assert key.last_used_at is not None

    def test_its_use_is_written_once_a_minute(self, django_assert_num_queries: Any) -> None:
        _, text = ApiKey.make(name="a", scopes=["operations"])
        client = bearer(text)
        client.get("/api/v1/kill-switch")

        with django_assert_num_queries(1):  # the stops themselves: the caller is trusted
            client.get("/api/v1/kill-switch")

        later = clock.now() + timedelta(minutes=2)
        with clock.reading(lambda: later), django_assert_num_queries(3):
            client.get("/api/v1/kill-switch")

    @pytest.mark.parametrize("spoil", [lambda t: t[:-1], lambda t: t + "x", lambda t: t.upper()])
    def test_a_key_that_is_not_whole_is_refused(self, spoil: Any) -> None:
        _, text = ApiKey.make(name="a", scopes=["*"])

        assert code_of("ck_" + spoil(text[3:])) == "invalid_api_key"

    @pytest.mark.parametrize(
        "text", ["ck_", "ck_live_", "ck_live_x", "ck_live__", "ck_live_\N{SNOWMAN}"]
    )
    def test_what_only_looks_like_a_key_is_refused(self, text: str) -> None:
        assert code_of(text.encode().decode("latin-1")) in ("invalid_api_key", "invalid_token")

    def test_a_revoked_key_is_refused(self) -> None:
        key, text = ApiKey.make(name="a", scopes=["*"])
        ApiKey.objects.filter(pk=key.pk).update(revoked_at=clock.now())

        assert code_of(text) == "revoked_api_key"

    def test_the_text_is_not_in_the_database(self) -> None:
        key, text = ApiKey.make(name="a", scopes=["*"])
        key.refresh_from_db()

        assert text.split("_", 3)[3] not in str(vars(key))


def test_force_authenticate_makes_a_caller_of_the_user(staff: User, api: APIClient) -> None:
    api.force_authenticate(user=staff)

    assert api.get("/api/v1/kill-switch").status_code == 200


def test_scopes_are_those_of_the_key(with_key: KeyClient) -> None:
    assert with_key("operations").get("/api/v1/kill-switch").status_code == 200
    assert with_key("users:read").get("/api/v1/kill-switch").status_code == 403
