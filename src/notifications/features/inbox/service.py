"""The inbox of the person who calls."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from directory.moments import check_moment
from notifications.domain.callers import Caller
from notifications.domain.errors import FieldError, InvalidRequest, NotFound
from notifications.domain.identifiers import key_of, parse_identifier
from notifications.engine.shared_rows import category_by_key, category_facts
from notifications.features.access.service import person_of
from notifications.features.inbox import actions
from notifications.features.inbox.marks import mark_all_seen
from notifications.features.inbox.reading import (
    STATUSES,
    InboxState,
    ShownArrival,
    read_page,
    read_position,
)
from notifications.features.inbox.schemas import (
    BULK_ACTIONS,
    ChangedResponse,
    InboxItem,
    InboxPage,
    UnreadResponse,
)
from notifications.infra import clock
from notifications.models import ChangeKind

LONGEST_SNOOZE = timedelta(days=366)
MOST_SEARCHED = 500
"""A search opens this many of the newest texts: they are sealed, so no index can find words."""
_KINDS = {
    "read": ChangeKind.READ,
    "unread": ChangeKind.UNREAD,
    "archive": ChangeKind.ARCHIVED,
    "unarchive": ChangeKind.UNARCHIVED,
    "unsnooze": ChangeKind.RETURNED,
}


class InboxService:
    """Reads and changes the inbox of the caller. It cannot name the inbox of another user."""

    def page(
        self,
        *,
        caller: Caller,
        status: str = "",
        category: str = "",
        search: str = "",
        before: int | None = None,
        limit: int = 50,
    ) -> tuple[InboxPage, list[int]]:
        """Returns a page, the newest first, and the positions of all rows that were read.

        Args:
            before: only what arrived before this position; None for the first page.
            limit: the most rows. One more than the page tells whether another page follows.

        Raises:
            Refused: person_required.
            InvalidRequest: invalid_choice, unknown_category.
        """
        user_id = person_of(caller)
        if status and status not in STATUSES:
            detail = f"must be one of {', '.join(STATUSES)}"
            raise InvalidRequest([FieldError("status", "invalid_choice", detail)])
        asked = MOST_SEARCHED if search else limit
        state = read_page(
            user_id,
            status=status,
            category_id=_category_id(category),
            before=before,
            limit=asked,
        )
        found = [event for event in state.events if isinstance(event, ShownArrival)]
        until = found[-1].arrived_at if search and len(found) == MOST_SEARCHED else None
        if search:
            found = _searched(found, search)[:limit]
        page = InboxPage(
            results=[item_of(each) for each in found],
            unread=state.unread,
            epoch=state.position.epoch,
            seq=state.position.seq,
            searched_until=until,
        )
        return page, [each.seq for each in found]

    def unread(self, *, caller: Caller) -> UnreadResponse:
        """Returns how many are unread. It reads one row, however large the inbox is."""
        state: InboxState = read_position(person_of(caller))
        return UnreadResponse(
            unread=state.unread, epoch=state.position.epoch, seq=state.position.seq
        )

    def act(self, *, caller: Caller, identifier: object, action: str) -> ChangedResponse:
        """Reads, archives or returns one notification, or takes that back.

        Raises:
            Refused: person_required. NotFound: unknown_notification, also for that of another user.
        """
        return self._one(caller, identifier, _KINDS[action], None)

    def snooze(self, *, caller: Caller, identifier: object, until: datetime) -> ChangedResponse:
        """Hides one notification until a time.

        Raises:
            InvalidRequest: in_the_past, time_out_of_range. Others as in `act`.
        """
        until, now = check_moment(until), clock.now()
        if until <= now:
            raise InvalidRequest([FieldError("until", "in_the_past", "must be in the future")])
        if until > now + LONGEST_SNOOZE:
            raise InvalidRequest([FieldError("until", "time_out_of_range", "within a year")])
        return self._one(caller, identifier, ChangeKind.SNOOZED, until)

    def act_on_many(self, *, caller: Caller, ids: Sequence[UUID], action: str) -> ChangedResponse:
        """Does one thing with many notifications.

        Raises:
            Refused: person_required. InvalidRequest: invalid_choice.
        """
        if action not in BULK_ACTIONS:
            detail = f"must be one of {', '.join(BULK_ACTIONS)}"
            raise InvalidRequest([FieldError("action", "invalid_choice", detail)])
        return _response(actions.act(person_of(caller), keys_in(ids), _KINDS[action]))

    def read_all(
        self, *, caller: Caller, up_to: int | None = None, category: str = ""
    ) -> ChangedResponse:
        """Marks all as read.

        Raises:
            Refused: person_required. InvalidRequest: invalid, unknown_category.
        """
        user_id = person_of(caller)
        if up_to is not None and not 0 <= up_to < 1 << 62:
            raise InvalidRequest([FieldError("up_to", "invalid", "must be a position")])
        number = _category_id(category)
        return _response(
            actions.read_all(user_id, up_to=up_to, category_id=number, category=category)
        )

    def seen(self, *, caller: Caller, ids: Sequence[UUID]) -> ChangedResponse:
        """Notes that a visible document showed notifications.

        Raises:
            Refused: person_required.
        """
        user_id = person_of(caller)
        changed = mark_all_seen((user_id, key) for key in keys_in(ids))
        state = read_position(user_id)
        return ChangedResponse(changed=changed, unread=state.unread, seq=state.position.seq)

    def _one(
        self, caller: Caller, identifier: object, kind: ChangeKind, until: datetime | None
    ) -> ChangedResponse:
        user_id = person_of(caller)
        number = parse_identifier(identifier)
        key = key_of(number) if isinstance(number, UUID) else number
        if key is None or not actions.holds(user_id, key):
            raise NotFound(
                f"your inbox has no notification {identifier}", code="unknown_notification"
            )
        return _response(actions.act(user_id, [key], kind, until=until))


def keys_in(ids: Iterable[UUID]) -> list[int]:
    """Returns the keys of public ids; ids of another form are left out."""
    return [key for each in ids if (key := key_of(each)) is not None]


def item_of(item: ShownArrival) -> InboxItem:
    """Returns an arrival as the API shows it."""
    return InboxItem(
        id=item.uuid,
        title=str(item.content.get("title") or ""),
        body=str(item.content.get("body") or ""),
        data=dict(item.content.get("data") or {}),
        category=category_facts(item.category_id).key,
        priority=item.priority,
        created_at=item.arrived_at,
        seq=item.seq,
        read_at=item.read_at,
        archived_at=item.archived_at,
        snoozed_until=item.snoozed_until,
        seen_at=item.seen_at,
    )


def _searched(items: Iterable[ShownArrival], words: str) -> list[ShownArrival]:
    wanted = words.casefold().split()
    return [each for each in items if _has_words(each, wanted)]


def _has_words(item: ShownArrival, wanted: Iterable[str]) -> bool:
    text = f"{item.content.get('title')}\n{item.content.get('body')}".casefold()
    return all(word in text for word in wanted)


def _category_id(key: str) -> int | None:
    """Returns the id of a category; None for an empty key.

    Raises:
        InvalidRequest: unknown_category.
    """
    if not key:
        return None
    found = category_by_key(key)
    if found is None:
        detail = f"there is no category {key[:100]}"
        raise InvalidRequest([FieldError("category", "unknown_category", detail)])
    return found.id


def _response(result: actions.ActionResult) -> ChangedResponse:
    return ChangedResponse(changed=result.changed, unread=result.unread, seq=result.seq)
