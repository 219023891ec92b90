"""ListLinks: the signed links by which people confirm that they join a list, and leave it.

A confirmation counts once the person pressed the button of its page: programs open every link of a
mail. A link that was used, or that is older than the latest request, changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from directory.models import ListMembership, ListStatus, SubscriberList, User
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.features.enrolling.entering import enter_by_list
from notifications.features.lists.confirmation_mail import ListRequest, read_request
from notifications.features.lists.joining import leave, lock_people
from notifications.features.preferences.consents import write_entry
from notifications.features.preferences.double_opt_in import (
    SOURCE,
    open_category,
    verify_address,
)
from notifications.features.preferences.link_holders import LinkHolder, find_holder
from notifications.features.preferences.unsubscribe import INVALID_LINK, link_caller
from notifications.infra import clock
from notifications.infra.links import LinkKind, read_link


@dataclass(frozen=True, slots=True)
class ListLink:
    """What a link is about."""

    user_id: int
    list_id: int
    #: The mark of the address that the link was sent to; may be empty.
    mark: str
    #: The name of the list; empty where it was deleted.
    name: str


class ListLinks:
    """Reads and applies the links."""

    def read_confirmation(self, *, token: str) -> ListLink | None:
        """Returns what a link asks; None for one that is forged, expired or of a deleted list."""
        request = read_request(token)
        found = _list_of(request.list_id) if request else None
        if request is None or found is None:
            return None
        return ListLink(request.user_id, request.list_id, request.mark, found.name)

    def confirm(self, *, token: str, wording: str, ip: str | None = None) -> bool:
        """Puts the person of a link on its list; returns whether the link was valid.

        A second call changes nothing. A link is not valid once it has expired, once the address is
        no longer the person's, or once they left the list since.
        """
        request = read_request(token)
        found = _list_of(request.list_id) if request else None
        if request is None or found is None:
            return False
        with transaction.atomic():
            if not lock_people([request.user_id]):
                return False
            user = User.objects.get(pk=request.user_id)
            row = ListMembership.objects.filter(list=found, user=user).first()
            if row is None or not _is_open(row, request) or not verify_address(user, request.mark):
                return False
            if row.state == ListStatus.PENDING:
                _subscribe(user, found, row, wording=wording, ip=ip)
        return True

    def read_leaving(self, *, token: str) -> ListLink | None:
        """Returns what a link ends; None for one that is forged. Reads no person."""
        fields = read_link(LinkKind.LIST_LEAVE, token, 3)
        if fields is None:
            return None
        user_id, list_id, mark = fields
        found = _list_of(int(list_id))
        return ListLink(int(user_id), int(list_id), mark, found.name if found else "")

    def leave(self, *, token: str, source: str, wording: str = "", ip: str | None = None) -> bool:
        """Takes the person of a link off its list; returns whether that changed anything.

        A valid link never expires. It changes nothing where the list or the person is gone.

        Raises:
            InvalidRequest: invalid_link, for a token that is not valid.
        """
        fields = read_link(LinkKind.LIST_LEAVE, token, 3)
        if fields is None:
            raise InvalidRequest([FieldError("token", "invalid_link", INVALID_LINK)], INVALID_LINK)
        user_id, found = int(fields[0]), _list_of(int(fields[1]))
        if found is None:
            return False
        caller = link_caller(user_id)
        return leave(found, user_id, caller=caller, source=source, wording=wording, ip=ip)

    def holder(self, *, link: ListLink) -> LinkHolder:
        """Returns the person of a link; empty when the address is no longer theirs."""
        return find_holder(link.user_id, link.mark)


def _list_of(list_id: int) -> SubscriberList | None:
    return SubscriberList.objects.filter(pk=list_id).first()


def _is_open(row: ListMembership, request: ListRequest) -> bool:
    """Returns whether a link still counts: it was sent since the person was asked to join."""
    if row.state == ListStatus.PENDING:
        return request.since >= row.changed_at
    return row.state == ListStatus.SUBSCRIBED


def _subscribe(
    user: User, found: SubscriberList, row: ListMembership, *, wording: str, ip: str | None
) -> None:
    """Writes the consent, and sets the preferences that the list's mails need."""
    now = clock.now()
    entry = write_entry(
        user_id=user.pk,
        purpose=found.purpose,
        granted=True,
        wording=wording,
        source=SOURCE,
        actor=link_caller(user.pk).name,
        ip=ip,
        at=now,
    )
    row.move(ListStatus.SUBSCRIBED, source=SOURCE, at=now)
    row.consent_id = entry.pk
    row.save()
    enter_by_list(found.pk, [user.pk], now=now)
    open_category(user, found.category, wording=wording, source=SOURCE, ip=ip)
