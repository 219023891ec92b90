"""The operations of the links in tracked mails: pages without a route, which anyone may open."""

from __future__ import annotations

from typing import Any

from notifications.infra.tracking.links import CLICK_PATH, OPEN_PATH

_PUBLIC = "Needs no authentication."
_MESSAGE = "The message and the place of the link in it. Example: `77.0`"


def _text(name: str, place: str, about: str) -> dict[str, Any]:
    return {
        "in": place,
        "name": name,
        "schema": {"type": "string"},
        "required": True,
        "description": about,
    }


LINK_OPERATIONS: dict[str, dict[str, Any]] = {
    f"{OPEN_PATH}{{id}}": {
        "operationId": "track_open",
        "summary": "Count that a mail was opened, by the picture in it.",
        "description": f"{_PUBLIC} A forged id gets the same picture, and counts nothing.",
        "tags": ["track"],
        "parameters": [_text("id", "path", "The message and its signature, as in the mail.")],
        "responses": {
            "200": {
                "description": "A transparent picture of one pixel.",
                "content": {"image/gif": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    },
    CLICK_PATH: {
        "operationId": "track_click",
        "summary": "Count a click, and lead to the URL of the link.",
        "description": f"{_PUBLIC} It leads only to URLs that were in the mail.",
        "tags": ["track"],
        "parameters": [
            _text("m", "query", _MESSAGE),
            _text("s", "query", "The signature of the link."),
            _text("url", "query", "Where the link leads to."),
        ],
        "responses": {
            "302": {
                "description": "It leads to the URL of the link, and has no body.",
                "headers": {
                    "Location": {
                        "description": "The URL of the link.",
                        "schema": {"type": "string", "format": "uri"},
                    }
                },
            },
            "400": {
                "description": "The link is not from a mail, or was changed: a page that says so.",
                "content": {"text/html": {"schema": {"type": "string"}}},
            },
        },
    },
}
"""The GET operations by path."""
