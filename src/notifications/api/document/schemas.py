"""The schemas of the OpenAPI document: those of msgspec, with the documentation of each field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, get_args

import msgspec

from notifications.api.document.field_docs import FieldDoc, field_docs

REF = "#/components/schemas/{name}"
_FORMAT_EXAMPLES = {
    "date-time": "2030-05-01T09:30:00Z",
    "date": "2030-05-01",
    "uuid": "0192f0c1-2f6e-7c3a-9d52-3a1b5c7d9e10",
}
_ENUM_MEMBERS = ("title", "description", "type", "enum", "examples")
_NO_DOC = FieldDoc("")


def schemas_of(
    shapes: Iterable[type[msgspec.Struct]], *, closed: Iterable[type[msgspec.Struct]]
) -> dict[str, Any]:
    """Returns the schemas by name, those of nested Structs and of fixed values included.

    closed: bodies in which an unknown field is refused.
    """
    wanted, bodies = list(shapes), _all_structs(closed)
    _, found = msgspec.json.schema_components(wanted, ref_template=REF)
    for shape in _all_structs(wanted):
        _document_fields(shape, found[shape.__name__])
        (_describe_body if shape in bodies else _describe_response)(shape, found[shape.__name__])
    for schema in list(found.values()):
        _move_enums(schema, found)
    for name in sorted(found):
        for field in found[name].get("properties", {}).values():
            _complete(field, found)
    return dict(sorted(found.items()))


def _document_fields(shape: type[msgspec.Struct], schema: dict[str, Any]) -> None:
    docs = field_docs(shape)
    for field in msgspec.structs.fields(shape):
        found = schema["properties"][field.encode_name]
        doc = docs.get(field.name, _NO_DOC)
        if doc.text:
            found["description"] = doc.text
        if doc.example is not msgspec.UNSET:
            found["examples"] = [doc.example]
        if datetime in _parts_of(field.type):
            _as_date_time(found)


def _describe_body(_shape: type[msgspec.Struct], schema: dict[str, Any]) -> None:
    """Refuses unknown fields. A default that says no more than leaving the field out is removed:
    TypeScript generators make every field with a default a required one."""
    schema["additionalProperties"] = False
    for field in schema["properties"].values():
        if field.get("default", "") in (None, [], {}):
            del field["default"]


def _describe_response(shape: type[msgspec.Struct], schema: dict[str, Any]) -> None:
    """Lists the fields that are always there: all of them, unless the Struct omits defaults."""
    for field in schema["properties"].values():
        field.pop("default", None)
    if not shape.__struct_config__.omit_defaults:
        schema["required"] = list(schema["properties"])


def _all_structs(shapes: Iterable[type[msgspec.Struct]]) -> set[type[msgspec.Struct]]:
    """Returns the Structs, and those within them."""
    found: set[type[msgspec.Struct]] = set()
    waiting: list[Any] = list(shapes)
    while waiting:
        for kind in _parts_of(waiting.pop()):
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in found:
                found.add(kind)
                waiting += [field.type for field in msgspec.structs.fields(kind)]
    return found


def _parts_of(kind: Any) -> Iterator[Any]:
    """Yields a type and every type that is written inside it."""
    yield kind
    for part in get_args(kind):
        yield from _parts_of(part)


def _as_date_time(schema: dict[str, Any]) -> None:
    """Adds the format: msgspec adds it only to times that must have an offset; ours always do."""
    for each in schema.get("anyOf", [schema]):
        if each.get("type") == "string":
            each["format"] = "date-time"


def _move_enums(node: Any, schemas: dict[str, Any]) -> None:
    """Moves every named list of values to a schema of its own, and refers to it."""
    if isinstance(node, list):
        for each in node:
            _move_enums(each, schemas)
    elif isinstance(node, dict):
        for each in node.values():
            _move_enums(each, schemas)
        if "enum" in node and "title" in node:
            name = node["title"]
            schemas.setdefault(name, {each: node[each] for each in _ENUM_MEMBERS if each in node})
            for each in (*_ENUM_MEMBERS, "minLength", "maxLength"):
                node.pop(each, None)
            node["$ref"] = REF.format(name=name)
        elif node.get("type") == "object" and not node.keys() & {
            "properties",
            "additionalProperties",
        }:
            node["additionalProperties"] = True  # TypeScript generators read its absence as false


def _complete(field: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Adds what a field's own documentation leaves to its type."""
    target = _target(field, schemas)
    if "description" not in field and "enum" in target:
        field["description"] = target["description"]
    example = _example(field, schemas)
    if example is not msgspec.UNSET:
        field["examples"] = [example]


def _target(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """Returns the schema that a field refers to, itself or as its first alternative."""
    for each in (schema, *schema.get("anyOf", ())):
        if "$ref" in each:
            found: dict[str, Any] = schemas[each["$ref"].rpartition("/")[2]]
            return found
    return {}


def _example(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """Returns an example of a schema; UNSET for Structs, whose fields have their own."""
    if "examples" in schema:
        return schema["examples"][0]
    if schema.get("type") == "boolean":
        return True
    if schema.get("format") in _FORMAT_EXAMPLES:
        return _FORMAT_EXAMPLES[schema["format"]]
    if "$ref" in schema:
        return _example(_target(schema, schemas), schemas)
    if schema.get("type") == "array":
        inner = _example(schema["items"], schemas)
        return inner if inner is msgspec.UNSET else [inner]
    found = (_example(each, schemas) for each in schema.get("anyOf", ()))
    return next((each for each in found if each is not msgspec.UNSET), msgspec.UNSET)
