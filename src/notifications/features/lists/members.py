"""MemberService: who is on a list; people who join and leave it by the API."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from django.db.models import QuerySet

from directory.models import ContactPoint, ListMembership, SubscriberList, User
from directory.models.contact import ContactKind
from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, NotFound
from notifications.features.access.persons import person_for
from notifications.features.access.service import require_scope
from notifications.features.access.throttles import throttled_error
from notifications.features.lists.joining import (
    Joining,
    JoinResult,
    check_evidence,
    join,
    leave,
)
from notifications.features.lists.schemas import SubscriptionResponse
from notifications.features.lists.service import READ, WRITE, find_list, unknown_list
from notifications.infra.csv_text import csv_lines

PAGE = 1_000
COLUMNS = (
    "user_id",
    "uuid",
    "external_id",
    "email",
    "status",
    "source",
    "created_at",
    "subscribed_at",
    "unsubscribed_at",
)
_DAY_S = 86_400


class MemberService:
    """Lists a list's people, and lets single people join and leave."""

    def list(
        self,
        *,
        identifier: object,
        caller: Caller,
        status: str = "",
        after: int = 0,
        limit: int = 50,
    ) -> Sequence[SubscriptionResponse]:
        """Returns the people of a list, by integer id. status: only those; empty for all.

        Raises:
            Refused: missing_scope. NotFound: unknown_list.
        """
        require_scope(caller, READ)
        rows = _rows(find_list(identifier), status).filter(user_id__gt=after)
        return [subscription(row) for row in rows[: max(1, limit)]]

    def as_csv(self, *, identifier: object, caller: Caller, status: str = "") -> Iterator[bytes]:
        """Returns the parts of a CSV file of a list's people, a page of them at a time.

        Raises:
            Refused: missing_scope. NotFound: unknown_list.
        """
        require_scope(caller, READ)
        return _csv(find_list(identifier), status)

    def subscribe(
        self,
        *,
        identifier: object,
        person: object,
        caller: Caller,
        wording: str = "",
        source: str = "api",
        ip: str | None = None,
    ) -> SubscriptionResponse:
        """Puts a person on a list, or asks them to confirm by email. Safe to repeat.

        People join public lists for themselves; with the scope, anyone joins any list. Who left
        joins again with a new wording. Without double opt-in, a list that rests on consent needs
        a wording, and from others than the person the scope preferences:write.

        Raises:
            Refused: missing_scope. NotFound: unknown_list, unknown_user. InvalidRequest: required.
            Conflict: opted_out, no_address, inactive_user. Throttled: asked too often.
        """
        user = person_for(caller, person, scope=WRITE)
        found = find_list(identifier)
        if not caller.may(WRITE) and not found.is_public:
            raise unknown_list(identifier)
        check_evidence(found, caller, wording, own=user.pk == caller.user_id)
        joining = Joining(
            caller=caller,
            source=source,
            wording=wording,
            ip=ip,
            again=bool(wording) or not caller.may(WRITE),
            ask_again=True,
        )
        _raise_fault(join(found, [user.pk], joining)[user.pk])
        return subscription(ListMembership.objects.get(list=found, user=user))

    def unsubscribe(
        self,
        *,
        identifier: object,
        person: object,
        caller: Caller,
        source: str = "api",
        ip: str | None = None,
    ) -> SubscriptionResponse:
        """Takes a person off a list. Safe to repeat.

        Raises:
            Refused: missing_scope. NotFound: unknown_list, unknown_user.
        """
        user = person_for(caller, person, scope=WRITE)
        found = find_list(identifier)
        known = ListMembership.objects.filter(list=found, user=user)
        if not caller.may(WRITE) and not found.is_public and not known.exists():
            raise unknown_list(identifier)
        leave(found, user.pk, caller=caller, source=source, ip=ip)
        row = known.first()
        if row is None:  # erased meanwhile
            raise NotFound("the user does not exist any more", code="unknown_user")
        return subscription(row)


def subscription(row: ListMembership) -> SubscriptionResponse:
    """Returns a membership as the API shows it."""
    return SubscriptionResponse(
        user_id=row.user_id,
        status=row.state,
        source=row.source,
        consent_id=row.consent_id,
        created_at=row.created_at,
        changed_at=row.changed_at,
        subscribed_at=row.subscribed_at,
        unsubscribed_at=row.unsubscribed_at,
    )


def _raise_fault(result: JoinResult) -> None:
    if result is JoinResult.OPTED_OUT:
        detail = "the user left the list or withdrew a consent: give the wording of a new one"
        raise Conflict(detail, code="opted_out")
    if result is JoinResult.NO_ADDRESS:
        raise Conflict("the user has no active email address", code="no_address")
    if result is JoinResult.UNKNOWN:
        raise Conflict("the user is not active", code="inactive_user")
    if result is JoinResult.THROTTLED:
        raise throttled_error("the user was asked several times today", seconds=_DAY_S)


def _rows(found: SubscriberList, status: str) -> QuerySet[ListMembership]:
    rows = ListMembership.objects.filter(list=found).order_by("user_id")
    return rows.filter(state=status) if status else rows


def _csv(found: SubscriberList, status: str) -> Iterator[bytes]:
    lines: list[tuple[str, ...]] = [COLUMNS]
    after = 0
    while True:
        page = list(_rows(found, status).filter(user_id__gt=after)[:PAGE])
        lines += _lines(page)
        yield csv_lines(lines)
        if len(page) < PAGE:
            return
        lines, after = [], page[-1].user_id


def _lines(page: Sequence[ListMembership]) -> Iterator[tuple[str, ...]]:
    ids = [row.user_id for row in page]
    people = User.objects.in_bulk(ids)
    points = ContactPoint.objects.filter(user_id__in=ids, kind=ContactKind.EMAIL)
    emails = {point.user_id: point.written_to for point in points}
    for row in page:
        person = people.get(row.user_id)
        if person is None:
            continue  # erased since the page was read
        yield (
            str(row.user_id),
            str(person.uuid),
            person.external_id or "",
            emails.get(row.user_id, ""),
            row.state,
            row.source,
            _time(row.created_at),
            _time(row.subscribed_at),
            _time(row.unsubscribed_at),
        )


def _time(moment: datetime | None) -> str:
    return moment.isoformat().replace("+00:00", "Z") if moment else ""
