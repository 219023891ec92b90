"""UnsubscribeService: reads and applies the signed unsubscribe links of mails, without a login.

A forged or truncated token is refused, and nothing changes. A valid token always gets the same
response, also when its user was erased or its category retired.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from directory.models import User
from notifications.domain.callers import Caller
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.engine.shared_rows import category_by_key
from notifications.features.preferences.link_holders import LinkHolder, find_holder
from notifications.features.preferences.service import PreferenceService
from notifications.features.preferences.undo import (
    PAGE,
    UndoResult,
    make_undo_token,
    read_snapshot,
    restore,
)
from notifications.infra.links import LinkKind, read_link

INVALID_LINK = "this link is not valid or was cut off: nothing was changed; copy the whole link"
ONE_CLICK = "one_click"
"""Source in the ledger: the unsubscribe button of a mail program."""


@dataclass(frozen=True, slots=True)
class UnsubscribeTarget:
    """What a link unsubscribes from: one category, or everything but urgent messages."""

    user_id: int
    #: The key of the category; empty for everything.
    category: str
    #: The name of the category.
    name: str
    #: The mark of the address that the link was sent to; empty in links of early releases.
    mark: str


@dataclass(frozen=True, slots=True)
class UnsubscribeResult:
    """What a link changed."""

    changed: bool = False
    #: The general flags that it switched off.
    flags: tuple[str, ...] = ()
    #: The token that restores the preferences; empty when nothing changed or no button is shown.
    undo: str = ""


class UnsubscribeService:
    """Reads and applies unsubscribe links."""

    def read(self, *, token: str) -> UnsubscribeTarget | None:
        """Returns what a token unsubscribes from; None for one that is not valid.

        Changes nothing, and does not read the user, who may have been erased.
        """
        # The signature proves that these fields have the form that sign_link wrote.
        fields = read_link(LinkKind.UNSUBSCRIBE, token, 3)
        if fields is None:
            fields = read_link(LinkKind.UNSUBSCRIBE, token, 2)
            if fields is None:
                return None
        number, category, mark = (*fields, "")[:3]
        facts = category_by_key(category) if category else None
        name = facts.name or facts.key if facts else category
        return UnsubscribeTarget(int(number), category, name, mark)

    def holder(self, *, target: UnsubscribeTarget) -> LinkHolder:
        """Returns the user of a link; empty when the address is no longer the user's."""
        return find_holder(target.user_id, target.mark)

    def apply(
        self,
        *,
        token: str,
        source: str,
        category: str = "",
        everything: bool = False,
        wording: str = "",
        ip: str | None = None,
    ) -> UnsubscribeResult:
        """Unsubscribes from what the token names, from another category of its user, or everything.

        A second call changes nothing but ends the undo of the first. wording: the text that the
        user was shown.

        Raises:
            InvalidRequest: invalid_link, for a token that is not valid.
        """
        target = self.read(token=token)
        if target is None:
            raise InvalidRequest([FieldError("token", "invalid_link", INVALID_LINK)], INVALID_LINK)
        key = "" if everything else category or target.category
        if key and category_by_key(key) is None:
            return UnsubscribeResult()  # it was retired: nothing can be sent in it
        with transaction.atomic():
            user = User.objects.filter(pk=target.user_id).first()
            if user is None:
                return UnsubscribeResult()
            before = read_snapshot(user.pk, key) if source == PAGE else None
            changed = PreferenceService().unsubscribe(
                caller=link_caller(user.pk),
                source=source,
                category=key or None,
                wording=wording,
                ip=ip,
            )
            if not changed or before is None:
                return UnsubscribeResult(changed)
            flags = before.flags_off_since(read_snapshot(user.pk, key))
            return UnsubscribeResult(changed, flags, make_undo_token(user.pk, key, before, flags))

    def undo(
        self, *, token: str, undo: str, wording: str = "", ip: str | None = None
    ) -> UndoResult:
        """Restores the preferences from before an unsubscribe on the page of this link.

        A second call changes and writes nothing.

        Raises:
            InvalidRequest: invalid_link, for a token that is not valid or is of another user.
        """
        target = self.read(token=token)
        fields = read_link(LinkKind.UNDO, undo, 6)
        if target is None or fields is None or int(fields[0]) != target.user_id:
            raise InvalidRequest([FieldError("undo", "invalid_link", INVALID_LINK)], INVALID_LINK)
        caller = link_caller(target.user_id)
        return restore(fields, wording=wording, actor=caller.name, ip=ip)


def link_caller(user_id: int) -> Caller:
    """Returns the caller for a signed link: acts as the user of the link, within its purpose."""
    return Caller(name="link", user_id=user_id)
