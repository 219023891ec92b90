"""The OpenAPI document, made from the route table by drf-spectacular and msgspec."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

import msgspec
import yaml
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from notifications.api.document.mail_links import LINK_OPERATIONS
from notifications.api.document.schemas import REF, schemas_of
from notifications.api.errors import (
    STATUS_OF,
    STATUS_OF_CODE,
    LegacyProblem,
    Problem,
    is_legacy,
    title_of,
)
from notifications.api.response import JSON_TYPE, PROBLEM_TYPE
from notifications.api.route import Auth, Query, Route

F = TypeVar("F", bound=Callable[..., Any])
_PROBLEMS = (Problem, LegacyProblem)
_KEY_HEADER = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 200},
    OpenApiParameter.HEADER,
    description="Makes a repetition safe: the same key and body get the stored response.",
)
_PATH_PARAMETERS = {
    "id": "The integer id or the UUID.",
    "job_id": "The id of the job, a UUID.",
    "provider": "The key of the provider, such as `twilio`.",
    "room": "`course:<id>`, `group:<id>`, `subject:<id>` or `user:<id>`.",
}
_IDS_OF_TAG = {
    "users": "The user: an integer id, a UUID, or `ext:` and your `external_id`.",
    "categories": "The integer id or the key of the category.",
}
_RETRY_AFTER = {
    "description": "After how many seconds to repeat the request.",
    "schema": {"type": "integer", "examples": [5]},
}
_CHALLENGE = {
    "description": "How to authenticate (RFC 6750).",
    "schema": {"type": "string", "examples": ['Bearer realm="carillon"']},
}
_HEADERS = {
    401: {"WWW-Authenticate": _CHALLENGE},
    429: {"Retry-After": _RETRY_AFTER},
    503: {"Retry-After": _RETRY_AFTER},
}
_known: dict[str, type[msgspec.Struct]] = {shape.__name__: shape for shape in _PROBLEMS}
_closed: set[type[msgspec.Struct]] = set()
"""Bodies in which an unknown field is refused."""


class CarillonScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Documents the ways to authenticate."""

    target_class = "notifications.api.auth.CarillonAuthentication"
    name = ["bearer", "token"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        return [
            {
                "type": "http",
                "scheme": "bearer",
                "description": "A JWT, or an API key (`ck_live_...`, `ck_test_...`).",
            },
            {
                "type": "apiKey",
                "in": "header",
                "name": "Authorization",
                "description": "`Token <token>`.",
            },
        ]


def documented(route: Route, view: F) -> F:
    """Returns the view method with its operation in the document."""
    shapes = [route.body, *route.responses.values()]
    _known.update({shape.__name__: shape for shape in shapes if shape})
    if route.body and not route.of_vendor:
        _closed.add(route.body)
    responses: dict[Any, Any] = {
        status if shape is None else (status, JSON_TYPE): _response(status, shape)
        for status, shape in route.responses.items()
        if not route.media
    }
    if route.media:
        file = OpenApiResponse(response=OpenApiTypes.STR, description="The file.")
        responses |= {(route.status, route.media): file}
    legacy = is_legacy(f"{route.path}/")
    problem, kind = (LegacyProblem, JSON_TYPE) if legacy else (Problem, PROBLEM_TYPE)
    for status in route.all_errors:
        responses[status, kind] = _response(status, problem)
    decorate = extend_schema(
        operation_id=route.name,
        summary=route.summary,
        description=_description(route),
        tags=[route.tag],
        auth=[] if route.auth is Auth.PUBLIC else None,
        parameters=_parameters(route),
        request={JSON_TYPE: _ref(route.body)} if route.body else None,
        responses=responses,
    )
    decorated: F = decorate(view)
    return decorated


def _ref(shape: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": REF.format(name=shape.__name__)}


def _response(status: int, shape: type[msgspec.Struct] | None) -> OpenApiResponse:
    if shape is None:
        about = f"{title_of(status)}: the response has no body."
    elif shape in _PROBLEMS:
        about = _meaning(status)
    else:
        about = (shape.__doc__ or "").partition("\n")[0]
    return OpenApiResponse(response=_ref(shape) if shape else None, description=about)


def _meaning(status: int) -> str:
    """Returns what an error's status means: its title, and the sentences of its errors."""
    kinds = [kind for kind, found in STATUS_OF.items() if found == status]
    sentences = [
        f"`{kind.code}`: {(kind.__doc__ or '').strip().partition(chr(10))[0]}" for kind in kinds
    ]
    codes = [f"`{code}`." for code, found in STATUS_OF_CODE.items() if found == status]
    return " ".join([f"{title_of(status)}.", *sentences, *codes])


def _description(route: Route) -> str:
    parts = [_needed(route)]
    if route.idempotent:
        parts.append("Accepts `Idempotency-Key`.")
    if route.secrets:
        parts.append(f"Shows `{'`, `'.join(route.secrets)}` once.")
    return " ".join(parts)


def _needed(route: Route) -> str:
    if route.auth is Auth.PUBLIC:
        return "Needs no authentication."
    if route.scope:
        return f"Needs the scope `{route.scope}`; staff have every scope."
    if route.for_persons:
        return "Users for themselves alone."
    return f"API keys need the scope `{route.service_scope}`; users act for themselves."


def _parameters(route: Route) -> list[OpenApiParameter]:
    found = [
        OpenApiParameter(
            name, OpenApiTypes.STR, OpenApiParameter.PATH, description=_path_parameter(route, name)
        )
        for name in route.parameters
    ]
    found += [_query_parameter(query) for query in route.query]
    return [*found, _KEY_HEADER] if route.idempotent else found


def _path_parameter(route: Route, name: str) -> str:
    return _IDS_OF_TAG.get(route.tag, _PATH_PARAMETERS[name])


def _query_parameter(query: Query) -> OpenApiParameter:
    schema: dict[str, Any] = {"type": query.kind}
    if query.kind == "integer":
        schema |= {"minimum": query.lowest, "maximum": query.highest}
    if query.kind == "string":
        schema |= {"minLength": 1, "maxLength": query.longest}
    if query.choices:
        schema["enum"] = list(query.choices)
    if query.default != "":
        schema["default"] = query.default
    return OpenApiParameter(
        query.name,
        schema,
        OpenApiParameter.QUERY,
        required=query.required,
        description=query.about,
    )


def add_components(
    result: dict[str, Any], generator: Any, request: Any, public: bool
) -> dict[str, Any]:
    """drf-spectacular's POSTPROCESSING_HOOK: adds schemas, errors, links of mails, the version."""
    with suppress(PackageNotFoundError):  # run from its source, uninstalled
        result["info"]["version"] = version("carillon")
    components = result.setdefault("components", {})
    components.setdefault("schemas", {}).update(schemas_of(_known.values(), closed=_closed))
    errors: dict[str, Any] = {}
    for operations in result["paths"].values():
        for operation in operations.values():
            _correct(operation)
            _share_errors(operation["responses"], errors)
    components["responses"] = dict(sorted(errors.items()))
    links = deepcopy(LINK_OPERATIONS)  # the caller may change the document
    result["paths"] |= {path: {"get": operation} for path, operation in links.items()}
    return result


def _correct(operation: dict[str, Any]) -> None:
    """Adds what drf-spectacular cannot know: bodies are required, one of the schemes is enough."""
    if "requestBody" in operation:
        operation["requestBody"]["required"] = True
    if "security" in operation:
        operation["security"] = [
            {name: scopes} for each in operation["security"] for name, scopes in each.items()
        ]


def _share_errors(responses: dict[str, Any], errors: dict[str, Any]) -> None:
    """Moves the responses with errors to `errors`, and refers to them."""
    for status, response in responses.items():
        for content in response.get("content", {}).values():
            name = content["schema"].get("$ref", "").rpartition("/")[2]
            if name in (shape.__name__ for shape in _PROBLEMS):
                headers = _HEADERS.get(int(status))
                shared = {**response, "headers": headers} if headers else response
                errors.setdefault(f"{name}{status}", shared)
                responses[status] = {"$ref": f"#/components/responses/{name}{status}"}


def openapi_document() -> dict[str, Any]:
    """Returns the document as `/api/schema/` serves it."""
    document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return document


def openapi_yaml() -> str:
    """Returns the text of docs/reference/openapi.yaml."""
    text: str = yaml.safe_dump(
        openapi_document(), sort_keys=False, allow_unicode=True, default_flow_style=False
    )
    return text
