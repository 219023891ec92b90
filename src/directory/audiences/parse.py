"""Reads an audience from JSON; every fault at once, each at its place.

{"rule": "by_subject", "subject_id": 5}        a rule
{"any": [...]}  {"all": [...]}                  union, intersection
{"from": {...}, "except": {...}}                exclusion
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from directory.audiences.parse_criteria import read_criterion
from directory.audiences.reading import MAX_LISTED, Reading, identifier_of
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
    Rule,
    Saved,
    Union,
)
from directory.references import (
    HOW,
    LONGEST_EXTERNAL_ID,
    PersonKey,
    external_id_of,
    read_person,
)

_FORMS = ("rule", "any", "all", "from")
_MAKERS: dict[str, tuple[str, Callable[[Identifier, str], Rule]]] = {
    "by_subject": ("subject_id", OfSubject),
    "group": ("group_id", InGroup),
}
_PEOPLE: dict[str, tuple[str, Callable[[PersonKey, str], Rule]]] = {
    "by_tutor": ("tutor_id", OfTutor),
    "by_teacher": ("teacher_id", OfTeacher),
}
_KEYS = {name: key for name, (key, _) in (*_MAKERS.items(), *_PEOPLE.items())}
_LISTS = ("user_ids", "external_ids")
_READERS: tuple[Callable[[object], PersonKey | None], ...] = (read_person, external_id_of)
_WRONG = (f"must be {HOW}", f"must be a text of 1 to {LONGEST_EXTERNAL_ID} characters")
_NARROWING = ("by_subject", "by_tutor", "by_teacher")
RULES = ("all", *ROLE_RULES, "by_subject", *_PEOPLE, "group", "custom", "segment")
"""The names that `rule` takes."""


def parse_audience(data: Any, *, path: str = "audience") -> Rule:
    """The rule that a JSON object says.

    Raises:
        AudienceError: with every fault.
    """
    reading = Reading()
    found = _rule(data, path, reading, depth=1)
    reading.done()
    assert found is not None  # nothing is missing without a fault
    return found


def parse_target(group: Any, target: Mapping[str, Any] | None) -> Rule:
    """The rule that a broadcast's `target_group` and `target_filter` say. `all_students` and the
    other roles may be narrowed: with `{"subject_id": 5}` they are those of the subject.

    Raises:
        AudienceError: with every fault.
    """
    reading = Reading()
    table = reading.table(target if target is not None else {}, "target_filter") or {}
    if not isinstance(group, str) or group not in RULES:
        reading.fault("target_group", "unknown_rule", f"must be one of {', '.join(RULES)}")
        reading.done()
    narrowing = [name for name in _NARROWING if _KEYS[name] in table]
    if group in ROLE_RULES and narrowing:
        found = _narrowed(str(group), narrowing, table, reading)
    else:
        found = _named(str(group), table, "target_filter", reading, depth=1)
    reading.done()
    assert found is not None
    return found


def _narrowed(
    group: str, narrowing: list[str], table: dict[str, Any], reading: Reading
) -> Rule | None:
    """The people of a role who are in each of the named rules, too."""
    keys = [_KEYS[name] for name in narrowing]
    reading.refuse_unknown(table, tuple(keys), "target_filter")
    parts = [
        _named(name, {key: table[key]}, "target_filter", reading, depth=2)
        for name, key in zip(narrowing, keys, strict=True)
    ]
    return Intersection((OfRole(ROLE_RULES[group]), *(part for part in parts if part)))


def _rule(data: Any, path: str, reading: Reading, *, depth: int) -> Rule | None:
    if not reading.enter(path, depth):
        return None
    table = reading.table(data, path)
    if table is None:
        return None
    forms = [form for form in _FORMS if form in table]
    if len(forms) != 1:
        reading.fault(path, "invalid", 'must have exactly one of "rule", "any", "all", "from"')
        return None
    (form,) = forms
    if form == "from":
        return _difference(table, path, reading, depth)
    if form == "rule":
        name = table["rule"]
        if not isinstance(name, str) or name not in RULES:
            reading.fault(f"{path}.rule", "unknown_rule", f"must be one of {', '.join(RULES)}")
            return None
        rest = {key: value for key, value in table.items() if key != "rule"}
        return _named(name, rest, path, reading, depth=depth)
    reading.refuse_unknown(table, (form,), path)
    parts = _parts(table[form], f"{path}.{form}", reading, depth)
    return Union(parts) if form == "any" else Intersection(parts)


def _parts(value: Any, path: str, reading: Reading, depth: int) -> tuple[Rule, ...]:
    listed = reading.items(value, path, most=1_000) or []
    read = (
        _rule(each, f"{path}[{place}]", reading, depth=depth + 1)
        for place, each in enumerate(listed)
    )
    return tuple(each for each in read if each is not None)


def _difference(table: dict[str, Any], path: str, reading: Reading, depth: int) -> Rule | None:
    reading.refuse_unknown(table, ("from", "except"), path)
    base = _rule(table["from"], f"{path}.from", reading, depth=depth + 1)
    if "except" not in table:
        reading.fault(f"{path}.except", "required", "is required: who is left out")
        return None
    without = _rule(table["except"], f"{path}.except", reading, depth=depth + 1)
    return Difference(base, without) if base and without else None


def _named(
    name: str, table: Mapping[str, Any], path: str, reading: Reading, *, depth: int
) -> Rule | None:
    if name in _MAKERS:
        key, make = _MAKERS[name]
        reading.refuse_unknown(dict(table), (key,), path)
        found = _identifier(table, key, path, reading, name)
        return make(found, f"{path}.{key}") if found is not None else None
    if name in _PEOPLE:
        key, named_by = _PEOPLE[name]
        return _person(table, key, named_by, path, reading, name)
    if name == "custom":
        return _custom(table, path, reading)
    if name == "segment":
        return _segment(table, path, reading, depth)
    reading.refuse_unknown(dict(table), (), path)
    return Everyone() if name == "all" else OfRole(ROLE_RULES[name])


def _identifier(
    table: Mapping[str, Any], key: str, path: str, reading: Reading, name: str
) -> Identifier | None:
    place = f"{path}.{key}"
    if table.get(key) is None:
        reading.fault(place, "required", f"{name} needs {key}: an integer id or a UUID")
        return None
    found = identifier_of(table[key])
    if found is None:
        reading.fault(place, "invalid", "must be an integer id or a UUID")
    return found


def _person(
    table: Mapping[str, Any],
    key: str,
    make: Callable[[PersonKey, str], Rule],
    path: str,
    reading: Reading,
    name: str,
) -> Rule | None:
    """The rule about one person, who is named by `key` or by `external_id`."""
    reading.refuse_unknown(dict(table), (key, "external_id"), path)
    given = [each for each in (key, "external_id") if table.get(each) is not None]
    if len(given) != 1:
        code = "invalid" if given else "required"
        reading.fault(f"{path}.{key}", code, f"{name} needs {key} or external_id: {HOW}")
        return None
    (field,) = given
    found = _READERS[field == "external_id"](table[field])
    if found is None:
        reading.fault(f"{path}.{field}", "invalid", _WRONG[field == "external_id"])
        return None
    return make(found, f"{path}.{field}")


def _custom(table: Mapping[str, Any], path: str, reading: Reading) -> Rule | None:
    """People listed by `user_ids`, by `external_ids`, or by both."""
    reading.refuse_unknown(dict(table), _LISTS, path)
    given = [name for name in _LISTS if table.get(name) is not None]
    if not given:
        place = f"{path}.{_LISTS[0]}"
        reading.fault(place, "required", f"custom needs user_ids or external_ids: a list; {HOW}")
        return None
    lists = [_listed(table[name], f"{path}.{name}", reading) for name in given]
    if any(each is None for each in lists):
        return None
    users = dict.fromkeys(user for each in lists if each is not None for user in each)
    return Listed(tuple(users), f"{path}.{given[0]}")


def _listed(value: Any, place: str, reading: Reading) -> list[PersonKey] | None:
    listed = reading.items(value, place, most=MAX_LISTED)
    if listed is None or not reading.count_listed(len(listed), place):
        return None
    by_external_id = place.endswith(_LISTS[1])
    found = [_READERS[by_external_id](each) for each in listed]
    wrong = [number for number, each in enumerate(found) if each is None]
    for number in wrong[:20]:
        reading.fault(f"{place}[{number}]", "invalid", _WRONG[by_external_id])
    return None if wrong else [each for each in found if each is not None]


def _segment(table: Mapping[str, Any], path: str, reading: Reading, depth: int) -> Rule | None:
    reading.refuse_unknown(dict(table), ("criteria", "segment_id"), path)
    named = [key for key in ("criteria", "segment_id") if table.get(key) is not None]
    if len(named) != 1:
        place = f"{path}.criteria"
        reading.fault(place, "required", "segment needs either criteria or segment_id")
        return None
    if named == ["criteria"]:
        place = f"{path}.criteria"
        criteria = read_criterion(table["criteria"], place, reading, depth=depth + 1)
        return Matching(criteria) if criteria else None
    found = _identifier(table, "segment_id", path, reading, "segment")
    return Saved(found, f"{path}.segment_id") if found is not None else None
