"""Reads an audience from JSON and reports all faults at once, each with its place.

{"rule": "by_subject", "subject_id": 5}        a rule
{"any": [...]}  {"all": [...]}                  union, intersection
{"from": {...}, "except": {...}}                exclusion
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from directory.audiences.parse_context import MAX_LISTED, ParseContext, identifier_of
from directory.audiences.parse_criteria import read_criterion
from directory.audiences.rules import (
    ROLE_RULES,
    Difference,
    Everyone,
    Identifier,
    InGroup,
    Intersection,
    Listed,
    Matching,
    OfRole,
    OfSubject,
    OfTeacher,
    OfTutor,
    OnList,
    Rule,
    Saved,
    Union,
)
from directory.references import (
    LONGEST_EXTERNAL_ID,
    PERSON_FORMS,
    PersonKey,
    external_id_of,
    read_person,
)

_FORMS = ("rule", "any", "all", "from")
_MAKERS: dict[str, tuple[str, Callable[[Identifier, str], Rule]]] = {
    "by_subject": ("subject_id", OfSubject),
    "group": ("group_id", InGroup),
    "list": ("list_id", OnList),
}
_PEOPLE: dict[str, tuple[str, Callable[[PersonKey, str], Rule]]] = {
    "by_tutor": ("tutor_id", OfTutor),
    "by_teacher": ("teacher_id", OfTeacher),
}
_KEYS = {name: key for name, (key, _) in (*_MAKERS.items(), *_PEOPLE.items())}
_LISTS = ("user_ids", "external_ids")
_READERS: tuple[Callable[[object], PersonKey | None], ...] = (read_person, external_id_of)
_WRONG = (f"must be {PERSON_FORMS}", f"must be a text of 1 to {LONGEST_EXTERNAL_ID} characters")
_NARROWING = ("by_subject", "by_tutor", "by_teacher")
RULES = ("all", *ROLE_RULES, "by_subject", *_PEOPLE, "group", "list", "custom", "segment")
"""The names that `rule` accepts."""


def parse_audience(data: Any, *, path: str = "audience") -> Rule:
    """Returns the rule that a JSON object describes.

    Raises:
        AudienceError: with every fault.
    """
    context = ParseContext()
    found = _rule(data, path, context, depth=1)
    context.raise_faults()
    assert found is not None  # a missing rule is a fault
    return found


def parse_target(group: Any, target: Mapping[str, Any] | None) -> Rule:
    """Returns the rule that a broadcast's `target_group` and `target_filter` describe.

    The filter may narrow a role such as `all_students`: with `{"subject_id": 5}` it means the
    students of that subject.

    Raises:
        AudienceError: with every fault.
    """
    context = ParseContext()
    table = context.table(target if target is not None else {}, "target_filter") or {}
    if not isinstance(group, str) or group not in RULES:
        context.add_fault("target_group", "unknown_rule", f"must be one of {', '.join(RULES)}")
        context.raise_faults()
    narrowing = [name for name in _NARROWING if _KEYS[name] in table]
    if group in ROLE_RULES and narrowing:
        found = _narrowed(str(group), narrowing, table, context)
    else:
        found = _named(str(group), table, "target_filter", context, depth=1)
    context.raise_faults()
    assert found is not None
    return found


def _narrowed(
    group: str, narrowing: list[str], table: dict[str, Any], context: ParseContext
) -> Rule | None:
    """Returns the rule for the people of a role who are also in each of the named rules."""
    keys = [_KEYS[name] for name in narrowing]
    context.refuse_unknown(table, tuple(keys), "target_filter")
    parts = [
        _named(name, {key: table[key]}, "target_filter", context, depth=2)
        for name, key in zip(narrowing, keys, strict=True)
    ]
    return Intersection((OfRole(ROLE_RULES[group]), *(part for part in parts if part)))


def _rule(data: Any, path: str, context: ParseContext, *, depth: int) -> Rule | None:
    if not context.count_part(path, depth):
        return None
    table = context.table(data, path)
    if table is None:
        return None
    forms = [form for form in _FORMS if form in table]
    if len(forms) != 1:
        context.add_fault(path, "invalid", 'must have exactly one of "rule", "any", "all", "from"')
        return None
    (form,) = forms
    if form == "from":
        return _difference(table, path, context, depth)
    if form == "rule":
        name = table["rule"]
        if not isinstance(name, str) or name not in RULES:
            context.add_fault(f"{path}.rule", "unknown_rule", f"must be one of {', '.join(RULES)}")
            return None
        rest = {key: value for key, value in table.items() if key != "rule"}
        return _named(name, rest, path, context, depth=depth)
    context.refuse_unknown(table, (form,), path)
    parts = _parts(table[form], f"{path}.{form}", context, depth)
    return Union(parts) if form == "any" else Intersection(parts)


def _parts(value: Any, path: str, context: ParseContext, depth: int) -> tuple[Rule, ...]:
    listed = context.items(value, path, most=1_000) or []
    read = (
        _rule(each, f"{path}[{place}]", context, depth=depth + 1)
        for place, each in enumerate(listed)
    )
    return tuple(each for each in read if each is not None)


def _difference(table: dict[str, Any], path: str, context: ParseContext, depth: int) -> Rule | None:
    context.refuse_unknown(table, ("from", "except"), path)
    base = _rule(table["from"], f"{path}.from", context, depth=depth + 1)
    if "except" not in table:
        context.add_fault(f"{path}.except", "required", "is required: who is left out")
        return None
    without = _rule(table["except"], f"{path}.except", context, depth=depth + 1)
    return Difference(base, without) if base and without else None


def _named(
    name: str, table: Mapping[str, Any], path: str, context: ParseContext, *, depth: int
) -> Rule | None:
    if name in _MAKERS:
        key, make = _MAKERS[name]
        context.refuse_unknown(dict(table), (key,), path)
        found = _identifier(table, key, path, context, name)
        return make(found, f"{path}.{key}") if found is not None else None
    if name in _PEOPLE:
        key, named_by = _PEOPLE[name]
        return _person(table, key, named_by, path, context, name)
    if name == "custom":
        return _custom(table, path, context)
    if name == "segment":
        return _segment(table, path, context, depth)
    context.refuse_unknown(dict(table), (), path)
    return Everyone() if name == "all" else OfRole(ROLE_RULES[name])


def _identifier(
    table: Mapping[str, Any], key: str, path: str, context: ParseContext, name: str
) -> Identifier | None:
    place = f"{path}.{key}"
    if table.get(key) is None:
        context.add_fault(place, "required", f"{name} needs {key}: an integer id or a UUID")
        return None
    found = identifier_of(table[key])
    if found is None:
        context.add_fault(place, "invalid", "must be an integer id or a UUID")
    return found


def _person(
    table: Mapping[str, Any],
    key: str,
    make: Callable[[PersonKey, str], Rule],
    path: str,
    context: ParseContext,
    name: str,
) -> Rule | None:
    """Reads the rule about one person, whom `key` or `external_id` names."""
    context.refuse_unknown(dict(table), (key, "external_id"), path)
    given = [each for each in (key, "external_id") if table.get(each) is not None]
    if len(given) != 1:
        code = "invalid" if given else "required"
        context.add_fault(
            f"{path}.{key}", code, f"{name} needs {key} or external_id: {PERSON_FORMS}"
        )
        return None
    (field,) = given
    found = _READERS[field == "external_id"](table[field])
    if found is None:
        context.add_fault(f"{path}.{field}", "invalid", _WRONG[field == "external_id"])
        return None
    return make(found, f"{path}.{field}")


def _custom(table: Mapping[str, Any], path: str, context: ParseContext) -> Rule | None:
    """Reads the people that `user_ids`, `external_ids` or both list."""
    context.refuse_unknown(dict(table), _LISTS, path)
    given = [name for name in _LISTS if table.get(name) is not None]
    if not given:
        place = f"{path}.{_LISTS[0]}"
        context.add_fault(
            place, "required", f"custom needs user_ids or external_ids: a list; {PERSON_FORMS}"
        )
        return None
    lists = [_listed(table[name], f"{path}.{name}", context) for name in given]
    if any(each is None for each in lists):
        return None
    users = dict.fromkeys(user for each in lists if each is not None for user in each)
    return Listed(tuple(users), f"{path}.{given[0]}")


def _listed(value: Any, place: str, context: ParseContext) -> list[PersonKey] | None:
    listed = context.items(value, place, most=MAX_LISTED)
    if listed is None or not context.count_listed(len(listed), place):
        return None
    by_external_id = place.endswith(_LISTS[1])
    found = [_READERS[by_external_id](each) for each in listed]
    wrong = [number for number, each in enumerate(found) if each is None]
    for number in wrong[:20]:
        context.add_fault(f"{place}[{number}]", "invalid", _WRONG[by_external_id])
    return None if wrong else [each for each in found if each is not None]


def _segment(table: Mapping[str, Any], path: str, context: ParseContext, depth: int) -> Rule | None:
    context.refuse_unknown(dict(table), ("criteria", "segment_id"), path)
    named = [key for key in ("criteria", "segment_id") if table.get(key) is not None]
    if len(named) != 1:
        place = f"{path}.criteria"
        context.add_fault(place, "required", "segment needs either criteria or segment_id")
        return None
    if named == ["criteria"]:
        place = f"{path}.criteria"
        criteria = read_criterion(table["criteria"], place, context, depth=depth + 1)
        return Matching(criteria) if criteria else None
    found = _identifier(table, "segment_id", path, context, "segment")
    return Saved(found, f"{path}.segment_id") if found is not None else None
