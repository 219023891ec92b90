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
from notifications.infra.links import LinkKind, read_link
from notifications.services.preferences import PreferenceService
from notifications.shared_rows import category_by_key

BROKEN = "this link was not made here, or was cut off: nothing was changed; copy the whole link"
ONE_CLICK, PAGE = "one_click", "unsubscribe_page"
"""Sources in the ledger: a mail program's button, and the page behind the link."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What a link would end: one category (its key and name), or everything but what is urgent."""

    user_id: int
    category: str
    name: str


class UnsubscribeService:
    """Reads and follows links to unsubscribe."""

    def read(self, *, token: str) -> Ending | None:
        """What a token would end; None for one that was not made here. Asks nothing of the person,
        who may be gone by now, and changes nothing."""
        fields = read_link(LinkKind.UNSUBSCRIBE, token, 2)
        if fields is None:
            return None
        facts = category_by_key(fields[1]) if fields[1] else None
        # The tag proves that these fields are ours and have the form that we gave them.
        return Ending(int(fields[0]), fields[1], facts.name or facts.key if facts else fields[1])

    def follow(
        self,
        *,
        token: str,
        source: str,
        category: str = "",
        everything: bool = False,
        ip: str | None = None,
    ) -> bool:
        """Ends what the token names, or another category of the same person, or everything.

        Once: a second time changes nothing and writes nothing. Answers whether anything changed.

        Raises:
            InvalidRequest: invalid_link, for a token that was not made here.
        """
        ending = self.read(token=token)
        if ending is None:
            raise InvalidRequest([FieldError("token", "invalid_link", BROKEN)], BROKEN)
        key = "" if everything else category or ending.category
        if key and category_by_key(key) is None:
            return False  # retired since: nothing can be sent in it
        with transaction.atomic():
            user = User.objects.filter(pk=ending.user_id).first()
            if user is None:
                return False
            return PreferenceService().unsubscribe(
                caller=link_caller(user.pk),
                source=source,
                category=key or None,
                ip=ip,
            )


def link_caller(user_id: int) -> Caller:
    """Whoever holds a signed link: the person it was made for, as far as the link goes."""
    return Caller(name="link", user_id=user_id)
