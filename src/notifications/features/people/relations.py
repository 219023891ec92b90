"""Subjects, enrollments, tutors, parents, and the suppression list."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Model

from directory.addresses import AddressFault, read_address
from directory.lookup import find_people, of_staff, read_reference, staff_among
from directory.models import ContactPoint, Subject, Suppression, normalise_address
from directory.models.contact import ContactKind
from directory.relations import LINKS, OF_STAFF, add_links
from directory.texts import UNSTORABLE, is_storable
from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, FieldError, InvalidRequest, NotFound
from notifications.domain.identifiers import parse_key
from notifications.features.access.persons import PROTECTED, protected_staff_error
from notifications.features.access.service import require_scope
from notifications.features.people.groups import clean_name
from notifications.features.people.relation_schemas import (
    LinkResponse,
    LinksResponse,
    SubjectResponse,
    SuppressionResponse,
)
from notifications.features.people.service import READ, WRITE
from notifications.features.sending.schemas import RejectionResponse
from notifications.infra import clock
from notifications.models.audit.actions import Values, record_change, stored_values, values_of
from notifications.models.audit.security import note_refused_records

MAX_ROWS = 10_000
_AT_ONCE = 500


class SubjectService:
    """Reads and writes subjects."""

    def list(self, *, caller: Caller, after: int = 0, limit: int = 50) -> Sequence[SubjectResponse]:
        """Returns subjects, the oldest first."""
        require_scope(caller, READ)
        rows = Subject.objects.filter(pk__gt=after).order_by("pk")[: max(1, limit)]
        return [_subject(row) for row in rows]

    def get(self, *, identifier: str, caller: Caller) -> SubjectResponse:
        """Returns one subject, by id."""
        require_scope(caller, READ)
        return _subject(_find(Subject, identifier))

    def create(self, *, name: str, caller: Caller) -> SubjectResponse:
        """Creates a subject.

        Raises:
            Conflict: name_taken.
        """
        require_scope(caller, WRITE)
        return _save_subject(Subject(name=clean_name(name)), "subject.created", caller)

    def change(self, *, identifier: str, name: str, caller: Caller) -> SubjectResponse:
        """Renames a subject."""
        require_scope(caller, WRITE)
        subject = _find(Subject, identifier)
        subject.name = clean_name(name)
        return _save_subject(subject, "subject.changed", caller)

    def delete(self, *, identifier: str, caller: Caller) -> None:
        """Deletes a subject and its enrollments."""
        require_scope(caller, WRITE)
        _delete(_find(Subject, identifier), "subject.deleted", caller)


class LinkService:
    """Reads and writes relations of one sort: enrollments, tutor-assignments or parent-links."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._link = LINKS[kind]

    def list(
        self, *, caller: Caller, filters: Mapping[str, str], after: int = 0, limit: int = 50
    ) -> Sequence[LinkResponse]:
        """Returns relations, the oldest first. filters: an end of the relation -> id or name."""
        require_scope(caller, READ)
        rows = self._link.model._default_manager.filter(pk__gt=after)
        for name, value in filters.items():
            if value:
                rows = rows.filter(**{f"{name}_id": self._end(name, value)})
        ends = [*self._link.people, *([self._link.thing] if self._link.thing else [])]
        columns = [f"{end}_id" for end in ends]
        found = rows.order_by("pk").values_list("pk", "created_at", *columns)[: max(1, limit)]
        return [
            LinkResponse(id=row[0], created_at=row[1], ends=dict(zip(ends, row[2:], strict=True)))
            for row in found
        ]

    def add(self, *, rows: Sequence[Mapping[str, Any]], caller: Caller) -> LinksResponse:
        """Writes the valid relations and reports the others. Safe to repeat."""
        require_scope(caller, WRITE)
        if len(rows) > MAX_ROWS:
            raise InvalidRequest([FieldError("rows", "too_many", f"at most {MAX_ROWS:,} a call")])
        with transaction.atomic():
            done = add_links(self._kind, list(enumerate(rows)), include_staff=caller.manages_staff)
            if done.created:
                after = {"created": done.created, "rows": list(rows)}
                _record(caller, "relations.added", self._kind, after=after)
        rejected = [
            RejectionResponse(
                index=index,
                code=PROTECTED if words == OF_STAFF else "invalid_row",
                detail=f"{field} {words}",
            )
            for index, field, words in sorted(done.rejected)
        ]
        note_refused_records(caller.name, [each.code for each in rejected])
        return LinksResponse(created=done.created, unchanged=done.unchanged, rejected=rejected)

    def delete(self, *, identifier: str, caller: Caller) -> None:
        """Deletes one relation.

        Raises:
            Refused: staff_protected.
        """
        require_scope(caller, WRITE)
        row = _find(self._link.model, identifier)
        ends = {getattr(row, f"{name}_id") for name in self._link.people} - {None}
        if not caller.manages_staff and staff_among(ends):
            raise protected_staff_error()
        _delete(row, "relation.deleted", caller)

    def _end(self, name: str, value: str) -> int:
        """Returns the id of the end that a filter names; 0, which no row has, where none exists."""
        if name == self._link.thing:
            return parse_key(value) or 0
        reference = read_reference(value, written=True)
        return find_people([reference]).get(reference, 0) if reference is not None else 0


