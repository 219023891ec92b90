"""UnsubscribeService: what the signed links of mails do. A link proves whose it is; nobody logs in.

A token that was not made here, or was cut off, is told: nothing was changed. One that was is always
answered alike, also when its person was erased or its category retired.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from directory.models import User
from notifications.domain.callers import Caller
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.engine.shared_rows import category_by_key
from notifications.features.preferences.link_holders import Holder, holder_of
from notifications.features.preferences.service import PreferenceService
from notifications.features.preferences.undo import PAGE, Undone, bring_back, state_of, undo_token
from notifications.infra.links import LinkKind, read_link

BROKEN = "this link was not made here, or was cut off: nothing was changed; copy the whole link"
ONE_CLICK = "one_click"
"""Source in the ledger: a mail program's button."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What a link would end: one category (its key and name), or everything but what is urgent.

    mark: of the address that the link was sent to; empty in links of long ago.
    """

    user_id: int
    category: str
    name: str
    mark: str


@dataclass(frozen=True, slots=True)
class Ended:
    """What a link has ended. flags: what it turned off in general, by its name. undo: the token
    that brings back what was there; empty where nothing changed, or nobody is shown a button."""

    changed: bool = False
    flags: tuple[str, ...] = ()
    undo: str = ""


class UnsubscribeService:
    """Reads and follows links to unsubscribe."""

    def read(self, *, token: str) -> Ending | None:
        """What a token would end; None for one that was not made here. Asks nothing of the person,
        who may be gone by now, and changes nothing."""
        # The tag proves that these fields are ours and have the form that we gave them.
        fields = read_link(LinkKind.UNSUBSCRIBE, token, 3)
        if fields is None:
            fields = read_link(LinkKind.UNSUBSCRIBE, token, 2)
            if fields is None:
                return None
        number, category, mark = (*fields, "")[:3]
        facts = category_by_key(category) if category else None
        name = facts.name or facts.key if facts else category
        return Ending(int(number), category, name, mark)

    def holder(self, *, ending: Ending) -> Holder:
        """Whom the page of a link speaks to; nobody where the address is theirs no more."""
        return holder_of(ending.user_id, ending.mark)

    def follow(
        self,
        *,
        token: str,
        source: str,
        category: str = "",
        everything: bool = False,
        wording: str = "",
        ip: str | None = None,
    ) -> Ended:
        """Ends what the token names, or another category of the same person, or everything.

        Once: a second time changes nothing; it only closes the undo of the first. wording: what the
        person was shown.

        Raises:
            InvalidRequest: invalid_link, for a token that was not made here.
        """
        ending = self.read(token=token)
        if ending is None:
            raise InvalidRequest([FieldError("token", "invalid_link", BROKEN)], BROKEN)
        key = "" if everything else category or ending.category
        if key and category_by_key(key) is None:
            return Ended()  # retired since: nothing can be sent in it
        with transaction.atomic():
            user = User.objects.filter(pk=ending.user_id).first()
            if user is None:
                return Ended()
            before = state_of(user.pk, key) if source == PAGE else None
            changed = PreferenceService().unsubscribe(
                caller=link_caller(user.pk),
                source=source,
                category=key or None,
                wording=wording,
                ip=ip,
            )
            if not changed or before is None:
                return Ended(changed)
            flags = before.flags_off_since(state_of(user.pk, key))
            return Ended(changed, flags, undo_token(user.pk, key, before, flags))

    def undo(self, *, token: str, undo: str, wording: str = "", ip: str | None = None) -> Undone:
        """Brings back what was there before the page of this link ended it.

        A second time changes nothing and writes nothing.

        Raises:
            InvalidRequest: invalid_link, for a token that was not made here, or for somebody else.
        """
        ending = self.read(token=token)
        fields = read_link(LinkKind.UNDO, undo, 6)
        if ending is None or fields is None or int(fields[0]) != ending.user_id:
            raise InvalidRequest([FieldError("undo", "invalid_link", BROKEN)], BROKEN)
        caller = link_caller(ending.user_id)
        return bring_back(fields, wording=wording, actor=caller.name, ip=ip)


def link_caller(user_id: int) -> Caller:
    """Whoever holds a signed link: the person it was made for, as far as the link goes."""
    return Caller(name="link", user_id=user_id)
