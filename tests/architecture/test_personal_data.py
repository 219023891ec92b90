"""The registry of personal data has every column, JSON key, cache and field of the log."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps

from notifications.features.privacy.export.sections import NAMES
from notifications.features.privacy.registry.elsewhere import CACHES, LOG_FIELDS, REDIS
from notifications.features.privacy.registry.fields import OnErasure
from notifications.features.privacy.registry.not_personal import NOT_PERSONAL
from notifications.features.privacy.registry.registry import (
    BY_COLUMN,
    PERSONAL,
    columns_to_name,
    is_json,
)
from notifications.intake.request import SendOptions
from tests.architecture.test_budgets import ROOT

PACKAGES = ("directory", "vault", "notifications")
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def test_every_column_is_personal_or_has_a_reason_not_to_be() -> None:
    """A new column: add it to features/privacy/registry, or a reason to not_personal.py."""
    missing = [
        f"{label}.{column.attname}"
        for label, column in columns_to_name()
        if (label, column.attname) not in BY_COLUMN
        and label not in NOT_PERSONAL
        and f"{label}.{column.attname}" not in NOT_PERSONAL
    ]
    assert missing == []


def test_the_registry_names_existing_columns_once() -> None:
    models = {model._meta.label: model for model in apps.get_models(include_auto_created=True)}
    known = {
        (label, column.attname)
        for label, model in models.items()
        for column in model._meta.concrete_fields
    }
    assert set(BY_COLUMN) - known == set()
    assert len(BY_COLUMN) == len(PERSONAL)
    plain = {label for label, _ in known} | {f"{label}.{name}" for label, name in known}
    assert NOT_PERSONAL.keys() - plain == set()
    assert [key for key in NOT_PERSONAL if tuple(key.rsplit(".", 1)) in BY_COLUMN] == []


def test_every_field_says_why_it_stays_or_is_not_exported() -> None:
    stays = (OnErasure.EVIDENCE, OnErasure.EXPIRES)
    assert [f for f in PERSONAL if f.section and f.section not in NAMES] == []
    assert [f for f in PERSONAL if not f.section and not f.reason] == []
    assert [f for f in PERSONAL if f.erasure in stays and not f.section and not f.reason] == []


def test_the_keys_of_json_columns_are_documented() -> None:
    listed = {(label, column.attname): column for label, column in columns_to_name()}
    wrong = [
        key
        for key, field in BY_COLUMN.items()
        if key in listed and is_json(listed[key]) != bool(field.keys)
    ]
    assert wrong == []
    options = BY_COLUMN["notifications.Notification", "options"].keys
    assert set(SendOptions.__struct_fields__) <= set(options)


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / "src" / package).rglob("*.py")):
            if "migrations" not in path.parts and "testing" not in path.parts:
                name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
                yield name, ast.parse(path.read_text(encoding="utf-8"))


CACHED = re.compile(r"^(functools\.)?(lru_cache|cache)\b")
MADE = re.compile(r"^((functools\.)?lru_cache|\w*Cache|OrderedDict|dict|set)\(")


def _caches_of(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef):
            if any(CACHED.match(ast.unparse(each)) for each in node.decorator_list):
                yield node.name
        elif (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Attribute)
            and re.match(r"^\w+Cache\(", ast.unparse(node.value))
        ):
            yield node.targets[0].attr
    for node in module.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            text = ast.unparse(node.value)
            filled_later = text in ("{}", "set()", "dict()", "OrderedDict()")
            if isinstance(target, ast.Name) and (
                filled_later or ((MADE.match(text) and "Cache" in text) or "lru_cache" in text)
            ):
                yield target.id


def test_every_cache_is_listed_with_what_it_holds() -> None:
    """A new cache: add what it holds to features/privacy/registry/elsewhere.py."""
    vendors = "notifications.delivery.vendors."
    found = {
        f"{'vendors' if name.startswith(vendors) else name}.{cache}"
        for name, module in _modules()
        for cache in _caches_of(module)
    }
    assert found == set(CACHES)


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("@functools.lru_cache(maxsize=8)\ndef a(): ...", ["a"]),
        ("b: dict[int, str] = {}", ["b"]),
        ("c = ThingCache(8)", ["c"]),
        ("class D:\n def __init__(self):\n  self.d = ThingCache()", ["d"]),
        ("e = lru_cache(256)(f)", ["e"]),
        ("g = {'a': 1}", []),
    ],
)
def test_a_cache_is_found(code: str, names: list[str]) -> None:
    assert list(_caches_of(ast.parse(code))) == names


def test_every_module_that_writes_to_redis_is_listed() -> None:
    found = set()
    for path in sorted((ROOT / "src").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if re.search(r"^\s*(import redis|from redis)", text, re.MULTILINE):
            name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
            found |= {name} if not name.startswith("carillon.bench") else set()
    assert found - set(REDIS) == set()


def _log_fields(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner = node.func.value
        if node.func.attr in LEVELS and isinstance(owner, ast.Name) and owner.id.endswith("log"):
            yield from (keyword.arg for keyword in node.keywords if keyword.arg)


def test_every_field_of_the_log_is_listed_with_a_reason() -> None:
    """A new field: add it to LOG_FIELDS, when it holds no address, name or text of a person."""
    found = {
        name
        for path in (ROOT / "src").rglob("*.py")
        if "bench" not in path.parts
        for name in _log_fields(path)
    }
    listed = [name for names in LOG_FIELDS.values() for name in names.split()]
    assert found - set(listed) == set()
    assert set(listed) - found - {"request_id", "at"} == set()
    assert len(listed) == len(set(listed))
