"""Imports people into a list: up to 10,000 rows a call, 500 people a transaction.

A row names a person whom the service knows. It adds no people and no addresses: those are imported
by `POST /api/v1/users/bulk`, under a scope of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import transaction

from directory.lookup import Reference, find_people, people_by_email
from directory.models import SubscriberList, normalise_address
from directory.models.contact import ContactKind
from directory.references import InvalidPersonFields, read_person_fields
from directory.texts import is_storable
from notifications.domain.callers import Caller
from notifications.features.access.service import require_scope
from notifications.features.lists.joining import (
    AT_ONCE,
    Joining,
    JoinResult,
    check_evidence,
    join,
)
from notifications.features.lists.schemas import ListImportBody, ListImportResponse
from notifications.features.lists.service import READ, WRITE, find_list
from notifications.features.sending.schemas import RejectionResponse
from notifications.infra import clock
from notifications.models.audit.actions import record_change

_CHANGES = (JoinResult.SUBSCRIBED, JoinResult.PENDING)
_KEYS = ("user_id", "external_id", "email")
_LONGEST_EMAIL = 320
_FAULTS = {
    JoinResult.OPTED_OUT: "the user left the list, withdrew a consent, or is suppressed",
    JoinResult.NO_ADDRESS: "the user has no active email address to confirm by",
    JoinResult.THROTTLED: "the user was asked to confirm several times today",
    JoinResult.UNKNOWN: "the user does not exist or is not active: import users first",
}


def import_people(
    *, identifier: object, body: ListImportBody, caller: Caller, ip: str | None = None
) -> ListImportResponse:
    """Adds people to a list. The same call again changes nothing and sends nothing.

    Wrong rows are reported by number and reason, and the others are written. With double opt-in
    everyone is asked by email. People who left or withdrew a consent are rejected, and so are
    suppressed addresses, unless the body asks for them with a wording.

    Raises:
        Refused: missing_scope. NotFound: unknown_list. InvalidRequest: required.
    """
    require_scope(caller, WRITE)
    if any(isinstance(row, dict) and "email" in row for row in body.rows):
        require_scope(caller, READ)  # the response shows which addresses belong to users
    found = find_list(identifier)
    check_evidence(found, caller, body.wording, again=body.resubscribe)
    rejected: list[RejectionResponse] = []
    people = _people_of(body.rows, rejected)
    joining = Joining(
        caller=caller,
        source=body.source,
        wording=body.wording,
        ip=ip,
        again=body.resubscribe,
    )
    results = _join_all(found, sorted(set(people.values())), joining)
    counts: Counter[JoinResult] = Counter(results.values())
    changed = {name: counts[name] for name in _CHANGES}
    for index, person in people.items():
        fault = _FAULTS.get(results[person])
        if fault:
            code = str(results[person])
            rejected.append(RejectionResponse(index=index, code=code, detail=fault))
    rejected.sort(key=lambda each: each.index)
    done = sum(changed.values())
    return ListImportResponse(
        subscribed=changed[JoinResult.SUBSCRIBED],
        pending=changed[JoinResult.PENDING],
        unchanged=len(body.rows) - len(rejected) - done,
        rejected=rejected,
    )


def _join_all(
    found: SubscriberList, people: Sequence[int], joining: Joining
) -> dict[int, JoinResult]:
    results: dict[int, JoinResult] = {}
    for start in range(0, len(people), AT_ONCE):
        with transaction.atomic():
            part = join(found, people[start : start + AT_ONCE], joining)
            _record(found, part.values(), joining)
        results |= part
    return results


def _record(found: SubscriberList, results: Iterable[JoinResult], joining: Joining) -> None:
    """Writes what one part of an import changed, in the transaction of the part."""
    counts = Counter(results)
    changed = {str(name): counts[name] for name in _CHANGES}
    if any(changed.values()):
        record_change(
            actor=joining.caller.name,
            action="list.imported",
            target=f"list:{found.uuid}",
            at=clock.now(),
            after=changed,
        )


def _people_of(rows: Sequence[Any], rejected: list[RejectionResponse]) -> dict[int, int]:
    """Returns the person of each row, by the row's number; adds the others to `rejected`."""
    named: dict[int, Reference] = {}
    emails: dict[int, str] = {}
    for index, row in enumerate(rows):
        fault = _read(row, index, named, emails)
        if fault:
            rejected.append(RejectionResponse(index=index, code="invalid_row", detail=fault))
    known = find_people(set(named.values()))
    found = {index: known[key] for index, key in named.items() if key in known}
    owners = people_by_email(set(emails.values()))
    for index, email in emails.items():
        people = owners.get(email, [])
        if len(people) == 1:
            found[index] = people[0]
        elif people:
            detail = "several users have this email address: name one by user_id"
            rejected.append(RejectionResponse(index=index, code="invalid_row", detail=detail))
    missing = {*named, *emails} - found.keys() - {each.index for each in rejected}
    for index in sorted(missing):
        detail = _FAULTS[JoinResult.UNKNOWN]
        rejected.append(RejectionResponse(index=index, code="unknown_user", detail=detail))
    return found


def _read(row: Any, index: int, named: dict[int, Reference], emails: dict[int, str]) -> str:
    """Reads one row into `named` or `emails`; returns what is wrong with it, or an empty text."""
    if not isinstance(row, dict) or len(row) != 1 or next(iter(row)) not in _KEYS:
        return f"must be an object with one of {', '.join(_KEYS)}"
    ((name, value),) = row.items()
    if name != "email":
        key = read_person_fields(**{"user_id": None, "external_id": None, name: value})
        if isinstance(key, InvalidPersonFields):
            return key.detail
        if key is None:
            return f"{name} must name a user"
        named[index] = key
        return ""
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_EMAIL or "@" not in value:
        return "email must be an email address"
    if not is_storable(value):
        return "email contains characters that cannot be stored"
    emails[index] = normalise_address(ContactKind.EMAIL, value)
    return ""
