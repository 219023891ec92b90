"""ListArchive: what was sent to a whole public list, for everyone to read.

An issue is the text of its broadcast, which is the same for all recipients. It was marked when it
was sent, so that a list that becomes public shows nothing from before.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db.models import QuerySet

from directory.models import SubscriberList
from notifications.domain.broadcast_lifecycle import BroadcastStatus
from notifications.models import Broadcast

_SENT = [BroadcastStatus.SENT.value, BroadcastStatus.COMPLETED.value]


class ListArchive:
    """Reads the archives of public lists. It needs no caller and shows no person."""

    def find(self, *, slug: str) -> SubscriberList | None:
        """Returns the list with this slug; None where it has no public archive now."""
        return SubscriberList.objects.filter(slug=slug, is_public=True, has_archive=True).first()

    def issues(
        self, *, found: SubscriberList, before: int = 0, limit: int = 20
    ) -> Sequence[Broadcast]:
        """Returns issues, the newest first. before: only those with a smaller id; 0 for all."""
        rows = _issues(found).order_by("-pk")
        if before:
            rows = rows.filter(pk__lt=before)
        return list(rows.only("pk", "uuid", "title", "message", "sent_at")[: max(1, limit)])

    def issue(self, *, found: SubscriberList, uuid: UUID) -> Broadcast | None:
        """Returns one issue of a list; None where there is none."""
        return _issues(found).filter(uuid=uuid).first()


def _issues(found: SubscriberList) -> QuerySet[Broadcast]:
    return Broadcast.objects.filter(list_id=found.pk, in_archive=True, status__in=_SENT)
