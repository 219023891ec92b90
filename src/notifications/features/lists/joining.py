"""How people join and leave a list: the only code that changes memberships.

Each change locks its people, so that of two changes at once the second one sees the first. A
membership, its entry of the consent ledger and its mail are written in one transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from django.db import transaction
from django.db.models import Sum

from directory.models import (
    ContactPoint,
    ListMembership,
    ListStatus,
    SubscriberList,
    User,
)
from directory.models.contact import ContactKind, ContactState
from notifications.domain.callers import Caller
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.engine.shared_rows import category_by_key
from notifications.features.access.service import require_scope
from notifications.features.enrolling.entering import enter_by_list
from notifications.features.lists.confirmation_mail import (
    DAY,
    MOST_A_DAY,
    Asked,
    send_confirmations,
)
from notifications.features.preferences.consents import WRITE as WRITE_CONSENTS
from notifications.features.preferences.consents import (
    entries_for,
    set_consent_of,
    write_consents,
    write_entry,
)
from notifications.infra import clock
from notifications.models import DATA_PROCESSING, MARKETING, ConsentRecord
from notifications.models.audit.entries import NewEntry, write_entries
from notifications.models.delivery.hot_facts import load_listed

AT_ONCE = 500
"""The people of one transaction."""
MAILS_A_DAY = 3
"""Mails that ask one person to confirm one list, in 24 hours."""
_CHANGED = (
    "state",
    "source",
    "consent_id",
    "changed_at",
    "subscribed_at",
    "unsubscribed_at",
    "asked",
    "asked_since",
)


class JoinResult(StrEnum):
    """What became of one person who joins a list."""

    SUBSCRIBED = "subscribed"
    #: A mail asks them to confirm.
    PENDING = "pending"
    UNCHANGED = "unchanged"
    #: They left the list or withdrew a consent, or nothing may be sent to their address.
    OPTED_OUT = "opted_out"
    #: They have no active email address, and must confirm by email.
    NO_ADDRESS = "no_address"
    #: They were asked often enough today.
    THROTTLED = "throttled"
    #: They do not exist, or are not active.
    UNKNOWN = "unknown_user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """Who adds people to a list, and why they may."""

    caller: Caller
    source: str
    #: What the people agreed to; empty without evidence.
    wording: str = ""
    ip: str | None = None
    #: The people themselves ask, or gave a new consent: those who left join again.
    again: bool = False
    #: Those who were asked and did not answer are asked once more.
    ask_again: bool = False


@dataclass(slots=True)
class _Step:
    """One call of `join`: what it knows, and what it changes."""

    found: SubscriberList
    joining: Joining
    now: datetime
    points: dict[int, ContactPoint]
    #: People who may join only with a new consent.
    barred: Collection[int]
    #: The mails of the last 24 hours for all lists, by person.
    asked_today: Mapping[int, int]
    subscribed: list[ListMembership] = field(default_factory=list)
    asked: list[ListMembership] = field(default_factory=list)

    def result_of(self, row: ListMembership) -> JoinResult:
        """Decides on one membership and changes it, without saving it."""
        is_waiting = row.state == ListStatus.PENDING and self.found.double_opt_in
        if row.state == ListStatus.SUBSCRIBED or (is_waiting and not self.joining.ask_again):
            return JoinResult.UNCHANGED
        has_left = row.state == ListStatus.UNSUBSCRIBED or row.user_id in self.barred
        if has_left and not self.joining.again:
            return JoinResult.OPTED_OUT
        if self.found.double_opt_in:
            return self._ask(row)
        row.move(ListStatus.SUBSCRIBED, source=self.joining.source, at=self.now)
        self.subscribed.append(row)
        return JoinResult.SUBSCRIBED

    def _ask(self, row: ListMembership) -> JoinResult:
        point = self.points.get(row.user_id)
        if point is None or point.state != ContactState.ACTIVE:
            return JoinResult.NO_ADDRESS
        if row.asked_since is None or row.asked_since <= self.now - DAY:
            row.asked, row.asked_since = 0, self.now
        of_all = self.asked_today.get(row.user_id, 0)
        if row.asked >= MAILS_A_DAY or of_all >= MOST_A_DAY:
            return JoinResult.THROTTLED
        row.asked += 1
        if row.state != ListStatus.PENDING:
            row.move(ListStatus.PENDING, source=self.joining.source, at=self.now)
            row.consent_id = None
        self.asked.append(row)
        return JoinResult.PENDING


def join(found: SubscriberList, user_ids: Sequence[int], joining: Joining) -> dict[int, JoinResult]:
    """Adds at most AT_ONCE people to a list; returns what became of each. Safe to repeat.

    Without double opt-in they are on it at once, and a wording also gives the consents that the
    list's category needs. With it, a mail asks each of them to confirm.
    """
    now = clock.now()
    with transaction.atomic():
        people = lock_people(user_ids)
        results = dict.fromkeys(user_ids, JoinResult.UNKNOWN)
        rows = ListMembership.objects.filter(list=found, user_id__in=people)
        held = {row.user_id: row for row in rows}
        points = _emails_of(people)
        barred = () if joining.again else _barred(found, people, points)
        today = _asked_since(people, now - DAY) if found.double_opt_in else {}
        step = _Step(found, joining, now, points, barred, today)
        for person in people:
            row = held.get(person) or ListMembership(list=found, user_id=person, state="")
            results[person] = step.result_of(row)
        _record_consents(step)
        _save([*step.subscribed, *step.asked])
        enter_by_list(found.pk, [row.user_id for row in step.subscribed], now=now)
        _record_asked(step)
        asked = [Asked(row.user_id, points[row.user_id].address) for row in step.asked]
        send_confirmations(found, asked, now=now)
    return results


def leave(
    found: SubscriberList,
    user_id: int,
    *,
    caller: Caller,
    source: str,
    wording: str = "",
    ip: str | None = None,
) -> bool:
    """Takes a person off a list, for good: no import adds them again. Returns whether it changed.

    Who is not on the list yet is recorded as having left. An erased person changes nothing.
    """
    now = clock.now()
    with transaction.atomic():
        if not lock_people([user_id], only_active=False):
            return False
        row = ListMembership.objects.filter(list=found, user_id=user_id).first()
        row = row or ListMembership(list=found, user_id=user_id)
        if row.state == ListStatus.UNSUBSCRIBED:
            return False
        entry = write_entry(
            user_id=user_id,
            purpose=found.purpose,
            granted=False,
            wording=wording,
            source=source,
            actor=caller.name,
            ip=ip,
            at=now,
        )
        row.move(ListStatus.UNSUBSCRIBED, source=source, at=now)
        row.consent_id = entry.pk
        row.save()
    return True


def lock_people(user_ids: Sequence[int], *, only_active: bool = True) -> list[int]:
    """Locks people until the transaction ends; returns the ids of those who exist, in order."""
    rows = User.objects.select_for_update(no_key=True).filter(pk__in=list(user_ids))
    if only_active:
        rows = rows.filter(is_active=True)
    return list(rows.order_by("pk").values_list("pk", flat=True))


def _emails_of(people: Sequence[int]) -> dict[int, ContactPoint]:
    points = ContactPoint.objects.filter(user_id__in=people, kind=ContactKind.EMAIL)
    return {point.user_id: point for point in points}


def _asked_since(people: Sequence[int], moment: datetime) -> dict[int, int]:
    """Returns how many mails have asked each person for any list, without those never asked."""
    rows = ListMembership.objects.filter(user_id__in=people, asked_since__gt=moment)
    sums = rows.values("user_id").order_by("user_id").annotate(mails=Sum("asked"))
    return {each["user_id"]: each["mails"] for each in sums}


def _barred(
    found: SubscriberList, people: Sequence[int], points: dict[int, ContactPoint]
) -> set[int]:
    """Returns who may join only with a new consent.

    They withdrew what the list's category needs, or their address is suppressed or unsubscribed.
    """
    wanted = {"all", found.purpose, f"category:{found.category}", *_consents_of(found)}
    entries = ConsentRecord.objects.filter(user_id__in=people, purpose__in=wanted)
    newest: dict[tuple[int, str], bool] = {}
    for user_id, purpose, granted in entries.order_by("pk").values_list(
        "user_id", "purpose", "granted"
    ):
        newest[user_id, purpose] = granted
    barred = {user_id for (user_id, _), granted in newest.items() if not granted}
    listed = load_listed(ContactKind.EMAIL, {point.address for point in points.values()})
    for person, point in points.items():
        if point.address in listed or point.state == ContactState.UNSUBSCRIBED:
            barred.add(person)
    return barred


def _consents_of(found: SubscriberList) -> list[str]:
    """Returns the purposes of the consents without which the list's mails are not sent."""
    facts = category_by_key(found.category)
    if facts is None:
        return [DATA_PROCESSING, MARKETING]
    needed = [DATA_PROCESSING] if facts.terms.consent_needed else []
    return [*needed, MARKETING] if facts.terms.marketing else needed


