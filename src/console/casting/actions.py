"""What the forms on the page of a broadcast do. The services are those of the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from django.db import transaction
from django.http import Http404, HttpResponse
from django.utils.translation import gettext as _

from console.casting.broadcasts import PATH
from console.casting.seen import check_seen, seen_of_broadcast
from console.guard import Visit
from console.once import run_once
from console.shell import act
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.features.access.throttles import count_send
from notifications.features.broadcasts.copy import duplicate
from notifications.features.broadcasts.service import BroadcastWorkflow
from notifications.features.broadcasts.trial import send_test_to_caller
from notifications.infra import clock
from notifications.models import Broadcast

LONGEST_NOTE = 1_000
Act = Callable[[Visit, int, datetime], str]


def broadcast_action(visit: Visit, number: int, action: str) -> HttpResponse:
    """Does what a button says, and leads back to the broadcast, or to its copy."""
    if action == "duplicate":
        return _duplicate(visit, number)
    if action not in _ACTIONS:
        raise Http404
    one = f"{PATH}/{number}"
    back = PATH if action == "delete" else one
    work = _ACTIONS[action]
    return act(visit, lambda: work(visit, number, clock.now()), back=back, back_if_refused=one)


def _duplicate(visit: Visit, number: int) -> HttpResponse:
    def make() -> tuple[int, str]:
        done = duplicate(number, caller=visit.caller, now=clock.now())
        return done.data.id, done.message

    return lead_to_copy(visit, make, path=PATH, number=number)


def lead_to_copy(
    visit: Visit, make: Callable[[], tuple[int, str]], *, path: str, number: int
) -> HttpResponse:
    """Makes a copy and leads to it. make: returns its number, and what was done."""
    made: list[int] = []

    def write() -> str:
        key, text = make()
        return f"{key} {text}"

    def work() -> str:
        key, _blank, text = run_once(visit, f"{path}/{number}/duplicate", {}, write).partition(" ")
        made.append(int(key))
        return text

    answer = act(visit, work, back=f"{path}/{number}")
    if made:
        answer["Location"] = f"{path}/{made[0]}"
    return answer


def _lock_as_seen(visit: Visit, number: int) -> None:
    """Locks a broadcast, and checks that it is what the visitor read."""
    BroadcastWorkflow().find(number, caller=visit.caller)
    row = Broadcast.objects.select_for_update().get(pk=number)
    check_seen(visit, seen_of_broadcast(row))


def _send(visit: Visit, number: int, now: datetime) -> str:
    with transaction.atomic():
        _lock_as_seen(visit, number)
        return BroadcastWorkflow().send(number, caller=visit.caller, now=now).message


def _pause(visit: Visit, number: int, now: datetime) -> str:
    return BroadcastWorkflow().pause(number, caller=visit.caller, now=now).message


def _resume(visit: Visit, number: int, now: datetime) -> str:
    return BroadcastWorkflow().resume(number, caller=visit.caller, now=now).message


def _cancel(visit: Visit, number: int, now: datetime) -> str:
    return BroadcastWorkflow().cancel(number, caller=visit.caller, now=now).data.message


def _approve(visit: Visit, number: int, now: datetime) -> str:
    with transaction.atomic():
        _lock_as_seen(visit, number)
        return BroadcastWorkflow().approve(number, caller=visit.caller, now=now).message


def _reject(visit: Visit, number: int, now: datetime) -> str:
    note = read_note(visit)
    return BroadcastWorkflow().reject(number, note=note, caller=visit.caller, now=now).message


def _retry(visit: Visit, number: int, now: datetime) -> str:
    return BroadcastWorkflow().retry(number, caller=visit.caller, now=now).data.message


def _delete(visit: Visit, number: int, now: datetime) -> str:
    BroadcastWorkflow().delete(number, caller=visit.caller, now=now)
    return _("Deleted.")


def _test(visit: Visit, number: int, now: datetime) -> str:
    def send() -> str:
        count_send(kind="send", caller=visit.caller, now=now)
        return send_test_to_caller(number, caller=visit.caller, now=now).data.message

    return run_once(visit, f"{PATH}/{number}/test", {}, send)


def read_note(visit: Visit) -> str:
    """Returns what the author should change.

    Raises:
        InvalidRequest: required.
    """
    note = visit.given("note", longest=LONGEST_NOTE)
    if not note:
        raise InvalidRequest([FieldError("note", "required", _("say what to change"))])
    return note


_ACTIONS: Mapping[str, Act] = {
    "send": _send,
    "pause": _pause,
    "resume": _resume,
    "cancel": _cancel,
    "approve": _approve,
    "reject": _reject,
    "retry": _retry,
    "delete": _delete,
    "test": _test,
}
