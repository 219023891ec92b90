"""Launching a broadcast: its audience becomes recipients, recipients become messages.

    begin            draft -> sending, with a job that stores the text once for all messages
    write_snapshot   the audience as recipients, a thousand people a transaction
    create_messages  notifications, messages and batches, five hundred recipients a transaction

Every transaction locks the launch, reads how far it has come, does the next part and stores the new
position. So a process may die at any instant and another continues. Several processes may run at
once and write nothing twice. A pause or a cancellation waits for one such part at most.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

import structlog
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Greatest, Least

from directory.audiences import (
    Audience,
    AudienceError,
    Rule,
    list_of,
    parse_audience,
    parse_target,
)
from directory.models import SubscriberList
from notifications.domain.broadcast_lifecycle import EDITABLE, BroadcastStatus
from notifications.domain.campaigns.lifecycle import CampaignStatus
from notifications.domain.channels import PERSON_CHANNELS, Priority
from notifications.domain.errors import Conflict, FieldError, InvalidRequest, NotFound
from notifications.engine.shared_rows import category_by_key, category_keys
from notifications.features.audiences.service import invalid_audience
from notifications.features.broadcasts.delivery.choices import by_order, placed_by_choice
from notifications.features.broadcasts.delivery.intents import (
    CALLS,
    build_intent,
    list_option,
    make_job,
    split_channels,
)
from notifications.features.broadcasts.delivery.pacing import next_part, paced_until
from notifications.features.broadcasts.delivery.unchanged import lock_unchanged
from notifications.features.experiments.placing import load_campaign_placings, load_placings
from notifications.infra import clock
from notifications.intake.accept import Accepted, AssignedVariant, Intent, SendTarget, accept
from notifications.intake.validate import unknown_category
from notifications.models import (
    Broadcast,
    BroadcastRecipient,
    Campaign,
    Job,
    NotificationTemplate,
    change_broadcast_status,
    reserve_keys,
)
from notifications.models.sources.broadcast import MAX_MESSAGE
from notifications.models.sources.recipient_states import lock_launch
from notifications.models.sources.recipients import (
    Unreported,
    assign_keys,
    insert_recipients,
    recipients_without_messages,
)

SNAPSHOT_BATCH = 1_000
MESSAGE_BATCH = 500
log = structlog.get_logger("carillon.broadcast")


def begin(
    broadcast_id: int,
    *,
    now: datetime,
    only_from: Collection[BroadcastStatus] = EDITABLE,
    is_due: bool = False,
) -> Broadcast:
    """Moves a broadcast to sending; `continue_launch` does the rest.

    Args:
        only_from: the states from which it may begin.
        is_due: whether its scheduled time must have come.

    Raises:
        NotFound: unknown_broadcast.
        Conflict: broadcast_status, when it was launched, cancelled or changed meanwhile.
        InvalidRequest: with every error of audience, channels and category; no_recipients.
    """
    broadcast = find_broadcast(broadcast_id)
    check_terms(broadcast)
    with_people = BroadcastRecipient.objects.filter(broadcast=broadcast).exists()
    meant, list_id = 0, broadcast.list_id
    if not with_people:
        audience = resolve_audience(broadcast, now=now)
        meant, list_id = audience.count(), list_of(audience.rule)
    if not with_people and not meant:
        group = broadcast.target_group
        detail = f"No recipients found for group {group}"
        raise InvalidRequest([FieldError("target_group", "no_recipients", detail)], detail)
    with transaction.atomic():
        locked = lock_unchanged(broadcast, allowed=only_from, due_at=now if is_due else None)
        _check_campaign(locked)
        # In a draft recipient_count was the size of the audience.
        people = BroadcastRecipient.objects.filter(broadcast=broadcast_id).count()
        job = make_job(locked, now=now, total=people if locked.snapshot_done else 0)
        values = {"sent_at": now, "job": job, "pace": [[now.timestamp(), 0]]}
        values |= {"recipient_count": people, "meant_count": max(meant, people)}
        is_shown = locked.in_archive and not locked.is_test
        values |= {"list_id": list_id, "in_archive": is_shown and _has_archive(list_id)}
        change_broadcast_status(broadcast_id, BroadcastStatus.SENDING, values=values)
    return find_broadcast(broadcast_id)


def _check_campaign(broadcast: Broadcast) -> None:
    """Raises Conflict where the campaign of a broadcast is not running. Its row is read now.

    A pause that comes later waits for the lock of the broadcast, and pauses it then.
    """
    rows = Campaign.objects.filter(pk=broadcast.campaign_id or 0)
    if broadcast.campaign_id and not rows.filter(status=CampaignStatus.RUNNING.value).exists():
        raise Conflict("Its campaign is not running", code="broadcast_status")


OF_LIST = ("list_id", "in_archive")


def set_list(broadcast: Broadcast, audience: Audience) -> None:
    """Sets the columns that follow from the mailing list of an audience, without saving them.

    Only what goes to the whole list is shown in its archive, and only where the list is public and
    has an archive, both when the broadcast is written and when it begins: its author knew.
    """
    broadcast.list_id = list_of(audience.rule)
    is_whole = broadcast.target_group == Broadcast.TargetGroup.LIST
    broadcast.in_archive = is_whole and _has_archive(broadcast.list_id)


def _has_archive(list_id: int | None) -> bool:
    rows = SubscriberList.objects.filter(pk=list_id or 0, is_public=True, has_archive=True)
    return rows.exists()


def check_terms(broadcast: Broadcast) -> None:
    """Raises the errors that a launch would raise, before it.

    Raises:
        InvalidRequest: with every error of message, priority, channels, delivery and category.
    """
    faults = []
    if not 0 < len(broadcast.message.strip()) <= len(broadcast.message) <= MAX_MESSAGE:
        faults.append(FieldError("message", "invalid", f"must be 1 to {MAX_MESSAGE:,} characters"))
    if broadcast.priority not in list(Priority):
        faults.append(FieldError("priority", "invalid_priority", "must be 1, 2, 3 or 4"))
    known = [str(channel) for channel in PERSON_CHANNELS]
    channels = broadcast.channels
    if not isinstance(channels, list) or not channels or set(channels) - set(known):
        detail = f"must list channels of {', '.join(known)}"
        faults.append(FieldError("channels", "invalid_channel", detail))
    elif len(set(channels)) < len(channels):
        faults.append(FieldError("channels", "duplicate_channel", "names a channel twice"))
    if broadcast.delivery not in Broadcast.Delivery.values:
        faults.append(FieldError("delivery", "invalid", "must be all or first"))
    if category_by_key(broadcast.category) is None:
        faults += unknown_category(broadcast.category, category_keys()).errors
    if faults:
        raise InvalidRequest(faults)


def read_rule(broadcast: Broadcast) -> Rule:
    """Returns the audience rule of a broadcast.

    Raises:
        InvalidRequest: with every error.
    """
    try:
        if broadcast.target_group == Broadcast.TargetGroup.COMPOSED:
            return parse_audience(broadcast.target_filter, path="target_filter")
        return parse_target(broadcast.target_group, broadcast.target_filter)
    except AudienceError as error:
        raise invalid_audience(error) from error


def resolve_audience(broadcast: Broadcast, *, now: datetime) -> Audience:
    """Returns the audience of a broadcast at a moment.

    Raises:
        InvalidRequest: with every error.
    """
    try:
        return Audience.of_rule(read_rule(broadcast), now=now)
    except AudienceError as error:
        raise invalid_audience(error) from error


def continue_launch(broadcast_id: int, *, until: float | None = None) -> bool:
    """Continues a launch; returns True once every recipient has messages.

    until: the monotonic time at which this stops; the next call does the rest.
    """
    done = write_snapshot(broadcast_id, until=until) and create_messages(broadcast_id, until=until)
    Broadcast.objects.filter(pk=broadcast_id).update(launch_moved_at=None)
    return done


def write_snapshot(broadcast_id: int, *, until: float | None = None) -> bool:
    """Writes the audience as recipients; returns True once all are written.

    The audience is that of the moment at which the broadcast began, however late a part is written.

    Raises:
        InvalidRequest: the audience names something that does not exist any more.
    """
    broadcast = find_broadcast(broadcast_id)
    if broadcast.snapshot_done or broadcast.status != BroadcastStatus.SENDING:
        return broadcast.snapshot_done
    audience = resolve_audience(broadcast, now=broadcast.sent_at or clock.now())
    pages = audience.stream(after=broadcast.snapshot_after)
    for people in parts_of(pages, SNAPSHOT_BATCH):
        if not _write_recipients(broadcast_id, people) or _is_over(until):
            return False
    with transaction.atomic():
        if _lock_and_read(broadcast_id).status != BroadcastStatus.SENDING:
            return False
        total = BroadcastRecipient.objects.filter(broadcast=broadcast_id).count()
        # A caller that sent to others meanwhile may have passed people who were written later.
        Broadcast.objects.filter(pk=broadcast_id).update(
            snapshot_done=True, recipient_count=total, messaged_after=0
        )
        Job.objects.filter(broadcast=broadcast_id).update(total=total)
    return True


def _write_recipients(broadcast_id: int, people: Sequence[int]) -> bool:
    """Writes one part of the snapshot; False where the broadcast is not sending any more."""
    with transaction.atomic():
        locked = _lock_and_read(broadcast_id)
        if locked.status != BroadcastStatus.SENDING:
            return False
        new = [person for person in people if person > locked.snapshot_after]
        if new:  # else another process has written them
            created = insert_recipients(broadcast_id, new, reserve_keys(len(new)))
            _store_position(
                broadcast_id,
                snapshot_after=new[-1],
                recipient_count=locked.recipient_count + created,
            )
    return True


def create_messages(broadcast_id: int, *, until: float | None = None) -> bool:
    """Creates the messages of all recipients; returns True once all have them."""
    while not create_next_messages(broadcast_id, MESSAGE_BATCH):
        if _is_over(until):
            break
    return find_broadcast(broadcast_id).messaged_done


def create_next_messages(broadcast_id: int, size: int) -> bool:
    """Creates the messages of the next recipients, of `size` at most.

    Returns True when all recipients have messages, or when the broadcast is not sending now.
    """
    with transaction.atomic():
        locked = _lock_and_read(broadcast_id)
        if locked.messaged_done or locked.status != BroadcastStatus.SENDING:
            return True
        part = next_part(locked, size, now=clock.now())
        if not part.size:
            return True
        after, limit = locked.messaged_after, part.size
        waiting = recipients_without_messages(broadcast_id, after=after, limit=limit)
        # Another process may send to people while the rest of the snapshot is being written.
        last = locked.snapshot_done and len(waiting) < limit
        if not waiting:
            _store_position(broadcast_id, messaged_done=last)
            return True
        _accept(locked, waiting)
        position = {"messaged_after": waiting[-1].person, "messaged_done": last}
        until = paced_until(locked, part, len(waiting))
        _store_position(broadcast_id, **position, throttled_until=until)
    return False


def _placed(
    broadcast: Broadcast,
    intent: Intent,
    people: Sequence[int],
    channels: Sequence[str],
    context: dict[str, Any],
) -> dict[int, AssignedVariant | None]:
    """Returns the places of people in the campaign's own A/B test, or in that of the template."""
    if intent.template_version_id is None:
        return {}
    rows = NotificationTemplate.objects.filter(versions=intent.template_version_id)
    template = rows.only("pk").first()
    if template is None:
        return {}
    if broadcast.part and broadcast.campaign_id is not None:
        placings = load_campaign_placings(broadcast.campaign_id, template.pk)
    else:
        placings = load_placings([template], people)
    return {
        person: placings.assigned(intent, template.pk, person, channels, context)
        for person in people
    }


