"""A random population, and the meaning of audiences in plain Python: sets and comparisons.

The tests hold the SQL of both databases to this model.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from directory.models import (
    ContactPoint,
    Device,
    Enrollment,
    Group,
    GroupMembership,
    Subject,
    TutorAssignment,
    User,
)

NOW = datetime(2030, 5, 1, 12, 0, tzinfo=UTC)
ROLES = ("student", "teacher", "tutor", "parent", "admin")
TEXTS = (
    "",
    "a",
    "ab",
    "b",
    "Ab",
    "é",
    "日本",
    "a'b",
    "a%b",
    "a_b",
    "10",
    "9",
    "true",
    "null",
    "😀",
)
NUMBERS = (0, 1, -1, 5, 5.0, 0.1, 0.5, 1e14, -2.75, 10**15)
SCALARS = (*TEXTS, *NUMBERS, True, False)
PLACES = ("x", "y", "n.x", "n.0", "é.日本", "a b")
KINDS = ("email", "phone", "telegram", "push")


@dataclass
class Population:
    """The rows of a database, and the same facts as sets."""

    people: list[User] = field(default_factory=list)
    subjects: list[Subject] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    enrolled: set[tuple[int, int, int | None]] = field(default_factory=set)
    tutored: set[tuple[int, int]] = field(default_factory=set)
    members: set[tuple[int, int]] = field(default_factory=set)
    reached: set[tuple[int, str]] = field(default_factory=set)

    def of_role(self, role: str) -> list[int]:
        return [user.pk for user in self.people if user.role == role]


def populate(seed: int, *, size: int = 60) -> Population:
    """Creates a random population and stores it."""
    draw = random.Random(seed)
    found = Population()
    found.people = User.objects.bulk_create(
        [_person(draw, f"p{seed}-{number}") for number in range(size)]
    )
    found.subjects = [Subject.objects.create(name=f"Subject {n}") for n in range(3)]
    found.groups = [Group.objects.create(name=f"Group {n}") for n in range(3)]
    ids = [user.pk for user in found.people]
    found.enrolled = {
        (draw.choice(ids), draw.choice(found.subjects).pk, draw.choice([*ids, None]))
        for _ in range(size)
    }
    found.tutored = {(draw.choice(ids), draw.choice(ids)) for _ in range(size)}
    found.members = {(draw.choice(found.groups).pk, draw.choice(ids)) for _ in range(size)}
    Enrollment.objects.bulk_create(
        [Enrollment(student_id=s, subject_id=c, teacher_id=t) for s, c, t in found.enrolled]
    )
    TutorAssignment.objects.bulk_create(
        [TutorAssignment(tutor_id=t, student_id=s) for t, s in found.tutored]
    )
    GroupMembership.objects.bulk_create(
        [GroupMembership(group_id=g, user_id=u) for g, u in found.members]
    )
    _reach(draw, found, ids)
    return found


def _person(draw: random.Random, name: str) -> User:
    return User(
        username=name,
        external_id=draw.choice([None, f"{draw.choice(TEXTS)}|{name}"]),
        role=draw.choice(ROLES),
        is_active=draw.random() < 0.8,
        locale=draw.choice(TEXTS),
        timezone=draw.choice(TEXTS),
        subscription_tier=draw.choice(TEXTS),
        date_joined=NOW - timedelta(hours=draw.randrange(0, 100)),
        last_login=draw.choice([None, NOW - timedelta(hours=draw.randrange(-5, 100))]),
        attributes=_attributes(draw),
    )


def _attributes(draw: random.Random) -> dict[str, Any]:
    return {
        key: value
        for key in ("x", "y", "n", "é", "a b")
        if (value := _value(draw, depth=0)) is not ... and draw.random() < 0.8
    }


def _value(draw: random.Random, *, depth: int) -> Any:
    roll = draw.random()
    if roll < 0.1:
        return None
    if roll < 0.3 and depth < 2:
        keys = ("x", "0", "日本")
        return {key: _value(draw, depth=depth + 1) for key in keys if draw.random() < 0.7}
    if roll < 0.5 and depth < 2:
        return [_value(draw, depth=depth + 1) for _ in range(draw.randrange(4))]
    return draw.choice(SCALARS)


def _reach(draw: random.Random, found: Population, ids: list[int]) -> None:
    points, devices = [], []
    for user_id in ids:
        for kind in KINDS:
            if draw.random() < 0.5:
                continue
            live = draw.random() < 0.7
            if live:
                found.reached.add((user_id, kind))
            if kind == "push":
                ended = None if live else NOW
                devices.append(Device(user_id=user_id, token=f"t{user_id}", expired_at=ended))
            else:
                state = "active" if live else draw.choice(["bounced", "expired", "unsubscribed"])
                points.append(
                    ContactPoint(
                        user_id=user_id, kind=kind, address=f"{kind}{user_id}", state=state
                    )
                )
    ContactPoint.objects.bulk_create(points)
    Device.objects.bulk_create(devices)


def members(data: dict[str, Any], found: Population) -> set[int]:
    """Returns the ids of a rule by set arithmetic; all are active users."""
    return {user.pk for user in found.people if user.is_active} & _set(data, found)


def _set(data: dict[str, Any], found: Population) -> set[int]:
    if "any" in data:
        return set().union(*(_set(part, found) for part in data["any"]))
    if "all" in data:
        return set.intersection(*(_set(part, found) for part in data["all"]))
    if "from" in data:
        return _set(data["from"], found) - _set(data["except"], found)
    rules: dict[str, Callable[[], set[int]]] = {
        "all": lambda: {user.pk for user in found.people},
        "by_subject": lambda: _subject(found, {data["subject_id"]}),
        "by_tutor": lambda: {s for t, s in found.tutored if t == data["tutor_id"]},
        "by_teacher": lambda: {s for s, _, t in found.enrolled if t == data["teacher_id"]},
        "group": lambda: {u for g, u in found.members if g == data["group_id"]},
        "custom": lambda: set(data["user_ids"]),
        "segment": lambda: {u.pk for u in found.people if meets(data["criteria"], u, found)},
    }
    name = data["rule"]
    if name in rules:
        return rules[name]()
    return set(found.of_role(name.removeprefix("all_").removesuffix("s")))


def _subject(found: Population, subjects: set[int]) -> set[int]:
    rows = [row for row in found.enrolled if row[1] in subjects]
    return {s for s, _, _ in rows} | {t for _, _, t in rows if t is not None}


def meets(data: dict[str, Any], user: User, found: Population) -> bool:
    """Returns whether a person matches criteria."""
    if "all" in data:
        return all(meets(part, user, found) for part in data["all"])
    if "any" in data:
        return any(meets(part, user, found) for part in data["any"])
    if "not" in data:
        return not meets(data["not"], user, found)
    op, value = data["op"], data.get("value", True)
    if op in ("ne", "not_in"):
        return not meets({**data, "op": op.removeprefix("not_").replace("ne", "eq")}, user, found)
    if op == "exists" and value is False:
        return not meets({**data, "value": True}, user, found)
    return _test(data["field"], op, value, user, found)


def _test(name: str, op: str, value: Any, user: User, found: Population) -> bool:
    if name in ("groups", "subjects", "contact_points"):
        held = _held(name, user.pk, found)
        wanted = value if op == "in" else [value]
        return bool(held) if op == "exists" else bool(held & set(wanted))
    if name.startswith("attributes."):
        return compare(_place(user.attributes, name.split(".")[1:]), op, value)
    held_value = getattr(user, name)
    if op == "exists":
        return bool(held_value)
    return held_value is not None and compare(held_value, op, _moment(value, held_value))


def _moment(value: Any, held: Any) -> Any:
    if isinstance(value, dict):
        return NOW - timedelta(hours=value.get("hours_ago", 0), days=value.get("days_ago", 0))
    return datetime.fromisoformat(value) if isinstance(held, datetime) else value


def _held(name: str, user_id: int, found: Population) -> set[Any]:
    if name == "groups":
        return {g for g, u in found.members if u == user_id}
    if name == "contact_points":
        return {kind for u, kind in found.reached if u == user_id}
    return {c for s, c, t in found.enrolled if user_id in (s, t)}


def _place(value: Any, keys: list[str]) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def compare(held: Any, op: str, value: Any) -> bool:
    """Tests a value (None: missing); values of different types are neither equal nor ordered."""
    if op == "exists":
        return held is not None
    if op == "eq":
        return _equal(held, value)
    if op == "in":
        return any(_equal(held, each) for each in value)
    if op == "contains":
        if isinstance(held, list):
            return any(_equal(item, value) for item in held)
        return isinstance(held, str) and isinstance(value, str) and value in held
    if op == "starts_with":
        return isinstance(held, str) and held.startswith(value)
    if _type(held) != _type(value) or isinstance(held, bool | list | dict | None):
        return False
    return {"lt": held < value, "lte": held <= value, "gt": held > value, "gte": held >= value}[op]


def _type(value: Any) -> type:
    return float if isinstance(value, int) and not isinstance(value, bool) else type(value)


def _equal(held: Any, value: Any) -> bool:
    return _type(held) == _type(value) and held == value
