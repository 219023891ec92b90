"""Tells people from machines by the evidence of one mail's requests. Pure.

Each request is judged by itself first, and then among the others: a scanner that looks like a
browser is found by the hidden link, by its speed, or by what else it does. Where evidence is weak
the answer is unknown, which no rate counts. A machine with a browser's headers and a person's
timing is not found (docs/tracking.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from notifications.domain.engagement import Actor, EventKind
from notifications.domain.tracking import agents
from notifications.domain.tracking.evidence import TrackingEvidence
from notifications.domain.tracking.networks import is_cloud, scanner_of

VERSION = 3
"""Raised with each change of the rules, so that old evidence can be judged again."""

HONEYPOT_S = 10.0
"""So long before and after a hit of the hidden link, requests are its program's."""
RUN_GAP_S = 5.0
"""Clicks on different links belong to one run while no more time is between them."""
AT_ONCE_S = 0.2
"""No hand clicks two links within this time."""
TOO_QUICK_S = 1.0
QUICK_S = 5.0
QUICK_CLICK_S = 2.0
"""The same for clicks with all headers of a browser: a person may tap what just arrived."""
SOON_S = 600.0
HELD_S = 1_800.0
"""Gateways hold mails for so long, and follow their links then (Suped, 10 to 30 minutes)."""
SAME_ACTOR_S = 60.0
CHECK_S = 8.0
GLANCE_S = 0.5
"""No person clicks so soon after the mail was shown."""
PIXEL_LATE_S = 2.0
"""So long after its click, a program that loads the pixel did not show the mail before."""
READING_S = (1.5, 300.0)
"""So long after a person's mail program loaded the pixel, they click."""
_OF_PERSONS_BROWSER = frozenset({"prefetch"})
"""Reasons that say nothing of other requests: a person's own browser loads pages ahead."""
_PREFETCH = ("purpose", "sec-purpose", "x-moz", "x-purpose")


@dataclass(frozen=True, slots=True)
class Judgement:
    """Who made a request, and the rule that says so."""

    actor: Actor
    reason: str


def classify(
    events: Sequence[TrackingEvidence], *, sent_at: float | None, has_trap: bool = False
) -> list[Judgement]:
    """Returns the judgement of each request of one mail, in their order.

    sent_at: when the mail was handed over, in epoch seconds; None where it is unknown.
    has_trap: whether the mail has the hidden link.
    """
    avoids_trap = has_trap and all(event.kind is not EventKind.HONEYPOT for event in events)
    found = [
        _machine_alone(event, sent_at)
        or _from_cloud(event, events, sent_at)
        or _near_trap(event, events)
        or _with_pixel(event, events)
        for event in events
    ]
    runs = _runs(events)
    for run in runs:
        reason = _machine_run([events[place] for place in run])
        for place in run:
            if reason == "at_once" or not _was_read(events[place], events):
                found[place] = found[place] or reason
    machines = [
        event
        for event, reason in zip(events, found, strict=True)
        if reason and reason not in _OF_PERSONS_BROWSER
    ]
    in_tabs: set[int] = set() if avoids_trap else _unread_runs(runs, events)
    judged = []
    for place, (event, reason) in enumerate(zip(events, found, strict=True)):
        reason = reason or _same_as(event, machines, events)
        if reason:
            judged.append(Judgement(Actor.MACHINE, reason))
        elif doubt := _doubt(event, events, sent_at, in_tabs=place in in_tabs):
            judged.append(Judgement(Actor.UNKNOWN, doubt))
        else:
            judged.append(Judgement(Actor.HUMAN, "plausible"))
    return judged


def _machine_alone(event: TrackingEvidence, sent_at: float | None) -> str:
    """Returns why a request is a machine's, whatever else was requested; empty for no reason."""
    if event.kind is EventKind.HONEYPOT:
        return "honeypot"
    if event.method != "GET":
        return "method"
    if any(
        word in event.headers.get(name, "")
        for name in _PREFETCH
        for word in ("prefetch", "preview")
    ):
        return "prefetch"
    if agents.is_text_browser(event.agent):
        return ""
    if event.kind is EventKind.OPEN and agents.is_reading_proxy(event.agent):
        return ""
    return _known_machine(event) or _too_quick(event, sent_at) or _odd_click(event)


def _known_machine(event: TrackingEvidence) -> str:
    if agents.is_program(event.agent):
        return "program"
    if agents.is_prefetching_proxy(event.agent):
        return "mail_proxy"
    return "network" if scanner_of(event.network) else ""


