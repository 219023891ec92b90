"""Reads and checks the body that an author sends: fields, texts, variables."""

from __future__ import annotations

import json
import re
from typing import Any

from directory.texts import UNSTORABLE, is_storable, join_surrogates
from notifications.domain.channels import Channel, parse_priority
from notifications.features.templates.schemas import TemplateBody
from notifications.intake.fields import Fields
from notifications.models import CONTENT_FIELDS, Category, TemplateStatus
from notifications.rendering.language.meter import MAX_SOURCE
from notifications.rendering.paths import MAX_SEGMENTS, is_template_path

MAX_EXAMPLE_BYTES = 64_000
MAX_LOCALES = 100
MAX_VARIABLES = 500
MAX_VARIABLE = 200
MAX_TEXTS = 1_000_000
"""Characters of all texts in all locales together."""
_LOCALE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,2}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*")
_CHANNELS = ", ".join(Channel)


def read_body(fields: Fields, *, creating: bool) -> dict[str, Any]:
    """Returns the model's values of the valid fields that a body contains.

    Errors are added to `fields`.
    """
    fields.refuse_unknown(TemplateBody.__struct_fields__)
    if _is_too_long(fields):
        return {}
    values: dict[str, Any] = {}
    _read_names(fields, values, creating=creating)
    if "category" in fields.body:
        values["category"] = _category(fields)
    if "default_priority" in fields.body:
        values["default_priority"] = _priority(fields)
    if "supported_channels" in fields.body:
        values["supported_channels"] = _channels(fields)
    for name in ("required_variables", "optional_variables"):
        if name in fields.body:
            values[name] = _variables(fields, name)
    if "is_active" in fields.body:
        values["is_active"] = fields.flag("is_active", True)
    if "example_context" in fields.body:
        values["example_context"] = _example(fields)
    _read_texts(fields, values)
    return values


def _is_too_long(fields: Fields) -> bool:
    """Returns whether the body is too long; lengths are checked before everything else."""
    own = {name: fields.body[name] for name in CONTENT_FIELDS if name in fields.body}
    others = fields.body.get("translations")
    others = others if isinstance(others, dict) else {}
    texts = [
        ("", own),
        *((f"translations.{locale}."[:100], given) for locale, given in others.items()),
    ]
    before, total = len(fields.errors), 0
    if len(others) > MAX_LOCALES:
        fields.add_error("translations", "too_many", f"takes at most {MAX_LOCALES} locales")
        return True
    for place, given in texts:
        for name, text in given.items() if isinstance(given, dict) else ():
            size = len(text) if isinstance(text, str) else 0
            total += size
            if size > MAX_SOURCE and name in CONTENT_FIELDS:
                detail = f"is longer than {MAX_SOURCE:,} characters"
                fields.add_error(f"{place}{name}", "too_long", detail)
    if total > MAX_TEXTS:
        detail = f"all texts together are longer than {MAX_TEXTS:,} characters"
        fields.add_error("translations", "too_long", detail)
    for name in ("required_variables", "optional_variables"):
        given = fields.body.get(name)
        if isinstance(given, list) and len(given) > MAX_VARIABLES:
            fields.add_error(name, "too_many", f"takes at most {MAX_VARIABLES} names")
    return len(fields.errors) > before


def wants_publishing(fields: Fields) -> bool:
    """Returns whether the body requests that its texts are published."""
    status = fields.body.get("status", TemplateStatus.DRAFT)
    if status not in TemplateStatus.values:
        fields.add_error("status", "invalid", f"must be one of {', '.join(TemplateStatus.values)}")
    return bool(status == TemplateStatus.PUBLISHED)