def check_evidence(
    found: SubscriberList, caller: Caller, wording: str, *, own: bool = False, again: bool = False
) -> None:
    """Checks what a caller gives to add people. own: the caller is the person alone.

    Where no mail asks them, and the category rests on consent or is marketing, the wording sets
    consents for all mails. Others than the person then need the right to change consents.

    Raises:
        Refused: missing_scope. InvalidRequest: required, for a wording that is blank, or missing
            for those consents or for people who join `again`.
    """
    gives_consents = not found.double_opt_in and bool(_consents_of(found))
    if (wording or gives_consents or again) and not wording.strip():
        detail = "is required: the text that the users agreed to"
        raise InvalidRequest([FieldError("wording", "required", detail)])
    if gives_consents and not own:
        require_scope(caller, WRITE_CONSENTS)


def _record_consents(step: _Step) -> None:
    """Writes the ledger of those who are on the list now, and the consents that it needs."""
    joining, rows = step.joining, sorted(step.subscribed, key=lambda row: row.user_id)
    if not rows:
        return
    people = [row.user_id for row in rows]
    entry = ConsentRecord(
        purpose=step.found.purpose,
        granted=True,
        wording=joining.wording,
        source=joining.source,
        actor=joining.caller.name,
        ip=joining.ip,
        at=step.now,
    )
    for row, made in zip(rows, write_consents(entries_for(people, entry)), strict=True):
        row.consent_id = made.pk
    if not joining.wording:
        return
    for purpose in _consents_of(step.found):
        set_consent_of(
            people,
            granted=True,
            source=joining.source,
            wording=joining.wording,
            caller=joining.caller,
            at=step.now,
            purpose=purpose,
        )


def _record_asked(step: _Step) -> None:
    """Writes who asked whom to confirm: no consent is recorded before they do."""
    entries = [
        NewEntry(
            actor=step.joining.caller.name,
            action="list.asked",
            target=f"list:{step.found.uuid}",
            subject_id=row.user_id,
            after={"source": step.joining.source},
        )
        for row in step.asked
    ]
    if entries:
        write_entries(entries, at=step.now)


def _save(rows: Sequence[ListMembership]) -> None:
    known = [row for row in rows if row.pk is not None]
    ListMembership.objects.bulk_create([row for row in rows if row.pk is None])
    ListMembership.objects.bulk_update(known, _CHANGED)
