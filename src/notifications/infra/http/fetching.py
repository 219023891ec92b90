"""Fetches from code that may block: bounded in time and size as a whole, without redirects."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import requests
from requests.adapters import BaseAdapter

from notifications.infra.http.client import AddressRefused, HttpClient, HttpFault, Resolver
from notifications.infra.http.wire import Response

_OF_THE_CLIENT = frozenset(
    ("host", "user-agent", "accept", "accept-encoding", "content-length", "connection")
)
"""Headers that the client writes itself."""


def fetch(
    url: str,
    *,
    timeout_s: float,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    resolver: Resolver | None = None,
) -> Response:
    """Sends a request, and blocks the thread for at most `timeout_s` seconds, however slowly the
    server answers. resolver: decides which addresses may be connected to; None allows all.

    Raises:
        HttpFault: no response in time. AddressRefused: the address may not be connected to.
    """

    async def call() -> Response:
        client = HttpClient(timeout_s=timeout_s, resolver=resolver)
        try:
            return await client.request(method, url, headers=headers or {}, body=body)
        finally:
            await client.close()

    return asyncio.run(call())


class BoundedAdapter(BaseAdapter):
    """Sends what a session of `requests` sends, by `fetch`."""

    def __init__(self, *, timeout_s: float, resolver: Resolver) -> None:
        super().__init__()
        self._timeout_s = timeout_s
        self._resolver = resolver

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
        """Sends a prepared request. A redirect is a failure.

        Raises:
            requests.RequestException: no answer in time, too long, refused, or a redirect.
        """
        body: Any = request.body or b""  # a text or bytes, since no call streams one
        headers = {
            name: value if isinstance(value, str) else value.decode("latin-1")
            for name, value in request.headers.items()
            if name.lower() not in _OF_THE_CLIENT
        }
        try:
            found = fetch(
                str(request.url),
                timeout_s=self._timeout_s,
                method=str(request.method),
                headers=headers,
                body=body.encode() if isinstance(body, str) else body,
                resolver=self._resolver,
            )
        except (HttpFault, AddressRefused, ValueError) as error:
            raise requests.ConnectionError("the server cannot be reached") from error
        if not found.complete or 300 <= found.status < 400:
            raise requests.RequestException("the answer is too long, or leads away")
        made = requests.Response()
        made.status_code, made.url, made.request = found.status, str(request.url), request
        made.headers.update(found.headers)
        made._content = found.body
        return made

    def close(self) -> None:
        """Does nothing: each call closes its connection."""
