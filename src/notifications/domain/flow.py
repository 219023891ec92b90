"""Flow control of one service behind a provider: rate, pauses, circuit breaker. Pure.

Times are Unix microseconds on one clock, the database's. Every worker reads the same row, so all
workers together observe one limit. The rate is GCRA with a burst of one: calls get slots that are
evenly spaced in time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

US = 1_000_000
HORIZON_US = US
"""How far ahead slots are granted: only messages that are sent within a second are journalled."""
CRITICAL_HORIZON_US = 2 * US
"""Critical messages may use slots past those of the others: their reserve."""
LATE_SHARE = 0.04
WINDOW_US = 60 * US
FAULTS = 5
OPEN_US = 60 * US
PROBE_US = 45 * US
MOST_PAUSE_US = 300 * US
_RATE = re.compile(r"([1-9][0-9]{0,8})/(s|min|h)")
_WINDOWS_S = {"s": 1, "min": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` calls in any window of window_s seconds.

    A call may use its slot up to `late_us` later, because no process wakes exactly on time. Slots
    are so far apart that calls stay within the limit in every window even when they are late:
    `count` calls in a window plus its lateness, which uses 96 % of the limit.
    """

    count: int
    window_s: float

    @property
    def late_us(self) -> int:
        return int(self.window_s * US * LATE_SHARE)

    @property
    def spacing_us(self) -> int:
        return -(-(int(self.window_s * US) + self.late_us) // self.count)

    def __str__(self) -> str:
        own = f"{self.window_s:g} s"
        units = {float(seconds): unit for unit, seconds in _WINDOWS_S.items()}
        return f"{self.count}/{units.get(float(self.window_s), own)}"


def rate_of(text: str) -> Rate | None:
    """Parses a rate such as `14/s`, `10000/min` or `500/h`; None for `off` and an empty text.

    Raises:
        ValueError: it is none of these.
    """
    if text in ("", "off"):
        return None
    found = _RATE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no rate: write 14/s, 10000/min, 500/h or off")
    return Rate(int(found[1]), _WINDOWS_S[found[2]])


ChatRate = Rate | Mapping[str, Rate] | None


@dataclass(frozen=True, slots=True)
class Flow:
    """The state of a service, shared by all workers."""

    #: The next free slot, or the end of a pause.
    next_at: int = 0
    #: The breaker is open, and may be probed from then on; 0 when it is closed.
    open_until: int = 0
    probe_owner: str = ""
    #: Until when the probe of `probe_owner` is in progress.
    probe_until: int = 0
    #: Since when faults and successes are counted.
    window_at: int = 0
    faults: int = 0
    successes: int = 0

    def state(self, now: int) -> str:
        """Returns `closed`, `open`, or `half_open` while a probe is allowed or in progress."""
        if not self.open_until:
            return "closed"
        return "open" if now < self.open_until else "half_open"


@dataclass(frozen=True, slots=True)
class Grant:
    """Slots for calls to a service."""

    #: For each call how long from now its slot is, in us; None where the call must wait.
    waits: list[int | None]
    #: After how many us another request may get slots.
    retry_us: int = 0
    reason: str = ""
    #: The one call with a slot tests whether the service recovered.
    is_probe: bool = False
    #: When each chat may be called next, where that changed.
    chats: dict[str, int] = field(default_factory=dict)
    #: When the slots were granted, by the clock of the database.
    now: int = 0

    @property
    def count(self) -> int:
        return sum(wait is not None for wait in self.waits)


def claim(
    flow: Flow,
    *,
    now: int,
    owner: str,
    rate: Rate | None,
    wanted: Sequence[str],
    horizon: int = HORIZON_US,
    chats: dict[str, int] | None = None,
    chat_rate: ChatRate = None,
) -> tuple[Flow, Grant]:
    """Grants slots for some calls to a service.

    Args:
        wanted: a name for each call: its chat or domain, where each has a limit of its own.
        chats: when each chat may be called next. chat_rate: one rate for all of them, or a rate by
            name (the domains of mails).

    Returns:
        the new flow, and the grant.
    """
    if flow.open_until:
        held = max(flow.open_until, flow.probe_until)
        if now < held:
            none: list[int | None] = [None] * len(wanted)
            if now < flow.open_until:
                return flow, Grant(none, flow.open_until - now, "breaker_open")
            return flow, Grant(none, min(held - now, US), "breaker_probing")
        flow = replace(flow, probe_owner=owner, probe_until=now + PROBE_US)
        if rate is None:
            return flow, Grant([0, *[None] * (len(wanted) - 1)], US, is_probe=True)
        flow, grant = _spaced(
            flow, max(flow.next_at, now), now, rate, wanted, 1, PROBE_US, None, None
        )
        return flow, replace(grant, is_probe=True)
    next_at = max(flow.next_at, now)
    if rate is None:
        if next_at > now + horizon:
            return flow, Grant([None] * len(wanted), next_at - now - horizon, "provider_pause")
        if isinstance(chat_rate, Mapping):
            return _paced(flow, next_at, now, wanted, horizon, chats, chat_rate)
        return flow, Grant([max(0, next_at - now)] * len(wanted))
    return _spaced(flow, next_at, now, rate, wanted, len(wanted), horizon, chats, chat_rate)


def _spaced(
    flow: Flow,
    next_at: int,
    now: int,
    rate: Rate,
    wanted: Sequence[str],
    most: int,
    horizon: int,
    chats: dict[str, int] | None,
    chat_rate: ChatRate,
) -> tuple[Flow, Grant]:
    """Gives each slot to the first call that may use it.

    A call whose chat is not free yet waits for a later slot; the calls behind it go first.
    """
    waits: list[int | None] = [None] * len(wanted)
    free: dict[str, int] = {}
    known = chats or {}
    left = list(range(len(wanted)))
    granted = 0
    while left and granted < most and next_at <= now + horizon:
        place = next((at for at in left if _free_at(wanted[at], free, known) <= next_at), None)
        if place is None:
            break
        left.remove(place)
        waits[place] = next_at - now
        own_rate = _rate_of_chat(chat_rate, wanted[place])
        if own_rate is not None:
            free[wanted[place]] = next_at + own_rate.spacing_us
        next_at += rate.spacing_us
        granted += 1
    ask = [max(next_at - horizon // 2, _free_at(wanted[at], free, known)) - now for at in left]
    again = min(max(rate.spacing_us, min(ask)), US) if ask else 0
    grant = Grant(waits, again, "" if granted else "rate_limit", chats=free)
    return replace(flow, next_at=next_at), grant


def _paced(
    flow: Flow,
    next_at: int,
    now: int,
    wanted: Sequence[str],
    horizon: int,
    chats: dict[str, int] | None,
    chat_rate: ChatRate,
) -> tuple[Flow, Grant]:
    """Grants slots of a service without a limit: at once, or when the chat is free."""
    waits: list[int | None] = []
    free: dict[str, int] = {}
    ask = []
    for name in wanted:
        own_rate = _rate_of_chat(chat_rate, name)
        at = max(next_at, _free_at(name, free, chats or {}) if own_rate is not None else 0)
        if at > now + horizon:
            waits.append(None)
            ask.append(at - now - horizon // 2)
            continue
        waits.append(at - now)
        if own_rate is not None:
            free[name] = at + own_rate.spacing_us
    reason = "" if len(ask) < len(wanted) else "rate_limit"
    return flow, Grant(waits, min(ask, default=0), reason, chats=free)


def _rate_of_chat(chat_rate: ChatRate, name: str) -> Rate | None:
    return chat_rate.get(name) if isinstance(chat_rate, Mapping) else chat_rate


def _free_at(name: str, taken: Mapping[str, int], known: Mapping[str, int]) -> int:
    found = taken.get(name)
    return known.get(name, 0) if found is None else found


@dataclass(frozen=True, slots=True)
class CallCounts:
    """What a process observed of a service since its last report."""

    #: Responses, also those about dead tokens and bad addresses.
    successes: int = 0
    #: Timeouts, refused connections, 5xx, refused credentials.
    faults: int = 0
    #: The longest wait that the service requested.
    pause_us: int = 0
    #: A probe was granted, but no call was made.
    void: bool = False


def apply_report(
    flow: Flow,
    tally: CallCounts,
    *,
    now: int,
    owner: str,
    faults_to_open: int = FAULTS,
    open_us: int = OPEN_US,
) -> Flow:
    """Returns the flow after the report of a process.

    The breaker opens on so many faults in a window, when at least half of the calls failed: a
    service that accepts thousands a second and fails at times is not down. A success of a probe
    closes it.
    """
    if tally.pause_us:
        pause = min(tally.pause_us, MOST_PAUSE_US)
        flow = replace(flow, next_at=max(flow.next_at, now + pause))
    if flow.open_until:
        return _apply_report_while_open(flow, tally, now=now, owner=owner, open_us=open_us)
    if now - flow.window_at > WINDOW_US:
        flow = replace(flow, window_at=now, faults=0, successes=0)
    faults, successes = flow.faults + tally.faults, flow.successes + tally.successes
    if tally.faults and faults >= faults_to_open and faults >= successes:
        return Flow(next_at=flow.next_at, open_until=now + open_us, window_at=now)
    return replace(flow, faults=faults, successes=successes)


def _apply_report_while_open(
    flow: Flow, tally: CallCounts, *, now: int, owner: str, open_us: int
) -> Flow:
    if tally.successes and not tally.faults and now >= flow.open_until:
        return Flow(next_at=flow.next_at, window_at=now)
    if flow.probe_owner != owner:
        return flow  # a call that was in flight when the breaker opened
    if tally.faults:
        return Flow(next_at=flow.next_at, open_until=now + open_us, window_at=now)
    return replace(flow, probe_until=0, probe_owner="") if tally.void else flow
