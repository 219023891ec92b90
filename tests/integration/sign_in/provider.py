"""A small OpenID Connect provider on loopback: code with PKCE, and lies on request."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

CLIENT, SECRET = "carillon-tests", "a-client-secret"


class Provider:
    """Signs in whom a test names. `lie` changes the claims of ID tokens, or their signature."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.other_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.lie: dict[str, Any] = {}
        self.claims: dict[str, Any] = {}
        self.details: dict[str, Any] = {}
        self.document: dict[str, Any] = {}
        #: Whole answers instead of the right ones, by path.
        self.whole: dict[str, Any] = {}
        self._codes: dict[str, dict[str, str]] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._respond(*outer._get(urlsplit(self.path).path, self.headers))

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                form = parse_qs(self.rfile.read(length).decode())
                self._respond(*outer._exchange({name: values[0] for name, values in form.items()}))

            def _respond(self, status: int, body: dict[str, Any]) -> None:
                place = urlsplit(self.path).path
                text = json.dumps(outer.whole.get(place, body)).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                """Silence."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def settings(self, **more: Any) -> dict[str, Any]:
        """The settings of the service that name this provider."""
        return {
            "oidc_issuer": self.issuer,
            "oidc_client_id": CLIENT,
            "oidc_client_secret": SECRET,
            **more,
        }

    def authorize(self, location: str, subject: str, **claims: Any) -> str:
        """Does what the person does at the provider; returns the path that leads back."""
        parts = urlsplit(location)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{self.issuer}/authorize"
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = secrets.token_urlsafe(16)
        self._codes[code] = query
        self.claims = {"sub": subject, **claims}
        back = urlsplit(query["redirect_uri"]).path
        return f"{back}?{urlencode({'code': code, 'state': query['state']})}"

    def _get(self, path: str, headers: Any) -> tuple[int, dict[str, Any]]:
        if path == "/.well-known/openid-configuration":
            known = {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "userinfo_endpoint": f"{self.issuer}/userinfo",
                "jwks_uri": f"{self.issuer}/jwks",
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
            }
            return 200, {**known, **self.document}
        if path == "/jwks":
            public = json.loads(RSAAlgorithm.to_jwk(self.key.public_key()))
            return 200, {"keys": [{**public, "kid": "k1", "alg": "RS256", "use": "sig"}]}
        if path == "/userinfo" and headers.get("Authorization") == "Bearer opaque":
            return 200, {"sub": self.claims["sub"], **self.details}
        return 404, {}

    def _exchange(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        query = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            query is None
            or challenge != query["code_challenge"]
            or form.get("client_secret") != SECRET
            or form.get("redirect_uri") != query["redirect_uri"]
        ):
            return 400, {"error": "invalid_grant"}
        return 200, {
            "access_token": "opaque",
            "token_type": "Bearer",
            "id_token": self._id_token(query["nonce"]),
        }

    def _id_token(self, nonce: str) -> str:
        now = int(time.time())
        full = {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            **self.claims,
        }
        changes = {name: value for name, value in self.lie.items() if not name.startswith("_")}
        claims = {n: v for n, v in {**full, **changes}.items() if v is not None}
        if self.lie.get("_algorithm") == "none":
            return jwt.encode(claims, None, algorithm="none")
        if self.lie.get("_algorithm") == "HS256":
            return jwt.encode(claims, SECRET * 3, algorithm="HS256", headers={"kid": "k1"})
        key = self.other_key if self.lie.get("_key") == "other" else self.key
        return jwt.encode(claims, key, algorithm="RS256", headers={"kid": "k1"})
