"""Imports and exports files of people, groups, relations, suppressions and unsubscribes, streamed.

All imports are safe to repeat. Valid lines are written; wrong ones are reported with number and
reason.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from directory.importing import MAX_REPORTED, ImportReport, LineError, import_users
from directory.imports.records import FileKind, read_records
from directory.lookup import find_people, people_by_email, read_reference
from directory.memberships import groups_of_names
from directory.models import Group, GroupMembership, User, normalise_address
from directory.models.contact import ContactKind
from directory.relations import LINKS, add_links
from notifications.domain.callers import Caller
from notifications.domain.errors import InvalidRequest, NotFound
from notifications.features.people.relations import SuppressionService
from notifications.features.people.service import record_people, user_responses
from notifications.features.preferences.service import PreferenceService
from notifications.infra import clock
from notifications.models.audit.actions import record_change

_BATCH = 1_000
_encode = msgspec.json.Encoder().encode
Rows = Sequence[tuple[int, dict[str, Any]]]
Rejected = list[tuple[int, str]]
Write = Callable[[Rows, Caller], tuple[int, int, Rejected]]
OnProgress = Callable[[int], None]


def import_file(
    what: str,
    lines: Iterable[str],
    *,
    kind: FileKind,
    caller: Caller,
    on_progress: OnProgress | None = None,
) -> ImportReport:
    """Writes the records of a file; the length of the file does not change the memory that it uses.

    what: users, or one of `COLUMNS_OF`. on_progress is called after each batch with the number of
    lines read.

    Raises:
        NotFound: unknown_import, for another value of what.
        ImportFault: the file as a whole cannot be read.
    """
    if what == "users":
        return import_users(
            lines,
            kind=kind,
            on_progress=on_progress,
            on_written=partial(record_people, caller=caller),
        )
    if what not in COLUMNS_OF:
        known = ", ".join(("users", *COLUMNS_OF))
        raise NotFound(f"{what!r} cannot be imported; known: {known}", code="unknown_import")
    run = _Run(what, caller, on_progress)
    for number, record in read_records(lines, kind=kind, columns=COLUMNS_OF[what]):
        run.add(number, record)
    return run.report()


class _Run:
    """The import of one file, in batches."""

    def __init__(self, what: str, caller: Caller, on_progress: OnProgress | None) -> None:
        self._what = what
        self._columns = COLUMNS_OF[what]
        self._write_rows = _WRITERS[what]
        self._caller = caller
        self._on_progress = on_progress
        self._batch: list[tuple[int, dict[str, Any]]] = []
        self._seen = self._created = self._unchanged = self._error_count = 0
        self._errors: list[LineError] = []

    def add(self, number: int, record: dict[str, Any] | str) -> None:
        self._seen += 1
        if isinstance(record, str):
            self._add_error(number, record)
            return
        unknown = next((name for name in record if name not in self._columns), None)
        if unknown is not None:
            self._add_error(number, f"{unknown} is not a known field")
            return
        self._batch.append((number, record))
        if len(self._batch) >= _BATCH:
            self._write()

    def report(self) -> ImportReport:
        self._write()
        return ImportReport(
            self._created, 0, self._unchanged, sorted(self._errors), self._error_count
        )

    def _write(self) -> None:
        rows, self._batch = self._batch, []
        created, unchanged, rejected = self._write_rows(rows, self._caller)
        if created:
            record_change(
                actor=self._caller.name,
                action="import.written",
                target=self._what,
                at=clock.now(),
                after={"created": created, "unchanged": unchanged},
            )
        self._created += created
        self._unchanged += unchanged
        for number, reason in rejected:
            self._add_error(number, reason)
        if self._on_progress:
            self._on_progress(self._seen)

    def _add_error(self, number: int, reason: str) -> None:
        self._error_count += 1
        if len(self._errors) < MAX_REPORTED:
            self._errors.append(LineError(number, reason))


def _write_groups(rows: Rows, caller: Caller) -> tuple[int, int, Rejected]:
    """Writes groups with their kind, and adds the members that a line names."""
    rejected: Rejected = []
    good: list[tuple[int, str, str, list[Any]]] = []
    for number, row in rows:
        name, kind = str(row.get("name", "")).strip(), str(row.get("kind") or "topic").strip()
        members = row.get("members") or []
        if isinstance(members, str):
            members = [part.strip() for part in members.split(";") if part.strip()]
        if not name or len(name) > 200 or not name.isprintable():
            rejected.append((number, "name must have 1 to 200 characters"))
        elif len(kind) > 20 or not kind.isprintable():
            rejected.append((number, "kind must have 1 to 20 characters"))
        elif not isinstance(members, list):
            rejected.append((number, "members must be a list of people"))
        else:
            good.append((number, name, kind, members))
    names = [name for _, name, _, _ in good]
    known = set(Group.objects.filter(name__in=names).values_list("name", flat=True))
    ids = groups_of_names(names)
    for kind in {kind for _, _, kind, _ in good}:
        Group.objects.filter(pk__in=[ids[n] for _, n, k, _ in good if k == kind]).exclude(
            kind=kind
        ).update(kind=kind)
    links = [(n, {"user": who, "group": name}) for n, name, _, some in good for who in some]
    for start in range(0, len(links), _BATCH):
        some = links[start : start + _BATCH]
        done = add_links("memberships", some, include_staff=caller.manages_staff)
        rejected += [(number, f"member {words}") for number, _, words in done.rejected]
    created = len(set(names) - known)
    return created, len(good) - created, rejected


def _writer_of_links(kind: str) -> Write:
    def write(rows: Rows, caller: Caller) -> tuple[int, int, Rejected]:
        done = add_links(kind, rows, include_staff=caller.manages_staff)
        return done.created, done.unchanged, [(n, f"{f} {words}") for n, f, words in done.rejected]

    return write


def _write_suppressions(rows: Rows, caller: Caller) -> tuple[int, int, Rejected]:
    given = [
        (
            str(row.get("kind") or "email").strip(),
            str(row.get("address", "")),
            str(row.get("reason") or ""),
        )
        for _, row in rows
    ]
    done = SuppressionService().add(rows=given, source="import", caller=caller)
    return done.created, done.unchanged, [(rows[r.index][0], r.detail) for r in done.rejected]


def _write_unsubscribes(rows: Rows, caller: Caller) -> tuple[int, int, Rejected]:
    """Writes the unsubscribes of a former system: from one category, or from everything."""
    rejected: Rejected = []
    people = _people_of(rows)
    ended = unchanged = 0
    for number, row in rows:
        users = people.get(number)
        if not users:
            rejected.append((number, "user or email must name a known person"))
            continue
        category = str(row.get("category") or "").strip() or None
        try:
            changed = [
                PreferenceService().unsubscribe(
                    caller=caller, identifier=user, category=category, source="import"
                )
                for user in users
            ]
        except InvalidRequest as error:
            rejected.append((number, error.detail))
            continue
        ended, unchanged = ended + any(changed), unchanged + (not any(changed))
    return ended, unchanged, rejected


def _people_of(rows: Rows) -> Mapping[int, list[int]]:
    """Returns the ids of the people in each line; an address names all people who have it."""
    references = {number: read_reference(row.get("user")) for number, row in rows}
    found = find_people(ref for ref in references.values() if ref is not None)
    people = {n: [found[ref]] for n, ref in references.items() if ref is not None and ref in found}
    emails = {
        number: normalise_address(ContactKind.EMAIL, str(row["email"]))
        for number, row in rows
        if number not in people and row.get("email") and references[number] is None
    }
    reached = people_by_email(emails.values())
    return people | {n: reached[email] for n, email in emails.items() if email in reached}


COLUMNS_OF: Mapping[str, Collection[str]] = {
    "groups": ("name", "kind", "members"),
    **{kind: (*link.people, *([link.thing] if link.thing else [])) for kind, link in LINKS.items()},
    "suppressions": ("kind", "address", "reason"),
    "unsubscribes": ("user", "email", "category"),
}
_WRITERS: Mapping[str, Write] = {
    "groups": _write_groups,
    **{kind: _writer_of_links(kind) for kind in LINKS},
    "suppressions": _write_suppressions,
    "unsubscribes": _write_unsubscribes,
}


def export_lines(what: str) -> Iterator[bytes]:
    """Yields lines of JSON that `import` accepts: all users or all groups, in constant memory.

    The lines are in ascending order of id.

    Raises:
        NotFound: unknown_export.
    """
    if what == "users":
        return _user_lines()
    if what == "groups":
        return _group_lines()
    raise NotFound(f"{what!r} cannot be exported; known: users, groups", code="unknown_export")


def _user_lines() -> Iterator[bytes]:
    after = 0
    while page := list(User.objects.filter(pk__gt=after).order_by("pk")[:_BATCH]):
        after = page[-1].pk
        for user, response in zip(page, user_responses(page), strict=True):
            record = {name: getattr(response, name) for name in _EXPORTED}
            record |= {
                "email": user.email,
                "phone_number": user.phone_number,
                "telegram_id": user.telegram_id,
                "groups": [group.name for group in response.groups],
            }
            yield _encode({name: value for name, value in record.items() if value != ""})


_EXPORTED = (
    "uuid",
    "external_id",
    "username",
    "first_name",
    "last_name",
    "role",
    "locale",
    "timezone",
    "avatar_url",
    "subscription_tier",
    "attributes",
    "attributes_private",
    "is_active",
)


def _group_lines() -> Iterator[bytes]:
    after = 0
    while page := list(Group.objects.filter(pk__gt=after).order_by("pk")[:_BATCH]):
        after = page[-1].pk
        for group in page:
            first = True
            for some in _members(group.pk):
                line = {"name": group.name, "kind": group.kind, "members": some}
                first = False
                yield _encode(line)
            if first:
                yield _encode({"name": group.name, "kind": group.kind})


def _members(group_id: int) -> Iterator[list[str]]:
    """Yields the UUIDs of a group's members, 1,000 at a time."""
    after = 0
    while True:
        held = GroupMembership.objects.filter(group_id=group_id, user_id__gt=after)
        rows = list(held.order_by("user_id").values_list("user_id", "user__uuid")[:_BATCH])
        if not rows:
            return
        after = rows[-1][0]
        yield [str(uuid) for _, uuid in rows]
