"""Makes requests from the OpenAPI document: values that fit their schema, and values that do not.

A seed decides everything, so a request that finds a fault can be made again.
"""

from __future__ import annotations

import copy
import json
import math
import random
import string
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

DEEPEST = 5
TEXTS = (
    "", " ", "a", "x" * 300, "\x00", "a\x00b", "\ud800", "\N{GRINNING FACE}" * 5, "\u202eabc",
    "'; DROP TABLE a; --", "{{ 7*7 }}", "{% for a in b %}", "<script>alert(1)</script>",
    "../../etc/passwd", "a\r\nBcc: b@c.example", "%00", "null", "true", "NaN", "0", "-1",
    "9" * 30, "1e999", "ck_live_a_b", "me", "*", "ext:p-7", "\u0301" * 50, "a.b.c",
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 2, 7, 255, 1 << 31, (1 << 31) - 1, 1 << 53, (1 << 63) - 1, 1 << 63, -(1 << 63),
    1 << 64, 10**30, 0.5, -0.0, 1e308, 1e-308, 3.0,
)  # fmt: skip
MOMENTS = (
    "2030-05-01T12:00:00Z", "2030-05-01T12:00:00+05:30", "2030-02-30T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z", "2030-05-01", "2030-05-01T12:00:00", "1969-12-31T23:59:59Z",
)  # fmt: skip
BY_FORMAT: dict[str, tuple[str, ...]] = {
    "date-time": MOMENTS,
    "date": ("2030-05-01", "2030-13-01", "0000-00-00", "2030-05-01T12:00:00Z"),
    "uuid": ("01890a5d-ac96-774b-bcce-b302099a8057", "0" * 32, "not-a-uuid"),
    "uri": ("https://hook.invalid/x", "http://127.0.0.1/", "javascript:alert(1)", "https://"),
    "email": ("ada@example.org", "a@b", "@", "ada@exämple.org", "a" * 300 + "@example.org"),
}
KINDS = (
    "application/json",
    "application/json; charset=utf-8",
    "text/plain",
    "multipart/form-data",
    "",
)
BROKEN = (b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"a":NaN}', b'"a"', b"{}{}", b"[" * 3_000)


@dataclass(frozen=True)
class Operation:
    """One call of the document."""

    method: str
    path: str
    about: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Made:
    """One request."""

    operation: Operation
    url: str
    body: bytes = b""
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    #: A parameter with a slash makes the path that of another call, or of none.
    is_elsewhere: bool = False