def _accept(broadcast: Broadcast, waiting: Sequence[Unreported]) -> None:
    channels, options = split_channels(broadcast)
    job = Job.objects.get(broadcast=broadcast)
    own = (job.context or {}) if broadcast.template_version_id is None else {}
    shared = {**options, **own.get("options", {}), **list_option(broadcast)}
    calls = own.get("calls", CALLS)
    keys = {
        each.person: key for each, key in zip(waiting, _keys_of(broadcast, waiting), strict=True)
    }
    chosen = placed_by_choice(broadcast, waiting)
    for order, some in by_order(waiting, channels, shared).items():
        intent = build_intent(broadcast, order.channels, order.options(shared), calls=calls)
        placed = chosen
        if placed is None:  # then all have one order
            placed = _placed(broadcast, intent, some, order.channels, job.context or {})
        targets = [
            SendTarget(person, order.channels, key=keys[person], assigned=placed.get(person))
            for person in some
        ]
        _count_accepted(job, accept(intent, targets, now=clock.now(), job=job), len(targets))


def _count_accepted(job: Job, accepted: Accepted, count: int) -> None:
    first, last = min(accepted.message_keys), max(accepted.message_keys)
    Job.objects.filter(pk=job.pk).update(
        accepted=F("accepted") + count,
        first_key=Least(Coalesce("first_key", first), first),
        last_key=Greatest(Coalesce("last_key", last), last),
    )


