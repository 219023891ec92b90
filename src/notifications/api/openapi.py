"""The OpenAPI document, made from the route table by drf-spectacular and msgspec."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypeVar, get_args

import msgspec
import yaml
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from notifications.api.errors import LegacyProblem, Problem, is_legacy, title_of
from notifications.api.response import JSON_TYPE, PROBLEM_TYPE
from notifications.api.route import Auth, Query, Route

F = TypeVar("F", bound=Callable[..., Any])
REF = "#/components/schemas/{name}"
_KEY_HEADER = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 200},
    OpenApiParameter.HEADER,
    description="Makes a repeated request safe: the same key and body replays the first answer.",
)
_known: dict[str, type[msgspec.Struct]] = {
    "Problem": Problem,
    "LegacyProblem": LegacyProblem,
}


_closed: set[type[msgspec.Struct]] = set()
"""Bodies in which an unknown field is refused."""


class CarillonScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How one authenticates, in the document."""

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
    """The view method with its operation in the document."""
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
        file = OpenApiResponse(response=OpenApiTypes.STR, description=title_of(route.status))
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
    return OpenApiResponse(response=_ref(shape) if shape else None, description=title_of(status))


def _description(route: Route) -> str:
    if route.auth is Auth.PUBLIC:
        return "Public."
    if route.scope:
        return f"Needs the scope `{route.scope}`; staff hold it."
    if route.service_scope:
        return f"API keys need the scope `{route.service_scope}`; people act for themselves."
    return "Any caller."


def _parameters(route: Route) -> list[OpenApiParameter]:
    found = [
        OpenApiParameter(
            name, OpenApiTypes.STR, OpenApiParameter.PATH, description="Integer id or UUID."
        )
        for name in route.parameters
    ]
    found += [_query_parameter(query) for query in route.query]
    return [*found, _KEY_HEADER] if route.idempotent else found


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
    """drf-spectacular's POSTPROCESSING_HOOK: the shapes that operations refer to."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(_schemas(_known.values()))
    for operations in result["paths"].values():
        for operation in operations.values():
            _mend(operation)
    return result


def _mend(operation: dict[str, Any]) -> None:
    """Says what drf-spectacular cannot know: bodies are required, one of the schemes is enough."""
    if "requestBody" in operation:
        operation["requestBody"]["required"] = True
    if "security" in operation:
        operation["security"] = [
            {name: scopes} for each in operation["security"] for name, scopes in each.items()
        ]


def _schemas(shapes: Iterable[type[msgspec.Struct]]) -> dict[str, Any]:
    wanted = list(shapes)
    _, found = msgspec.json.schema_components(wanted, ref_template=REF)
    for shape in _all_structs(wanted):
        for field in msgspec.structs.fields(shape):
            if datetime in (field.type, *get_args(field.type)):
                _as_date_time(found[shape.__name__]["properties"][field.encode_name])
    for shape in _all_structs(_closed):
        found[shape.__name__]["additionalProperties"] = False
    return dict(sorted(found.items()))


def _all_structs(shapes: Iterable[type[msgspec.Struct]]) -> set[type[msgspec.Struct]]:
    """The shapes, and those within them."""
    found: set[type[msgspec.Struct]] = set()
    waiting: list[Any] = list(shapes)
    while waiting:
        kind = waiting.pop()
        waiting += get_args(kind)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in found:
            found.add(kind)
            waiting += [field.type for field in msgspec.structs.fields(kind)]
    return found


def _as_date_time(schema: dict[str, Any]) -> None:
    """msgspec names the format only of times that must have an offset; ours always do."""
    for each in schema.get("anyOf", [schema]):
        if each.get("type") == "string":
            each["format"] = "date-time"


def openapi_document() -> dict[str, Any]:
    """The document as `/api/schema/` serves it."""
    document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return document


def openapi_yaml() -> str:
    """The text of docs/reference/openapi.yaml."""
    text: str = yaml.safe_dump(
        openapi_document(), sort_keys=False, allow_unicode=True, default_flow_style=False
    )
    return text
