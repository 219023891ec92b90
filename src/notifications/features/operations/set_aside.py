"""SetAsideService: lists and resumes failed items of periodic work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from django.db import transaction
from django.db.models import Count

from notifications.domain.callers import Caller
from notifications.domain.errors import NotFound
from notifications.features.access.service import check_operator
from notifications.features.receipts import apply as receipts
from notifications.infra import clock
from notifications.infra.field_types import choice
from notifications.models import ItemFault, Work
from notifications.models.audit.actions import record_action

MOST = 1_000
_Reopen = Callable[[int, datetime], None]


WorkName = Annotated[str, choice("Work", Work.values, "What is done with the item.")]


class SetAsideResponse(msgspec.Struct, kw_only=True):
    """An item of periodic work that failed."""

    id: int
    """The integer id of this entry. Example: `4`"""

    work: WorkName

    item: int
    """The key of the item in its own table. Example: `31`"""

    about: str
    """What is done with the item, as a sentence. Example: `A digest is sent`"""

    tries: int
    """How often it failed. Example: `3`"""

    set_aside: bool
    """Whether it is skipped until it is resumed."""

    error: str
    """The kind of the failure and its place in the code. Example: `ValueError at digests.py:80`"""

    trace: str
    """The trace under which the log has more. Example: `9f2c1e7a`"""

    failed_at: datetime
    """When it last failed (RFC 3339)."""

    tried_again_at: datetime | None
    """When it is processed again by itself (RFC 3339); null when it waits to be resumed."""


class ResumedResponse(msgspec.Struct, kw_only=True):
    """Failed items were resumed."""

    resumed: int
    """The number of items that are processed again at once. Example: `2`"""


class SetAsideService:
    """Lists and resumes failed items for operators."""

    def list(
        self, *, caller: Caller, work: str = "", after: int = 0, limit: int = 50
    ) -> list[SetAsideResponse]:
        """Returns items that failed recently or are set aside, by key."""
        check_operator(caller)
        rows = ItemFault.objects.filter(pk__gt=after).order_by("pk")
        return [_to_response(row) for row in (rows.filter(work=work) if work else rows)[:limit]]

    def resume(self, *, ids: Sequence[int], caller: Caller) -> ResumedResponse:
        """Forgets the failures of these items: the next round processes them again.

        Raises:
            NotFound: unknown_item, when none of them exists.
        """
        check_operator(caller)
        resumed = sum(_resume(key, caller) for key in ids[:MOST])
        if not resumed:
            raise NotFound("no such item has failed: see `carillon set-aside`", code="unknown_item")
        return ResumedResponse(resumed=resumed)

    def counts(self) -> Mapping[str, int]:
        """Returns how many items are set aside, by work."""
        rows = ItemFault.objects.filter(set_aside=True).order_by("work")
        return dict(rows.values_list("work").annotate(Count("pk")))


def _resume(key: int, caller: Caller) -> bool:
    now = clock.now()
    with transaction.atomic():
        row = ItemFault.objects.select_for_update().filter(pk=key).first()
        if row is None:
            return False
        reopen = _REOPEN.get(row.work)
        if reopen is not None:
            reopen(row.item, now)
        record_action(
            actor=caller.name, action="set-aside.resume", target=f"{row.work} {row.item}", at=now
        )
        row.delete()
    return True


_REOPEN: Mapping[str, _Reopen] = {Work.RECEIPT: receipts.reopen}
"""Functions that reset an item's own state, for work whose items have one."""


def _to_response(row: ItemFault) -> SetAsideResponse:
    final = row.set_aside and row.work == Work.RECEIPT
    return SetAsideResponse(
        id=row.pk,
        work=row.work,
        item=row.item,
        about=row.get_work_display(),
        tries=row.tries,
        set_aside=row.set_aside,
        error=row.error,
        trace=row.trace,
        failed_at=row.failed_at,
        tried_again_at=None if final else row.next_at,
    )