def _keys_of(broadcast: Broadcast, waiting: Sequence[Unreported]) -> list[int]:
    """Returns the notifications' keys; rows that a caller wrote itself get theirs now."""
    without = [each.person for each in waiting if each.key is None]
    assigned = dict(zip(without, reserve_keys(len(without)) if without else [], strict=True))
    if assigned:
        assign_keys(broadcast.pk, list(assigned.items()))
    return [assigned[each.person] if each.key is None else each.key for each in waiting]


def _store_position(broadcast_id: int, **values: Any) -> None:
    Broadcast.objects.filter(pk=broadcast_id).update(launch_moved_at=clock.now(), **values)


def find_broadcast(broadcast_id: int) -> Broadcast:
    """Reads the row of a broadcast.

    Raises:
        NotFound: unknown_broadcast.
    """
    found = Broadcast.objects.filter(pk=broadcast_id).first()
    if found is None:
        raise NotFound(f"Broadcast {broadcast_id} not found", code="unknown_broadcast")
    return found


def _lock_and_read(broadcast_id: int) -> Broadcast:
    """Locks the launch until the transaction ends; returns the row as it is then."""
    lock_launch(broadcast_id)
    return find_broadcast(broadcast_id)


def _is_over(until: float | None) -> bool:
    return until is not None and clock.monotonic() >= until


def parts_of(pages: Iterator[list[int]], size: int) -> Iterator[list[int]]:
    """Yields the ids of the pages in lists of `size`; the last list may be shorter."""
    rest: list[int] = []
    for page in pages:
        rest += page
        while len(rest) >= size:
            yield rest[:size]
            rest = rest[size:]
    if rest:
        yield rest
