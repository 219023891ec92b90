"""docs/reference/api.md, made from the route table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from notifications.api.document.mail_links import LINK_OPERATIONS
from notifications.api.errors import STATUS_OF, STATUS_OF_CODE, title_of
from notifications.api.route import Auth, Route
from notifications.api.routes import ROUTES
from notifications.domain.errors import CarillonError
from notifications.models import SCOPES

INTRODUCTION = """# The API

Made from the route table (`src/notifications/api/routes.py`) by `make docs`.
The OpenAPI document describes every field: [openapi.yaml](openapi.yaml), served at `/api/schema/`.
`/api/docs/` shows it. [Generate a client](../howto/generate_a_client.md) from it.

- **Who calls**: `Authorization: Bearer <JWT>` (a user; HS256 with `CARILLON_JWT_SECRET`, or RS256
  and ES256 with `CARILLON_JWT_JWKS_URL`; claims `user_id`, `exp`, `aud: carillon`),
  `Bearer ck_live_...` or `ck_test_...` (a service's API key, with scopes), or `Token <token>`.
  `user_id` is Carillon's id as a JSON number, its uuid, or `"ext:"` and your `external_id`.
- **Paths** may end with a slash or not. Ids are integers or UUIDs; v1 returns UUIDs.
- **Bodies** are JSON objects in UTF-8; unknown fields are errors.
- **Errors** are RFC 9457 problems (`application/problem+json`) with a stable `code`, and with every
  wrong field at once in `errors: [{path, code, detail}]`.
- **`Idempotency-Key`** (1 to 200 printable ASCII characters) makes a POST safe to repeat: for
  `CARILLON_IDEMPOTENCY_HOURS` the same key and body get the stored response, with
  `Idempotency-Replayed: true` and null in place of secrets; another body gets 422
  `idempotency_mismatch`; a repetition of a request that is still processed after 5 s gets 409
  `idempotency_in_progress` with `Retry-After`. Stored are successes and the refusal `opted_out`;
  after other errors, correct the request and repeat it under the same key.
- **`X-Request-ID`** is that of the request or a new one; the response and all log lines have it.
- **Lists** are `{results, next, previous}`; follow the links.
"""


def api_markdown() -> str:
    """Returns the whole page."""
    parts = [INTRODUCTION, _scopes(), _statuses()]
    by_tag: dict[str, list[Route]] = defaultdict(list)
    for route in ROUTES:
        by_tag[route.tag].append(route)
    for tag, routes in by_tag.items():
        parts.append(f"## {tag}\n")
        parts += [_route(route) for route in routes]
    parts.append("## track\n")
    parts += [_link(path, operation) for path, operation in LINK_OPERATIONS.items()]
    return "\n".join(parts)


def _scopes() -> str:
    rows = [f"| `{scope}` | {about} |" for scope, about in SCOPES.items()]
    return _table("## Scopes of API keys", ("scope", "allows"), rows)


def _statuses() -> str:
    found = [(status, _what(kind)) for kind, status in STATUS_OF.items()]
    found += [(status, f"`{code}`") for code, status in STATUS_OF_CODE.items()]
    rows = [
        f"| {status} {title_of(status)} | {when} |"
        for status, when in sorted(found, key=lambda item: item[0])
    ]
    return _table("## Errors", ("status", "when"), rows)


def _what(kind: type[CarillonError]) -> str:
    text = (kind.__doc__ or "").strip().splitlines()[0]
    return f"{text} (`{kind.code}`, or a code of its own)"


def _route(route: Route) -> str:
    lines = [f"### {route.method} {route.path}", "", route.summary, "", f"- Who: {_who(route)}"]
    if route.body:
        lines.append(f"- Body `{route.body.__name__}`: {_fields(route.body)}")
    for query in route.query:
        default = f" (default `{query.default}`)" if query.default != "" else ""
        lines.append(f"- Query `{query.name}` {query.kind}: {query.about}{default}")
    for status, shape in route.responses.items():
        none = f"a file, `{route.media}`" if route.media else "no body"
        body = f"`{shape.__name__}`: {_fields(shape)}" if shape else none
        lines.append(f"- {status}: {body}")
    if route.idempotent:
        lines.append("- Accepts `Idempotency-Key`.")
    lines.append(f"- Problems: {', '.join(map(str, route.all_errors))}")
    return "\n".join([*lines, ""])


def _link(path: str, operation: Mapping[str, Any]) -> str:
    lines = [f"### GET {path}", "", operation["summary"], "", "- Who: anyone."]
    lines += [
        f"- Query `{given['name']}` string: {given['description']}"
        for given in operation["parameters"]
        if given["in"] == "query"
    ]
    lines += [
        f"- {status}: {response['description']}"
        for status, response in operation["responses"].items()
    ]
    return "\n".join([*lines, ""])


def _who(route: Route) -> str:
    if route.auth is Auth.PUBLIC:
        return "anyone."
    if route.scope:
        return f"staff, and API keys with the scope `{route.scope}`."
    if route.for_persons:
        return "users for themselves alone."
    return f"users for themselves; staff, and API keys with the scope `{route.service_scope}`."


def _fields(shape: type[msgspec.Struct]) -> str:
    return ", ".join(
        f"`{field.encode_name}{'' if field.required else '?'}`"
        for field in msgspec.structs.fields(shape)
    )


def _table(heading: str, columns: tuple[str, ...], rows: Iterable[Any]) -> str:
    head = f"| {' | '.join(columns)} |"
    rule = f"| {' | '.join('---' for _ in columns)} |"
    return "\n".join([heading, "", head, rule, *rows, ""])