class SuppressionService:
    """Reads and writes the suppression list: addresses that nothing may be sent to."""

    def list(
        self,
        *,
        caller: Caller,
        kind: str = "",
        address: str = "",
        after: int = 0,
        limit: int = 50,
    ) -> Sequence[SuppressionResponse]:
        """Returns suppressed addresses, the oldest first."""
        require_scope(caller, READ)
        rows = Suppression.objects.filter(pk__gt=after)
        if kind:
            rows = rows.filter(kind=kind)
        if address:
            spellings = [normalise_address(each, address) for each in ContactKind.values]
            rows = rows.filter(address__in=spellings)
        return [_suppression(row) for row in rows.order_by("pk")[: max(1, limit)]]

    def add(
        self, *, rows: Sequence[tuple[str, str, str]], source: str, caller: Caller
    ) -> LinksResponse:
        """Suppresses addresses, given as (kind, address, reason). Safe to repeat.

        An address that is already on the list retains its reason. Addresses of staff are for admins
        alone: a suppressed one gets no report of an emergency sign-in, and no new password.
        """
        require_scope(caller, WRITE)
        if len(rows) > MAX_ROWS:
            detail = f"at most {MAX_ROWS:,} a call"
            raise InvalidRequest([FieldError("suppressions", "too_many", detail)])
        rejected: list[RejectionResponse] = []
        fresh: dict[tuple[str, str], Suppression] = {}
        protected = set() if caller.manages_staff else _addresses_of_staff(rows)
        good = 0
        for index, (kind, address, reason) in enumerate(rows):
            wrong = _suppression_fault(kind, address, reason)
            if wrong:
                rejected.append(RejectionResponse(index=index, code="invalid_row", detail=wrong))
                continue
            spelled = normalise_address(kind, address)
            if (kind, spelled) in protected:
                detail = protected_staff_error().detail
                rejected.append(RejectionResponse(index=index, code=PROTECTED, detail=detail))
                continue
            good += 1
            fresh.setdefault(
                (kind, spelled),
                Suppression(kind=kind, address=spelled, reason=reason[:200], source=source),
            )
        with transaction.atomic():
            created = _insert_suppressions(fresh)
            if created:
                after = {"created": created, "kinds": sorted({kind for kind, _ in fresh})}
                _record(caller, "suppressions.added", "suppressions", after=after)
        note_refused_records(caller.name, [each.code for each in rejected])
        return LinksResponse(created=created, unchanged=good - created, rejected=rejected)

    def delete(self, *, identifier: str, caller: Caller) -> None:
        """Removes an address from the suppression list."""
        require_scope(caller, WRITE)
        row = _find(Suppression, identifier)
        with transaction.atomic():
            before = values_of(row, without=("address",))
            _record(caller, "suppression.deleted", f"suppression:{row.pk}", before=before)
            row.delete()


def _addresses_of_staff(rows: Sequence[tuple[str, str, str]]) -> set[tuple[str, str]]:
    """Returns which of these addresses are of members of staff: kinds and normal forms."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for kind, address, reason in rows:
        if not _suppression_fault(kind, address, reason):
            wanted[kind].add(normalise_address(kind, address))
    points = ContactPoint.objects.filter(of_staff("user__"))
    found: set[tuple[str, str]] = set()
    for kind, addresses in wanted.items():
        every = sorted(addresses)
        for start in range(0, len(every), _AT_ONCE):
            part = points.filter(kind=kind, address__in=every[start : start + _AT_ONCE])
            found.update((kind, point.address) for point in part)
    return found


def _insert_suppressions(fresh: Mapping[tuple[str, str], Suppression]) -> int:
    keys, created = list(fresh), 0
    for start in range(0, len(keys), _AT_ONCE):
        part = keys[start : start + _AT_ONCE]
        with transaction.atomic():
            forms = Suppression.address_forms(address for _, address in part)
            stored = Suppression.objects.columns_among(forms)
            known = {(kind, forms[form]) for kind, form in stored}
            made = [fresh[key] for key in part if key not in known]
            Suppression.objects.bulk_create(made, ignore_conflicts=True)
        created += len(made)
    return created


def _suppression_fault(kind: str, address: str, reason: str) -> str:
    if kind not in ContactKind.values:
        return f"kind must be one of {', '.join(ContactKind.values)}"
    if not is_storable(reason):
        return f"reason must not hold {UNSTORABLE}"
    try:
        read_address(kind, address)
    except AddressFault as fault:
        return f"address {fault.in_full}"
    return ""


def _find(model: Any, identifier: str) -> Any:
    number = parse_key(identifier)
    row = model._default_manager.filter(pk=number).first() if number else None
    if row is None:
        raise NotFound(f"there is no {model._meta.verbose_name} {identifier}", code="unknown_row")
    return row


def _record(
    caller: Caller, action: str, target: str, *, before: Values = None, after: Values = None
) -> None:
    record_change(
        actor=caller.name,
        action=action,
        target=target,
        at=clock.now(),
        before=before,
        after=after,
    )


def _target(row: Model) -> str:
    return f"{row._meta.model_name}:{row.pk}"


def _delete(row: Model, action: str, caller: Caller) -> None:
    with transaction.atomic():
        _record(caller, action, _target(row), before=values_of(row))
        row.delete()


def _save_subject(subject: Subject, action: str, caller: Caller) -> SubjectResponse:
    try:
        with transaction.atomic():
            before = stored_values(subject)
            subject.save()
            _record(caller, action, _target(subject), before=before, after=values_of(subject))
    except IntegrityError as error:
        raise Conflict(f"a subject {subject.name!r} already exists", code="name_taken") from error
    return _subject(subject)


def _subject(row: Subject) -> SubjectResponse:
    return SubjectResponse(id=row.pk, name=row.name, created_at=row.created_at)


def _suppression(row: Suppression) -> SuppressionResponse:
    return SuppressionResponse(
        id=row.pk,
        kind=row.kind,
        address=row.address,
        reason=row.reason,
        source=row.source,
        created_at=row.created_at,
    )
