"""Writes many relations at once: enrollments, tutor assignments, parent links and memberships.

Each sort of relation is a table. `LINKS` lists which of its ends are people and which are subjects
or groups. Writing is safe to repeat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import models, transaction

from directory.imports.related_fields import read_groups
from directory.lookup import Reference, find_people, read_reference, staff_among
from directory.memberships import groups_of_names
from directory.models import (
    Enrollment,
    GroupMembership,
    ParentLink,
    Subject,
    TutorAssignment,
)
from directory.references import PERSON_FORMS

_AT_ONCE = 500
OF_STAFF = "is a member of staff"
_UNKNOWN_PERSON = (
    "is not a known person, or is the username of one person and the external_id of another"
)


@dataclass(frozen=True, slots=True)
class Link:
    """A sort of relation."""

    model: type[models.Model]
    #: The ends that are people -> whether a row must name this end.
    people: Mapping[str, bool]
    #: The end that is not a person: subject, group or none.
    thing: str = ""


LINKS = {
    "enrollments": Link(Enrollment, {"student": True, "teacher": False}, "subject"),
    "tutor-assignments": Link(TutorAssignment, {"student": True, "tutor": True}),
    "parent-links": Link(ParentLink, {"parent": True, "student": True}),
    "memberships": Link(GroupMembership, {"user": True}, "group"),
}


@dataclass(slots=True)
class LinkReport:
    """The result of writing relations."""

    created: int
    unchanged: int
    #: (index, field, what is wrong).
    rejected: list[tuple[int, str, str]]


def add_links(
    kind: str, rows: Sequence[tuple[int, Mapping[str, Any]]], *, include_staff: bool = False
) -> LinkReport:
    """Writes relations of one sort, given as (index, fields). Valid rows are written.

    A row names people by key or username, subjects by id or name, and groups by name or UUID. An
    unknown subject or group is created. include_staff: the caller is a member of staff, so that
    rows may name members of staff.
    """
    link = LINKS[kind]
    done = LinkReport(0, 0, [])
    read: list[tuple[int, dict[str, Reference | None], str]] = []
    for index, row in rows:
        people = {name: read_reference(row.get(name)) for name in link.people}
        wrong = _fault(link, row, people)
        if wrong:
            done.rejected.append((index, *wrong))
        else:
            read.append((index, people, str(row.get(link.thing, "")).strip()))
    with transaction.atomic():
        _write(link, read, done, include_staff=include_staff)
    return done


def _fault(
    link: Link, row: Mapping[str, Any], people: Mapping[str, Reference | None]
) -> tuple[str, str] | None:
    known = {*link.people, *([link.thing] if link.thing else [])}
    unknown = next((name for name in row if name not in known), None)
    if unknown is not None:
        return unknown, f"is not a known field; known: {', '.join(sorted(known))}"
    for name, needed in link.people.items():
        if people[name] is None and (needed or row.get(name) not in (None, "")):
            return name, f"must name a person: {PERSON_FORMS}, or a username"
    thing = str(row.get(link.thing, "")).strip() if link.thing else "-"
    if not thing or len(thing) > 200 or not thing.isprintable():
        return link.thing, "must be a name of 1 to 200 characters"
    return None


def _write(
    link: Link,
    read: Sequence[tuple[int, dict[str, Reference | None], str]],
    done: LinkReport,
    *,
    include_staff: bool,
) -> None:
    found = find_people({ref for _, people, _ in read for ref in people.values() if ref})
    staff = set() if include_staff else staff_among(found.values())
    things = _things(link.thing, {thing for _, _, thing in read})
    fresh: dict[tuple[int | None, ...], models.Model] = {}
    good = 0
    for index, people, thing in read:
        absent = next((n for n, ref in people.items() if ref and ref not in found), None)
        if absent is not None:
            done.rejected.append((index, absent, _UNKNOWN_PERSON))
            continue
        protected = next((n for n, ref in people.items() if ref and found[ref] in staff), None)
        if protected is not None:
            done.rejected.append((index, protected, OF_STAFF))
            continue
        if link.thing and thing not in things:
            done.rejected.append((index, link.thing, "does not exist"))
            continue
        ids = {f"{name}_id": found[ref] if ref else None for name, ref in people.items()}
        if link.thing:
            ids[f"{link.thing}_id"] = things[thing]
        fresh.setdefault(tuple(ids.values()), link.model(**ids))
        good += 1
    known = _known(link, list(fresh))
    made = [row for key, row in fresh.items() if key not in known]
    link.model._default_manager.bulk_create(made, ignore_conflicts=True, batch_size=_AT_ONCE)
    done.created, done.unchanged = len(made), good - len(made)


def _known(link: Link, keys: Sequence[tuple[int | None, ...]]) -> set[tuple[int | None, ...]]:
    """Returns which of these keys exist. (A unique constraint ignores a missing teacher.)"""
    names = [f"{name}_id" for name in link.people] + ([f"{link.thing}_id"] if link.thing else [])
    first = names[0]
    found: set[tuple[int | None, ...]] = set()
    people = sorted({key[0] for key in keys if key[0] is not None})
    for start in range(0, len(people), _AT_ONCE):
        rows = link.model._default_manager.filter(
            **{f"{first}__in": people[start : start + _AT_ONCE]}
        )
        found.update(rows.values_list(*names))
    return found


def _is_key(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _things(kind: str, names: set[str]) -> dict[str, int]:
    """Returns the ids of subjects or groups by the name in the rows; creates unknown ones."""
    if kind == "group":
        by_text = {text: read_groups([text])[0] for text in names}
        ids = groups_of_names(by_text.values())
        return {text: ids[name] for text, name in by_text.items() if name in ids}
    if kind != "subject":
        return {}
    numbers = {int(text): text for text in names if _is_key(text)}
    texts = [text for text in sorted(names) if text not in numbers.values()]
    found = {
        numbers[key]: key
        for key in Subject.objects.filter(pk__in=list(numbers)).values_list("pk", flat=True)
    }
    known = dict(Subject.objects.filter(name__in=texts).values_list("name", "pk"))
    Subject.objects.bulk_create(
        [Subject(name=text) for text in texts if text not in known], ignore_conflicts=True
    )
    found.update(Subject.objects.filter(name__in=texts).values_list("name", "pk"))
    return found