class Generator:
    """Makes requests. `known` has values that exist, by the name of a parameter or a field."""

    def __init__(self, document: dict[str, Any], known: dict[str, list[Any]], seed: int) -> None:
        self._document = document
        self._known = known
        self._rng = random.Random(seed)
        self.operations = [
            Operation(method.upper(), path, about)
            for path, methods in document["paths"].items()
            for method, about in methods.items()
            if method in ("get", "post", "put", "patch", "delete")
        ]

    def request(self, operation: Operation) -> Made:
        """Returns a request of one call."""
        path, query, headers = operation.path, [], {}
        elsewhere = False
        for given in operation.about.get("parameters", ()):
            parameter = self._resolved(given)
            name, schema = parameter["name"], parameter.get("schema", {})
            if parameter["in"] == "path":
                text = self._of_path(name, schema)
                elsewhere = elsewhere or "/" in text
                path = path.replace(f"{{{name}}}", quote(text, safe=""))
            elif parameter.get("required") or self._rng.random() < 0.3:
                text = self._text_of(self._value(schema, name))
                if parameter["in"] == "query":
                    query.append((name, text))
                else:
                    headers[name] = "".join(each for each in text if " " <= each < "\x7f")[:300]
        if self._rng.random() < 0.05:
            query.append((self._rng.choice(("q", "limit", "cursor", "next", "a[b]")), self._text()))
        encoded = urlencode(query, errors="replace")
        url = f"{path}?{encoded}" if encoded else path
        made = Made(operation, url, headers=headers, is_elsewhere=elsewhere)
        if body := operation.about.get("requestBody"):
            made.body, made.kind = self._body(self._resolved(body))
        return made

    def _body(self, about: dict[str, Any]) -> tuple[bytes, str]:
        draw, kind = self._rng.random(), next(iter(about["content"]))
        if draw < 0.04:
            return self._rng.choice(BROKEN), kind
        value = self._value(about["content"][kind]["schema"], "")
        if draw > 0.5:
            value = self._spoiled(value)
        if draw > 0.97:
            kind = self._rng.choice(KINDS)
        text = json.dumps(value)
        return text.encode("utf-8", "surrogatepass"), kind

    def _of_path(self, name: str, schema: dict[str, Any]) -> str:
        if self._rng.random() < 0.75 and (found := self._some_known(name)) is not None:
            return str(found)
        text = self._text_of(self._value(schema, name)) or "0"
        return text.encode("utf-8", "replace").decode()

    def _some_known(self, name: str) -> Any:
        values = self._known.get(name)
        return self._rng.choice(values) if values else None

    def _resolved(self, about: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in about:
            found: Any = self._document
            for part in about["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            about = {**found, **{name: each for name, each in about.items() if name != "$ref"}}
        return about

    def _value(self, schema: dict[str, Any], name: str, depth: int = 0) -> Any:
        """Returns a value that mostly fits the schema."""
        schema = self._resolved(schema)
        draw = self._rng.random()
        if draw < 0.35 and (found := self._some_known(name)) is not None:
            return copy.deepcopy(found)
        if draw > 0.97:
            return self._any()
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._rng.choice(schema["enum"])
        examples = schema.get("examples") or ([schema["example"]] if "example" in schema else [])
        if examples and draw < 0.6:
            return copy.deepcopy(self._rng.choice(examples))
        for several in ("anyOf", "oneOf"):
            if several in schema:
                return self._value(self._rng.choice(schema[several]), name, depth)
        if "allOf" in schema:
            merged: dict[str, Any] = {}
            for part in schema["allOf"]:
                merged |= self._resolved(part)
            return self._value(merged, name, depth)
        return self._of_type(schema, name, depth)

    def _of_type(self, schema: dict[str, Any], name: str, depth: int) -> Any:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = self._rng.choice(kind)
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            least = schema.get("minItems", 0)
            count = min(least + self._rng.choice((0, 1, 1, 2, 3)), schema.get("maxItems", 9))
            if depth >= DEEPEST:
                return []
            items = schema.get("items", {})
            return [self._value(items, name, depth + 1) for _ in range(count)]
        plain = {
            "integer": self._integer,
            "number": lambda _: self._rng.choice(NUMBERS),
            "boolean": lambda _: self._rng.random() < 0.5,
            "null": lambda _: None,
            "string": self._string,
        }
        return plain[kind](schema) if kind in plain else self._any()

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        required, found = set(schema.get("required", ())), {}
        for key, each in schema.get("properties", {}).items():
            if key in required or self._rng.random() < 0.35:
                found[key] = self._value(each, key, depth + 1)
        more = schema.get("additionalProperties")
        if more and depth < DEEPEST:
            for _ in range(self._rng.choice((0, 1, 2))):
                inner = more if isinstance(more, dict) else {}
                found[self._word()] = self._value(inner, "", depth + 1) if inner else self._any()
        return found

    def _integer(self, schema: dict[str, Any]) -> int:
        low, high = schema.get("minimum", -5), schema.get("maximum", 1_000)
        return self._rng.choice((low, high, self._rng.randint(low, max(low, high))))

    def _string(self, schema: dict[str, Any]) -> str:
        if schema.get("format") in BY_FORMAT and self._rng.random() < 0.8:
            return self._rng.choice(BY_FORMAT[schema["format"]])
        if self._rng.random() < 0.3:
            return self._text()
        least, most = schema.get("minLength", 0), schema.get("maxLength", 40)
        length = self._rng.randint(least, max(least, min(most, 40)))
        return "".join(self._rng.choice(string.ascii_lowercase + " .-_") for _ in range(length))

    def _spoiled(self, value: Any) -> Any:
        """Returns the value with one to three changes at random places."""
        value = copy.deepcopy(value)
        for _ in range(self._rng.choice((1, 1, 2, 3))):
            holder, key = self._place_in(value)
            if holder is None:
                return self._any()
            change = self._rng.random()
            if change < 0.2 and isinstance(holder, dict):
                del holder[key]
            elif change < 0.35 and isinstance(holder, dict):
                holder[self._word()] = self._any()
            elif change < 0.45:
                holder[key] = [holder[key]] * self._rng.choice((1, 2, 60))
            else:
                holder[key] = self._any()
        return value

    def _place_in(self, value: Any) -> tuple[Any, Any]:
        holder, key = None, None
        while isinstance(value, dict | list) and value:
            keys = list(value) if isinstance(value, dict) else range(len(value))
            holder, key = value, self._rng.choice(keys)
            value = value[key]
            if self._rng.random() < 0.4:
                break
        return holder, key

    def _any(self) -> Any:
        makers = (
            self._text,
            lambda: self._rng.choice(NUMBERS),
            lambda: self._rng.choice((None, True, False)),
            lambda: self._rng.choice(([], {}, [[]], {"": ""}, [None], {"a": {"b": {"c": []}}})),
            lambda: self._rng.choice(MOMENTS),
        )
        return self._rng.choice(makers)()

    def _word(self) -> str:
        return self._rng.choice((*self._known, "a", "is_staff", "scopes", "user", "x" * 80))

    def _text(self) -> str:
        return self._rng.choice(TEXTS)

    def _text_of(self, value: Any) -> str:
        if isinstance(value, float) and not math.isfinite(value):
            return "NaN"
        return value if isinstance(value, str) else json.dumps(value)
