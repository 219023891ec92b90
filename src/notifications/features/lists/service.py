"""ListService: makes, shows, changes and deletes mailing lists."""

from __future__ import annotations

import re
from collections.abc import Sequence
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Count
from msgspec import UNSET

from directory.models import ListMembership, SubscriberList
from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, FieldError, InvalidRequest, NotFound
from notifications.domain.identifiers import parse_identifier
from notifications.engine.shared_rows import category_by_key, category_keys
from notifications.features.access.service import require_scope
from notifications.features.lists.schemas import (
    ListBody,
    ListChangeBody,
    ListCounts,
    ListResponse,
)
from notifications.features.lists.usage import uses_of
from notifications.infra import clock
from notifications.models.audit.actions import Values, record_action, stored_values, values_of

READ, WRITE = "users:read", "lists:write"
_COLUMNS = {
    "name": "name",
    "description": "description",
    "is_public": "is_public",
    "double_opt_in": "double_opt_in",
    "archive": "has_archive",
    "category": "category",
}
"""The column of each field that may be changed."""
_LINK = re.compile(r"://|www\.", re.IGNORECASE)
"""What mail programs make a link of: the mail that asks to confirm goes to anyone."""


class ListService:
    """Reads and writes mailing lists, for keys and staff with the scopes."""

    def list(self, *, caller: Caller, after: int = 0, limit: int = 50) -> Sequence[ListResponse]:
        """Returns lists in ascending order of key, without their counts.

        Raises:
            Refused: missing_scope.
        """
        require_scope(caller, READ)
        rows = SubscriberList.objects.filter(pk__gt=after).order_by("pk")[: max(1, limit)]
        return [_response(row) for row in rows]

    def get(self, *, identifier: object, caller: Caller) -> ListResponse:
        """Returns one list with its counts, by id or key.

        Raises:
            Refused: missing_scope. NotFound: unknown_list.
        """
        require_scope(caller, READ)
        found = find_list(identifier)
        return _response(found, _counts(found))

    def create(self, *, body: ListBody, caller: Caller) -> ListResponse:
        """Makes a list without members.

        Raises:
            Refused: missing_scope. InvalidRequest: unknown_category, invalid.
            Conflict: name_taken, also for a slug.
        """
        require_scope(caller, WRITE)
        row = SubscriberList(slug=body.slug)
        for name, column in _COLUMNS.items():
            setattr(row, column, getattr(body, name))
        _save(row, caller, "list.created", None)
        return _response(row, ListCounts())

    def change(self, *, identifier: object, body: ListChangeBody, caller: Caller) -> ListResponse:
        """Changes the fields that the body names.

        Raises:
            Refused: missing_scope. NotFound: unknown_list. InvalidRequest: unknown_category.
            Conflict: name_taken.
        """
        require_scope(caller, WRITE)
        row = find_list(identifier)
        changed = [column for name, column in _COLUMNS.items() if getattr(body, name) is not UNSET]
        for name, column in _COLUMNS.items():
            if column in changed:
                setattr(row, column, getattr(body, name))
        _save(row, caller, "list.changed", changed)
        return _response(row, _counts(row))

    def delete(self, *, identifier: object, caller: Caller) -> None:
        """Deletes a list and its memberships. The consent ledger still has their consents.

        Raises:
            Refused: missing_scope. NotFound: unknown_list.
            Conflict: list_in_use, while a campaign, series or broadcast that names it is open.
        """
        require_scope(caller, WRITE)
        row = find_list(identifier)
        uses = uses_of(row)
        if uses:
            detail = f"the list is used by {', '.join(uses)}: end or delete them first"
            raise Conflict(detail, code="list_in_use")
        with transaction.atomic():
            _record(caller, "list.deleted", row, before=values_of(row))
            row.delete()


def find_list(identifier: object) -> SubscriberList:
    """Returns the list with this id or key.

    Raises:
        NotFound: unknown_list.
    """
    key = parse_identifier(identifier)
    lookup = {"uuid" if isinstance(key, UUID) else "pk": key}
    found = SubscriberList.objects.filter(**lookup).first() if key is not None else None
    if found is None:
        raise unknown_list(identifier)
    return found


def unknown_list(identifier: object) -> NotFound:
    """Returns the error that there is no such list, or none that the caller may see."""
    return NotFound(f"there is no list {identifier}", code="unknown_list")


def _save(row: SubscriberList, caller: Caller, action: str, changed: Sequence[str] | None) -> None:
    """Saves a new list, or the changed columns of one: other callers may change the others."""
    row.name = row.name.strip()
    errors = []
    if not row.name or not row.name.isprintable():
        detail = "must contain a visible character, and no control characters"
        errors.append(FieldError("name", "invalid", detail))
    elif _LINK.search(row.name):
        errors.append(FieldError("name", "invalid", "must not contain a link: mails show it"))
    if category_by_key(row.category) is None:
        known = ", ".join(category_keys())
        detail = f"there is no category {row.category}; known: {known}"
        errors.append(FieldError("category", "unknown_category", detail))
    if errors:
        raise InvalidRequest(errors)
    try:
        with transaction.atomic():
            before = stored_values(row)
            row.save(update_fields=None if changed is None else [*changed, "updated_at"])
            _record(caller, action, row, before=before, after=values_of(row))
    except IntegrityError as error:
        raise Conflict(
            f"a list has the name {row.name!r} or the slug {row.slug!r}: choose others",
            code="name_taken",
        ) from error


def _record(
    caller: Caller,
    action: str,
    row: SubscriberList,
    *,
    before: Values = None,
    after: Values = None,
) -> None:
    record_action(
        actor=caller.name,
        action=action,
        target=f"list:{row.uuid}",
        at=clock.now(),
        before=before,
        after=after,
    )


def _counts(row: SubscriberList) -> ListCounts:
    """Counts the members by state, over the index of a list's states."""
    rows = ListMembership.objects.filter(list=row).values("state").order_by("state")
    return ListCounts(**{each["state"]: each["size"] for each in rows.annotate(size=Count("pk"))})


def _response(row: SubscriberList, counts: ListCounts | None = None) -> ListResponse:
    return ListResponse(
        id=row.uuid,
        key=row.pk,
        name=row.name,
        slug=row.slug,
        description=row.description,
        is_public=row.is_public,
        double_opt_in=row.double_opt_in,
        archive=row.has_archive,
        category=row.category,
        counts=counts,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
