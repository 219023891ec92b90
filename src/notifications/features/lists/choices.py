"""ListChoices: the lists that a person sees in their preference centre, and what they choose."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Case, When

from directory.models import ListMembership, ListStatus, SubscriberList, User
from notifications.domain.callers import Caller
from notifications.features.lists.joining import Joining, JoinResult, join, leave

MOST_SHOWN = 100
"""The most lists on one page: the person's own come first."""
_LEFT_LAST = Case(When(state=ListStatus.UNSUBSCRIBED, then=1), default=0)


@dataclass(frozen=True, slots=True)
class ShownList:
    """A list as one person sees it."""

    id: int
    name: str
    description: str
    #: The person is on it, or was asked to confirm.
    is_on: bool
    is_pending: bool


class ListChoices:
    """Reads and changes the lists of one person."""

    def of(self, *, user: User) -> list[ShownList]:
        """Returns the lists of a person, and the public ones that they may join, by name.

        A private list is shown to those who are on it or were asked.
        """
        rows = ListMembership.objects.filter(user=user).select_related("list")
        own = {row.list_id: row for row in rows.order_by(_LEFT_LAST, "list_id")[:MOST_SHOWN]}
        shown = {
            row.list_id: _shown(row.list, row.state)
            for row in own.values()
            if row.list.is_public or row.state != ListStatus.UNSUBSCRIBED
        }
        public = SubscriberList.objects.filter(is_public=True).order_by("pk")[:MOST_SHOWN]
        for each in public:
            if each.pk not in own and len(shown) < MOST_SHOWN:
                shown[each.pk] = _shown(each, "")
        return sorted(shown.values(), key=lambda each: (each.name.casefold(), each.id))

    def choose(
        self,
        *,
        user: User,
        caller: Caller,
        before: Collection[int],
        wanted: Collection[int],
        source: str,
        wording: Callable[[str], str],
        ip: str | None = None,
    ) -> set[JoinResult]:
        """Joins and leaves the lists that differ; returns what became of those joined.

        Args:
            before: the lists that the form showed as chosen. What another process changed
                meanwhile stays as it is.
            wanted: the lists that the person chose.
            wording: the text that the person was shown, by the name of a list.
        """
        shown = {each.id for each in self.of(user=user)}
        changed = sorted((set(before) ^ set(wanted)) & shown)
        results: set[JoinResult] = set()
        with transaction.atomic():
            for found in SubscriberList.objects.filter(pk__in=changed).order_by("pk"):
                text = wording(found.name)
                if found.pk not in wanted:
                    leave(found, user.pk, caller=caller, source=source, wording=text, ip=ip)
                    continue
                joining = Joining(
                    caller=caller, source=source, wording=text, ip=ip, again=True, ask_again=True
                )
                results.add(join(found, [user.pk], joining)[user.pk])
        return results


def _shown(row: SubscriberList, state: str) -> ShownList:
    return ShownList(
        id=row.pk,
        name=row.name,
        description=row.description,
        is_on=state in (ListStatus.SUBSCRIBED, ListStatus.PENDING),
        is_pending=state == ListStatus.PENDING,
    )