def _read_names(fields: Fields, values: dict[str, Any], *, creating: bool) -> None:
    for name, longest in (("name", 100), ("path", 200)):
        if creating or name in fields.body:
            values[name] = fields.text(name, required=True, longest=longest)
    path = values.get("path")
    if path and not is_template_path(path):
        fields.add_error(
            "path",
            "invalid_path",
            f"must be up to {MAX_SEGMENTS} words joined by dots, e.g. user.payment.success;"
            " * stands for any one word",
        )
    if "default_locale" in fields.body:
        locale = fields.text("default_locale", longest=20)
        if locale and not _LOCALE.fullmatch(locale):
            fields.add_error(
                "default_locale", "invalid_locale", "must be a locale such as en or ru_RU"
            )
        elif locale:
            values["default_locale"] = locale


def _example(fields: Fields) -> dict[str, Any]:
    given = fields.mapping("example_context")
    if not fields.check_json("example_context", given):
        return {}
    if len(json.dumps(given, default=str)) > MAX_EXAMPLE_BYTES:
        detail = f"must be under {MAX_EXAMPLE_BYTES:,} bytes of JSON"
        fields.add_error("example_context", "too_large", detail)
    if not isinstance(given.get("user", {}), dict):
        fields.add_error("example_context.user", "wrong_type", "must be an object")
    return given


def _category(fields: Fields) -> Category | None:
    key = fields.text("category", longest=50)
    rows = Category.objects.filter(retired_at__isnull=True)
    found = rows.filter(key=key).first() if key else None
    if key and found is None:
        known = ", ".join(rows.order_by("key").values_list("key", flat=True))
        fields.add_error(
            "category", "unknown_category", f"{key!r} is not a category; known: {known}"
        )
    return found


def _priority(fields: Fields) -> int:
    try:
        return int(parse_priority(fields.body["default_priority"]))
    except (ValueError, TypeError):
        fields.add_error(
            "default_priority", "invalid_priority", "must be 1 to 4 or a priority word"
        )
        return 3


def _channels(fields: Fields) -> list[str]:
    given = fields.items("supported_channels") or []
    for value in given:
        if value not in Channel.__members__.values():
            detail = f"{value!r} is not one of {_CHANNELS}"
            fields.add_error("supported_channels", "invalid_channel", detail)
    return list(dict.fromkeys(str(value) for value in given))


def _variables(fields: Fields, name: str) -> list[str]:
    given = fields.items(name) or []
    for value in given:
        if not isinstance(value, str) or len(value) > MAX_VARIABLE or not _is_variable(value):
            fields.add_error(
                name, "invalid", "must list names of variables, e.g. amount or order.id"
            )
            return []
    return list(dict.fromkeys(given))


def _is_variable(name: str) -> bool:
    return _VARIABLE.fullmatch(name) is not None


def _read_texts(fields: Fields, values: dict[str, Any]) -> None:
    for name in CONTENT_FIELDS:
        if name in fields.body:
            values[name] = _text(fields, name, fields.body[name])
    if "translations" not in fields.body:
        return
    translations: dict[str, dict[str, str]] = {}
    for locale, texts in fields.mapping("translations").items():
        place = f"translations.{locale}"
        if not _LOCALE.fullmatch(locale):
            fields.add_error(place, "invalid_locale", "must be a locale such as en or ru_RU")
        if not isinstance(texts, dict):
            fields.add_error(place, "wrong_type", "must be an object of texts")
            continue
        for name in texts:
            if name not in CONTENT_FIELDS:
                known = ", ".join(CONTENT_FIELDS)
                fields.add_error(
                    f"{place}.{name}", "unknown_field", f"is not a text; known: {known}"
                )
        translations[locale] = {
            name: _text(fields, f"{place}.{name}", text) for name, text in texts.items()
        }
    values["translations"] = translations


def _text(fields: Fields, place: str, value: Any) -> str:
    """Returns the text with surrogate pairs joined."""
    if not isinstance(value, str):
        fields.add_error(place, "wrong_type", "must be a text")
        return ""
    text = join_surrogates(value)
    if not is_storable(text):
        fields.add_error(place, "invalid_text", f"must not hold {UNSTORABLE}")
        return ""
    return text