def _too_quick(event: TrackingEvidence, sent_at: float | None) -> str:
    quick = QUICK_S if _lacks(event) else TOO_QUICK_S
    if sent_at is not None and event.at - sent_at < quick:
        return "too_quick"
    return ""


def _odd_click(event: TrackingEvidence) -> str:
    """Returns why a click is no browser's."""
    if event.kind is EventKind.CLICK:
        if not agents.is_browser(event.agent) and "accept-language" not in event.headers:
            return "agent"
        if "text/html" not in event.headers.get("accept", "text/html"):
            return "accept"
        if agents.is_chromium(event.agent) and _lacks_all(event):
            return "forged"
    return ""


def _from_cloud(
    event: TrackingEvidence, events: Sequence[TrackingEvidence], sent_at: float | None
) -> str:
    """Returns a reason for a click from a cloud soon after the hand-over, unless it was read."""
    if event.kind is not EventKind.CLICK or not is_cloud(event.network):
        return ""
    if _was_read(event, events) or agents.is_text_browser(event.agent):
        return ""
    is_held = sent_at is not None and event.at - sent_at < HELD_S
    return "cloud" if _lacks(event) or is_held else ""


def _is_soon(event: TrackingEvidence, sent_at: float | None) -> bool:
    return sent_at is not None and event.at - sent_at < SOON_S


def _lacks(event: TrackingEvidence) -> bool:
    """Whether a click says to be a browser's and lacks what a browser sends with one."""
    headers = event.headers
    if event.kind is not EventKind.CLICK:
        return False
    if "accept-language" not in headers:
        return True
    expected = agents.sends_fetch_metadata(event.agent) or "sec-fetch-mode" in headers
    by_user = headers.get("sec-fetch-user") == "?1" or not agents.sends_user(event.agent)
    return expected and (headers.get("sec-fetch-mode") != "navigate" or not by_user)


def _lacks_all(event: TrackingEvidence) -> bool:
    """Whether a click has none of what every Chrome sends: it only bears the name of one."""
    return not {"accept-language", "sec-fetch-mode"} & event.headers.keys()


def _is_forged(event: TrackingEvidence) -> bool:
    """Whether a click only bears the name of a browser whose headers no setting leaves out."""
    return agents.is_chromium(event.agent) and _lacks(event)


def _near_trap(event: TrackingEvidence, events: Sequence[TrackingEvidence]) -> str:
    near = [
        other
        for other in events
        if other.kind is EventKind.HONEYPOT and abs(other.at - event.at) <= HONEYPOT_S
    ]
    if near and _was_read(event, events):  # a check at the click of a person, who is elsewhere
        near = [other for other in near if other.network == event.network]
    return "honeypot_window" if near else ""


def _with_pixel(event: TrackingEvidence, events: Sequence[TrackingEvidence]) -> str:
    """Returns a reason where one program loads the pixel and a link as no reader would.

    A mail program loads the pixel when it shows the mail, and a person looks at it before a click.
    """
    others = [each for each in events if each.agent == event.agent and each.kind is not event.kind]
    for other in others:
        click, pixel = (event, other) if event.kind is EventKind.CLICK else (other, event)
        if EventKind.HONEYPOT in (click.kind, pixel.kind):
            continue
        after = click.at - pixel.at
        if 0 <= after < GLANCE_S and click.network == pixel.network:
            return "unread_click"
        if abs(after) < AT_ONCE_S:
            return "unread_click"
        if -PIXEL_LATE_S < after < 0 and click.network == pixel.network:
            return "late_pixel"
    return ""


def _runs(events: Sequence[TrackingEvidence]) -> list[list[int]]:
    """Returns the places of clicks that follow one another quickly, on at least two links."""
    clicks = [place for place, event in enumerate(events) if event.kind is EventKind.CLICK]
    clicks.sort(key=lambda place: events[place].at)
    runs: list[list[int]] = []
    for place in clicks:
        if runs and events[place].at - events[runs[-1][-1]].at <= RUN_GAP_S:
            runs[-1].append(place)
        else:
            runs.append([place])
    return [run for run in runs if len({events[place].link for place in run}) > 1]


