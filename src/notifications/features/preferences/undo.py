"""Undoing what a page of a link ended: exactly what was there comes back.

Nothing is stored for it. The button's token holds, signed, what stood there before and which entry
of the ledger ended it. The ledger is only added to: what comes back is an entry of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from django.db import transaction

from directory.models import User
from notifications.domain.preferences import SWITCHES
from notifications.features.preferences.consents import locked_preferences, write_entry
from notifications.infra import clock
from notifications.infra.links import LinkKind, sign_link
from notifications.models import (
    ConsentRecord,
    NotificationCategoryPreference,
    UserNotificationPreference,
)

SOURCE = "unsubscribe_undo"
PAGE, AGAIN = "unsubscribe_page", "unsubscribe_again"
"""Sources in the ledger of what can be undone, and of who ends the same once more."""
LASTS = timedelta(hours=24)
_FLAGS = {"n": "notifications_enabled", "m": "marketing_enabled"}
_NO_ROW = "none"
_SUFFIX = "_enabled"


class Undone(StrEnum):
    """What became of an undo. late: its day is over, or something newer was said since."""

    DONE = "done"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class State:
    """What an unsubscribe may change. row: the category's switches that are on and those that were
    chosen, `push-email:push-email-sms`; `none` without a row, empty without a category."""

    on: frozenset[str]
    row: str

    def flags_off_since(self, now: State) -> tuple[str, ...]:
        """The general flags that were on here and are off now."""
        return tuple(name for name in _FLAGS.values() if name in self.on - now.on)


def state_of(user_id: int, category: str) -> State:
    """How it stands; the person's row is locked until the transaction ends."""
    return _state(locked_preferences(user_id), category)


def undo_token(user_id: int, category: str, before: State, flags: tuple[str, ...]) -> str:
    """The token that brings `before` back; made in the transaction that ended it."""
    own = ConsentRecord.objects.filter(user_id=user_id, purpose=_purpose(category))
    entry = own.order_by("-pk").values_list("pk", flat=True)[0]
    ends = int((clock.now() + LASTS).timestamp())
    off = "".join(letter for letter, name in _FLAGS.items() if name in flags)
    return sign_link(LinkKind.UNDO, str(user_id), str(entry), str(ends), off, before.row, category)


def bring_back(fields: tuple[str, ...], *, wording: str, actor: str, ip: str | None) -> Undone:
    """Does what a token of six fields says, once: where all is as it was, nothing is written."""
    number, entry, ends, off, before, category = fields
    user_id, flags = int(number), [_FLAGS[letter] for letter in off]
    with transaction.atomic():
        if not User.objects.filter(pk=user_id, is_active=True).exists():
            return Undone.LATE
        row = locked_preferences(user_id)
        now = _state(row, category)
        if now.on.issuperset(flags) and now.row == before:
            return Undone.DONE
        if int(ends) <= clock.now().timestamp() or _newer(user_id, int(entry), flags, category):
            return Undone.LATE
        for name in flags:
            setattr(row, name, True)
        row.save()
        if category:
            _put_back(user_id, category, before)
        write_entry(
            user_id=user_id,
            purpose=_purpose(category),
            granted=True,
            wording=wording,
            source=SOURCE,
            actor=actor,
            ip=ip,
            at=clock.now(),
        )
    return Undone.DONE


def close_undo(user_id: int, category: str, *, wording: str, actor: str, ip: str | None) -> None:
    """Somebody ends what is ended already: whoever ended it on a page can undo that no more.

    They may be two: a mail that was forwarded has its links. Written down once.
    """
    purpose = _purpose(category)
    last = ConsentRecord.objects.filter(user_id=user_id, purpose=purpose).order_by("-pk").first()
    if last is None or last.source != PAGE or last.at <= clock.now() - LASTS:
        return
    write_entry(
        user_id=user_id,
        purpose=purpose,
        granted=False,
        wording=wording,
        source=AGAIN,
        actor=actor,
        ip=ip,
        at=clock.now(),
    )


def _newer(user_id: int, entry: int, flags: list[str], category: str) -> bool:
    """Whether the person said something since that this would overrule. Marketing as a whole rests
    on everything that they say."""
    since = ConsentRecord.objects.filter(user_id=user_id, pk__gt=entry)
    if "marketing_enabled" not in flags:
        since = since.filter(purpose=_purpose(category))
    return since.exists()


def _purpose(category: str) -> str:
    return f"category:{category}" if category else "all"


def _state(row: UserNotificationPreference, category: str) -> State:
    on = frozenset(name for name in _FLAGS.values() if getattr(row, name))
    if not category:
        return State(on, "")
    rows = NotificationCategoryPreference.objects.filter(user_id=row.user_id, category=category)
    own = rows.first()
    if own is None:
        return State(on, _NO_ROW)
    parts = ([name for name in SWITCHES if getattr(own, name)], sorted(own.chosen.split()))
    return State(on, ":".join("-".join(map(_short, names)) for names in parts))


def _put_back(user_id: int, category: str, before: str) -> None:
    rows = NotificationCategoryPreference.objects.filter(user_id=user_id, category=category)
    if before == _NO_ROW:
        rows.delete()
        return
    row = rows.get()
    on, chosen = ([f"{each}{_SUFFIX}" for each in part.split("-") if each]
                  for part in before.split(":"))  # fmt: skip
    for name in SWITCHES:
        setattr(row, name, name in on)
    row.chosen = " ".join(chosen)
    row.save()


def _short(name: str) -> str:
    return name.removesuffix(_SUFFIX)
