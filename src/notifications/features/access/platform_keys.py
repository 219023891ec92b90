"""The platform's published keys, by which tokens of RS256 and ES256 are verified."""

from __future__ import annotations

import functools
import json
import threading
import time
from typing import Any

import jwt
from jwt import PyJWK, PyJWKClient
from jwt.exceptions import PyJWKClientConnectionError, PyJWKClientError, PyJWTError

from notifications.domain.errors import CarillonError
from notifications.infra import clock
from notifications.infra.http.client import AddressRefused, HttpFault
from notifications.infra.http.fetching import fetch

TIMEOUT_S = 3
"""Of a whole fetch, however slowly the server answers."""
LIFE_S = 300
PAUSE_S = 5


class KeysUnreachable(CarillonError):
    """The platform's signing keys (CARILLON_JWT_JWKS_URL) cannot be fetched at the moment."""

    code = "keys_unreachable"


class _BoundedClient(PyJWKClient):
    """PyJWT's client with a fetch that is bounded in time and size."""

    def fetch_data(self) -> Any:
        """Returns the set of keys.

        Raises:
            PyJWKClientConnectionError: there is none in time, or the answer is no set of keys.
        """
        try:
            found = fetch(self.uri, timeout_s=TIMEOUT_S)
            if found.status != 200 or not found.complete:
                raise PyJWKClientConnectionError("the answer is no set of keys")
            keys = self._as_jwk_set_payload(json.loads(found.body))
            assert self.jwk_set_cache is not None
            self.jwk_set_cache.put(keys)
        except (HttpFault, AddressRefused) as error:
            raise PyJWKClientConnectionError("the keys cannot be fetched") from error
        except (PyJWTError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise PyJWKClientConnectionError("the answer is no set of keys") from error
        self._last_successful_fetch = time.monotonic()
        return keys


@functools.cache
def key_set(url: str) -> KeySet:
    """Returns the keys at a URL, one object a process."""
    return KeySet(url)


class KeySet:
    """The platform's published keys, cached for five minutes.

    An unknown key id fetches them again at most twice a minute (PyJWKClient's cooldown), so that
    invented ids do not cause requests. After a failed fetch, calls fail at once for five seconds,
    those that waited for it, too.
    """

    def __init__(self, url: str) -> None:
        self._client = _BoundedClient(url, lifespan=LIFE_S)
        self._lock = threading.Lock()
        self._failed_at = float("-inf")

    def find(self, kid: str, algorithm: str) -> PyJWK:
        """Returns the key with this id, if it has this algorithm.

        Raises:
            KeysUnreachable: the keys cannot be fetched.
            jwt.InvalidKeyError: there is no such key.
        """
        with self._lock:
            if clock.monotonic() - self._failed_at < PAUSE_S:
                raise KeysUnreachable(retry_after=PAUSE_S)
            try:
                key = self._client.get_signing_key(kid)
            except PyJWKClientConnectionError as error:
                self._failed_at = clock.monotonic()
                raise KeysUnreachable(retry_after=PAUSE_S) from error
            except PyJWKClientError as error:
                raise jwt.InvalidKeyError("no published key has this id") from error
        if key.algorithm_name != algorithm:
            raise jwt.InvalidKeyError("the published key has another algorithm")
        return key