def _machine_run(run: Sequence[TrackingEvidence]) -> str:
    """Returns why a run of clicks on several links is a machine's; empty where it may be a hand's.

    A person who opens many links in tabs needs some time for each, and has one browser.
    """
    for first, second in pairwise(run):
        is_one = first.agent == second.agent and first.link != second.link
        if is_one and second.at - first.at < AT_ONCE_S:
            return "at_once"
    if any(_is_forged(event) or is_cloud(event.network) for event in run):
        return "burst"
    is_long = len({event.link for event in run}) > 2
    return "many" if is_long and len({each.agent for each in run}) > 1 else ""


def _was_read(click: TrackingEvidence, events: Sequence[TrackingEvidence]) -> bool:
    """Whether the pixel was loaded from the click's network, as long before as reading takes."""
    return any(
        event.kind is EventKind.OPEN
        and event.network == click.network
        and READING_S[0] <= click.at - event.at <= READING_S[1]
        for event in events
    )


def _is_readers(click: TrackingEvidence, events: Sequence[TrackingEvidence]) -> bool:
    """Whether the pixel was loaded from the click's network, however long before it."""
    return any(
        event.kind is EventKind.OPEN
        and event.network == click.network
        and click.at - event.at >= READING_S[0]
        for event in events
    )


def _same_as(
    event: TrackingEvidence,
    machines: Sequence[TrackingEvidence],
    events: Sequence[TrackingEvidence],
) -> str:
    """Returns a reason where a machine asked with the same program, from there or at that time."""
    for other in machines:
        if other.agent != event.agent or other.method != "GET":
            continue
        if _lacks(other) and event.kind is EventKind.CLICK and not _lacks(event):
            continue  # it borrows the name of the person's browser
        distance = abs(other.at - event.at)
        if event.network == other.network and event.network and distance <= SAME_ACTOR_S:
            return "same_actor"
        is_other = distance <= RUN_GAP_S and other.link != event.link
        if is_other and not _was_read(event, events):
            return "same_program"
    is_check = _is_check(event, events, read=True) or _is_weak_copy(event, events)
    return "check" if is_check else ""


def _is_weak_copy(event: TrackingEvidence, events: Sequence[TrackingEvidence]) -> bool:
    """Whether a browser's click on the same link follows one that lacks a browser's headers."""
    return _lacks(event) and any(
        other.kind is EventKind.CLICK
        and other.link == event.link
        and 0 < other.at - event.at <= CHECK_S
        and not _lacks(other)
        for other in events
    )


def _doubt(
    event: TrackingEvidence,
    events: Sequence[TrackingEvidence],
    sent_at: float | None,
    *,
    in_tabs: bool,
) -> str:
    """Returns why a request that no rule gives to a machine may still be one's.

    in_tabs: it is one of many clicks in a row, and nothing says that the mail was read.
    """
    quick = QUICK_CLICK_S if event.kind is EventKind.CLICK else QUICK_S
    if sent_at is not None and event.at - sent_at < quick:
        return "quick"
    if event.kind is EventKind.OPEN or agents.is_text_browser(event.agent):
        return ""
    if not agents.is_browser(event.agent):
        return "agent"
    is_soon = _is_soon(event, sent_at)
    if _was_read(event, events):
        return ""
    if _lacks(event) and is_soon:
        return "headers"
    if is_cloud(event.network):
        return "cloud"
    if _is_check(event, events, read=False):
        return "checked"
    return "tabs" if in_tabs and is_soon else ""


def _unread_runs(runs: Sequence[Sequence[int]], events: Sequence[TrackingEvidence]) -> set[int]:
    """Returns the places of runs on many links for which nothing says that the mail was read."""
    found: set[int] = set()
    for run in runs:
        clicks = [events[place] for place in run]
        is_long = len({click.link for click in clicks}) > 2
        if is_long and not any(_was_read(click, events) for click in clicks):
            found.update(run)
    return found


def _is_check(event: TrackingEvidence, events: Sequence[TrackingEvidence], *, read: bool) -> bool:
    """Whether another network clicks the same link seconds later: a check let the person pass.

    read: whether the later click must be from where the mail was read.
    """
    if event.kind is not EventKind.CLICK or _is_readers(event, events):
        return False
    return any(
        other.kind is EventKind.CLICK
        and other.method == "GET"
        and other.link == event.link
        and 0 < other.at - event.at <= CHECK_S
        and other.network != event.network
        and (other.agent != event.agent or _lacks(event))
        and (not read or _was_read(other, events))
        for other in events
    )
