"""Open providers of one event loop, and the handing over of messages to them.

Splits by what a call may carry, keeps each provider to its number of calls at once in this process,
and tells outcomes as soon as a call's are known. What escapes a provider becomes a verdict.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

import structlog

from notifications.delivery.accounts import version_of
from notifications.delivery.base import NotificationChannelProvider, call_safely, where
from notifications.delivery.fan_out import OnResults, fan_out, goes_to_one, of_one
from notifications.delivery.registry import provider_class
from notifications.delivery.services import any_trouble, blocked_s, service_of
from notifications.delivery.vendors.simulator.addresses import simulated
from notifications.domain.errors import CarillonError
from notifications.domain.messages import OutboundMessage, SendResult, Verdict
from notifications.infra import clock

log = structlog.get_logger("carillon.delivery")

CLOSE_S = 5.0

NOT_OPENED = SendResult(
    Verdict.RETRY, error="the provider could not be opened", error_code="provider_start_failed"
)
NOT_STARTED = SendResult(Verdict.RETRY, error="not handed over in time", error_code="not_started")
"""The deadline passed while the message waited its turn: nothing was called, nothing left."""


class ProviderCalls:
    """Opened providers by key, for the event loop that it is used in.

    Args:
        load: the class of a provider key (tests hand in fakes).
    """

    def __init__(
        self, load: Callable[[str], type[NotificationChannelProvider]] = provider_class
    ) -> None:
        self._load = load
        self._open: dict[str, NotificationChannelProvider] = {}
        self._versions: dict[str, int] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._opening = asyncio.Lock()

    async def provider(self, key: str) -> NotificationChannelProvider:
        """The opened provider of a key; the first call opens it, and the first one after its
        account was changed opens it anew.

        Raises:
            KeyError: for a key that is not registered.
            Exception: what the provider's `open` raises; the next call tries again.
        """
        version = version_of(key)
        if self._versions.get(key) == version:
            return self._open[key]
        async with self._opening:
            if self._versions.get(key) != version:
                made = self._load(key)()
                await made.open()
                if key in self._open:
                    self._retire(key, self._open[key], self._turns[key])
                self._turns[key] = asyncio.Semaphore(made.calls_at_once())
                self._open[key] = made
                self._versions[key] = version
        return self._open[key]

    def _retire(
        self, key: str, provider: NotificationChannelProvider, turn: asyncio.Semaphore
    ) -> None:
        """Closes a provider once the calls that it has open have ended."""

        async def retire() -> None:
            for _ in range(provider.calls_at_once()):
                await turn.acquire()
            await _close(key, provider)

        task = asyncio.get_running_loop().create_task(retire())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def close(self) -> None:
        """Closes every provider that was opened; one that fails does not stop the rest."""
        if self._retiring:
            await asyncio.wait(set(self._retiring), timeout=CLOSE_S)
        self._versions.clear()
        while self._open:
            key, provider = self._open.popitem()
            await _close(key, provider)

    async def send(
        self,
        key: str,
        messages: Sequence[OutboundMessage],
        *,
        timeout_s: float,
        on_results: OnResults,
        deadline: Callable[[], float] | None = None,
        start_by: float | None = None,
    ) -> None:
        """Gives every message to the provider and tells every outcome, each exactly once.

        Args:
            timeout_s: how long each call may take; waiting for a turn does not count.
            on_results: called with some messages and their results, in order, as soon as a call
                ends. It must not block. What it raises is raised from here after all calls ended.
            deadline: the monotonic time until which calls may begin, asked anew before each call (a
                lease may have been renewed meanwhile). A call that has begun may outlast it;
                messages whose turn comes later are told as NOT_STARTED.
            start_by: the monotonic time by which a call must have begun; later it would break the
                provider's limit, and its messages are told as NOT_STARTED.
        """
        fanned = [m for m in messages if m.targets and not goes_to_one(m, key)]
        singly = _of_ones(on_results) if any(m.targets for m in messages) else on_results
        if fanned:
            plain = [m for m in messages if not m.targets or goes_to_one(m, key)]

            async def hand(name: str, legs: Sequence[OutboundMessage], told: OnResults) -> None:
                await self._carry(name, legs, timeout_s, told, deadline, start_by)

            await asyncio.gather(
                self._carry(key, plain, timeout_s, singly, deadline, start_by),
                fan_out(fanned, hand=hand, on_results=on_results),
            )
            return
        await self._carry(key, messages, timeout_s, singly, deadline, start_by)

    async def _carry(
        self,
        key: str,
        messages: Sequence[OutboundMessage],
        timeout_s: float,
        on_results: OnResults,
        deadline: Callable[[], float] | None,
        start_by: float | None,
    ) -> None:
        """Hands messages to one provider; those to a service whose breaker opened stay here, and
        those to the simulator's addresses reach nobody."""
        messages = _without_simulated(messages, on_results)
        messages = _let_through(key, messages, on_results)
        if not messages:
            return
        try:
            provider = await self.provider(key)
        except Exception as error:
            # Our own errors speak of settings, never of addresses.
            detail = error.detail if isinstance(error, CarillonError) else ""
            log.error("provider.open-failed", provider=key, detail=detail, **where(error))
            on_results(messages, [NOT_OPENED] * len(messages))
            return
        size = provider.batch_for(len(messages))
        parts = iter([messages[at : at + size] for at in range(0, len(messages), size)])
        turn = self._turns[key]

        async def work() -> None:
            await _work(provider, parts, turn, timeout_s, on_results, deadline, start_by)

        callers = min(provider.calls_at_once(), -(-len(messages) // size))
        if callers == 1:
            await work()
            return
        ended = await asyncio.gather(*(work() for _ in range(callers)), return_exceptions=True)
        for fault in ended:
            if fault is not None:
                raise fault


def _of_ones(tell: OnResults) -> OnResults:
    def told(sent: Sequence[OutboundMessage], results: Sequence[SendResult]) -> None:
        tell(sent, [of_one(m, r) for m, r in zip(sent, results, strict=True)])

    return told


def _let_through(
    key: str, messages: Sequence[OutboundMessage], on_results: OnResults
) -> Sequence[OutboundMessage]:
    """The messages whose service may be called; the others are told as NOT_STARTED."""
    if not any_trouble():
        return messages
    held = {
        index
        for index, message in enumerate(messages)
        if blocked_s(service_of(key, message.recipient)) > 0
    }
    if not held:
        return messages
    on_results([messages[index] for index in sorted(held)], [NOT_STARTED] * len(held))
    return [message for index, message in enumerate(messages) if index not in held]


def _without_simulated(
    messages: Sequence[OutboundMessage], on_results: OnResults
) -> Sequence[OutboundMessage]:
    """Tells the outcomes of messages to the simulator; returns the others."""
    told = [(message, result) for message in messages if (result := simulated(message))]
    if not told:
        return messages
    on_results([message for message, _ in told], [result for _, result in told])
    mine = {message.message_id for message, _ in told}
    return [message for message in messages if message.message_id not in mine]


async def _close(key: str, provider: NotificationChannelProvider) -> None:
    try:
        async with asyncio.timeout(CLOSE_S):
            await provider.close()
    except Exception as error:
        log.warning("provider.close-failed", provider=key, **where(error))


async def _work(
    provider: NotificationChannelProvider,
    parts: Iterator[Sequence[OutboundMessage]],
    turn: asyncio.Semaphore,
    timeout_s: float,
    on_results: OnResults,
    deadline: Callable[[], float] | None,
    start_by: float | None,
) -> None:
    """Takes part after part until none is left; several of these share one iterator."""
    for part in parts:
        async with turn:
            now = clock.monotonic()
            too_late = deadline is not None and now >= deadline()
            if too_late or (start_by is not None and now > start_by):
                results: Sequence[SendResult] = [NOT_STARTED] * len(part)
            else:
                results = await call_safely(provider, part, timeout_s)
        on_results(part, results)
