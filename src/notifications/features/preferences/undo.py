"""Undoes an unsubscribe that was made on the page of a link: restores the exact preferences.

Nothing is stored for it. The signed token of the button holds the preferences from before and the
ledger entry of the unsubscribe. The ledger is append-only: an undo writes an entry of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from django.db import transaction

from directory.models import User
from notifications.domain.preferences import SWITCHES
from notifications.features.preferences.audited import recorded_preferences
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
"""Sources in the ledger: an unsubscribe that can be undone, and a repetition of it."""
UNDO_LIFETIME = timedelta(hours=24)
_FLAGS = {"n": "notifications_enabled", "m": "marketing_enabled"}
_NO_ROW = "none"
_SUFFIX = "_enabled"


class UndoResult(StrEnum):
    """The result of an undo."""

    DONE = "done"
    #: The 24 hours are over, or the user made a newer choice.
    LATE = "late"


@dataclass(frozen=True, slots=True)
class PreferenceSnapshot:
    """The preferences that an unsubscribe may change."""

    #: The general flags that are on.
    on: frozenset[str]
    #: The category's switches that are on and those that were chosen, `push-email:push-email-sms`;
    #: `none` without a row, empty without a category.
    row: str

    def flags_off_since(self, now: PreferenceSnapshot) -> tuple[str, ...]:
        """Returns the general flags that were on in this snapshot and are off in `now`."""
        return tuple(name for name in _FLAGS.values() if name in self.on - now.on)


def read_snapshot(user_id: int, category: str) -> PreferenceSnapshot:
    """Returns the current snapshot; locks the user's row until the transaction ends."""
    return _snapshot(locked_preferences(user_id), category)


def make_undo_token(
    user_id: int, category: str, before: PreferenceSnapshot, flags: tuple[str, ...]
) -> str:
    """Returns the token that restores `before`. Runs in the transaction of the unsubscribe."""
    own = ConsentRecord.objects.filter(user_id=user_id, purpose=_purpose(category))
    entry = own.order_by("-pk").values_list("pk", flat=True)[0]
    ends = int((clock.now() + UNDO_LIFETIME).timestamp())
    off = "".join(short for short, name in _FLAGS.items() if name in flags)
    return sign_link(LinkKind.UNDO, str(user_id), str(entry), str(ends), off, before.row, category)


def restore(fields: tuple[str, ...], *, wording: str, actor: str, ip: str | None) -> UndoResult:
    """Restores what a token of six fields holds. Writes nothing when it is already so."""
    number, entry, ends, off, before, category = fields
    user_id, flags = int(number), [_FLAGS[short] for short in off]
    with transaction.atomic():
        if not User.objects.filter(pk=user_id, is_active=True).exists():
            return UndoResult.LATE
        row = locked_preferences(user_id)
        now = _snapshot(row, category)
        if now.on.issuperset(flags) and now.row == before:
            return UndoResult.DONE
        if int(ends) <= clock.now().timestamp() or _changed_since(
            user_id, int(entry), flags, category
        ):
            return UndoResult.LATE
        with recorded_preferences(user_id, "preferences.restored", actor):
            for name in flags:
                setattr(row, name, True)
            row.save()
            if category:
                _restore_category(user_id, category, before)
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
    return UndoResult.DONE


def close_undo(user_id: int, category: str, *, wording: str, actor: str, ip: str | None) -> None:
    """Ends the undo of an earlier unsubscribe on a page, because the same was repeated.

    Two people may be at work: a forwarded mail has the links of its recipient. Writes one entry.
    """
    purpose = _purpose(category)
    last = ConsentRecord.objects.filter(user_id=user_id, purpose=purpose).order_by("-pk").first()
    if last is None or last.source != PAGE or last.at <= clock.now() - UNDO_LIFETIME:
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


def _changed_since(user_id: int, entry: int, flags: list[str], category: str) -> bool:
    """Returns whether the user made a newer choice that an undo would overrule.

    For marketing as a whole, every newer entry counts.
    """
    since = ConsentRecord.objects.filter(user_id=user_id, pk__gt=entry)
    if "marketing_enabled" not in flags:
        since = since.filter(purpose=_purpose(category))
    return since.exists()


def _purpose(category: str) -> str:
    return f"category:{category}" if category else "all"


def _snapshot(row: UserNotificationPreference, category: str) -> PreferenceSnapshot:
    on = frozenset(name for name in _FLAGS.values() if getattr(row, name))
    if not category:
        return PreferenceSnapshot(on, "")
    rows = NotificationCategoryPreference.objects.filter(user_id=row.user_id, category=category)
    own = rows.first()
    if own is None:
        return PreferenceSnapshot(on, _NO_ROW)
    parts = ([name for name in SWITCHES if getattr(own, name)], sorted(own.chosen.split()))
    return PreferenceSnapshot(
        on, ":".join("-".join(map(_without_suffix, names)) for names in parts)
    )


def _restore_category(user_id: int, category: str, before: str) -> None:
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


def _without_suffix(name: str) -> str:
    return name.removesuffix(_SUFFIX)
