"""The second way in to the busiest routes: in a group, ahead of Django's handlers."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.test.client import ClientHandler

from carillon.serving.grouped_routes import grouped_call
from notifications.api.response import JsonResponse


class GroupWay:
    """Makes the test client give each request to a group first, as the server does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        #: Requests that a group answered.
        self.answered = 0
        self._handler = ClientHandler.__call__
        monkeypatch.setattr(ClientHandler, "__call__", lambda *args: self._call(*args))

    def _call(self, handler: ClientHandler, environ: dict[str, Any]) -> Any:
        body = environ["wsgi.input"].read()
        environ = {**environ, "wsgi.input": io.BytesIO(body)}
        found = grouped_call(scope_of(environ), body)
        response = None if found is None else found[0].respond([found[1]])[0]
        if response is None:
            return self._handler(handler, environ)
        self.answered += 1
        shown = shown_by_client(response)
        shown.wsgi_request = WSGIRequest(environ)
        return shown


def scope_of(environ: dict[str, Any]) -> dict[str, Any]:
    """The ASGI scope of a WSGI environ, as far as a group reads it."""
    headers = {
        name.removeprefix("HTTP_").lower().replace("_", "-").encode(): str(value).encode("latin-1")
        for name, value in environ.items()
        if (name.startswith("HTTP_") and name != "HTTP_COOKIE") or name == "CONTENT_TYPE"
    }
    headers.setdefault(b"host", environ["SERVER_NAME"].encode())
    return {
        "path": environ["PATH_INFO"],
        "method": environ["REQUEST_METHOD"],
        "query_string": environ.get("QUERY_STRING", "").encode(),
        "headers": list(headers.items()),
        "client": (environ.get("REMOTE_ADDR", ""), 0),
    }


def shown_by_client(response: tuple[int, list[tuple[bytes, bytes]], bytes]) -> HttpResponse:
    """A group's response as Django's test client shows one."""
    status, headers, content = response
    shown = JsonResponse(content, status)
    for name in list(shown.headers):
        del shown[name]
    for header, value in headers:
        shown[header.decode().title()] = value.decode()
    return shown
