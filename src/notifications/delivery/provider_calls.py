"""The open providers of one event loop, and the calls that pass messages to them.

Messages are split into calls of the provider's batch size. Each provider has a limit of concurrent
calls in this process. The results of a call are reported as soon as it ends. An exception of a
provider becomes a verdict.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

import structlog

from notifications.delivery.accounts import version_of
from notifications.delivery.base import NotificationChannelProvider, call_safely, where
from notifications.delivery.fan_out import OnResults, fan_out, has_one_target, single_result
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
NOT_STARTED = SendResult(
    Verdict.RETRY, error="the call could not start in time", error_code="not_started"
)
"""The deadline passed before the call started: nothing was sent."""


class ProviderCalls:
    """The open providers by key, for one event loop.

    Args:
        load: returns the class of a provider key; tests pass fakes.
    """

    def __init__(
        self, load: Callable[[str], type[NotificationChannelProvider]] = provider_class
    ) -> None:
        self._load = load
        self._open: dict[str, NotificationChannelProvider] = {}
        self._versions: dict[str, int] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._opening = asyncio.Lock()

    async def provider(self, key: str) -> NotificationChannelProvider:
        """Returns the open provider of a key.

        The first call opens the provider. The first call after a change of its account opens a new
        one.

        Raises:
            KeyError: for a key that is not registered.
            Exception: what the provider's `open` raises; the next call opens it again.
        """
        version = version_of(key)
        if self._versions.get(key) == version:
            return self._open[key]
        async with self._opening:
            if self._versions.get(key) != version:
                made = self._load(key)()
                await made.open()
                if key in self._open:
                    self._retire(key, self._open[key], self._slots[key])
                self._slots[key] = asyncio.Semaphore(made.calls_at_once())
                self._open[key] = made
                self._versions[key] = version
        return self._open[key]

    def _retire(
        self, key: str, provider: NotificationChannelProvider, slots: asyncio.Semaphore
    ) -> None:
        """Closes a provider after its open calls have ended."""

        async def retire() -> None:
            for _ in range(provider.calls_at_once()):
                await slots.acquire()
            await _close(key, provider)

        task = asyncio.get_running_loop().create_task(retire())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def close(self) -> None:
        """Closes every open provider; one that fails does not prevent the others."""
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
        """Passes every message to the provider and reports its result exactly once.

        Args:
            timeout_s: the timeout of each call; the wait for a slot does not count.
            on_results: called with some messages and their results, in order, as soon as a call
                ends. It must not block. Its exception is raised from here after all calls ended.
            deadline: returns the monotonic time until which calls may start. It is read before each
                call, because a lease may be renewed meanwhile. A started call may outlast it.
                Messages of later calls have the result NOT_STARTED.
            start_by: the monotonic time until which calls may start. A later call would break the
                provider's rate limit; its messages have the result NOT_STARTED.
        """
        fanned = [m for m in messages if m.targets and not has_one_target(m, key)]
        on_single = _single_results(on_results) if any(m.targets for m in messages) else on_results
        if fanned:
            plain = [m for m in messages if not m.targets or has_one_target(m, key)]

            async def send(name: str, parts: Sequence[OutboundMessage], on_part: OnResults) -> None:
                await self._send_by(name, parts, timeout_s, on_part, deadline, start_by)

            await asyncio.gather(
                self._send_by(key, plain, timeout_s, on_single, deadline, start_by),
                fan_out(fanned, send=send, on_results=on_results),
            )
            return
        await self._send_by(key, messages, timeout_s, on_single, deadline, start_by)

    async def _send_by(
        self,
        key: str,
        messages: Sequence[OutboundMessage],
        timeout_s: float,
        on_results: OnResults,
        deadline: Callable[[], float] | None,
        start_by: float | None,
    ) -> None:
        """Passes messages to one provider.

        It does not send messages to a service whose breaker is open, nor to the simulator's
        addresses; it reports their results.
        """
        messages = _without_simulated(messages, on_results)
        messages = _without_blocked(key, messages, on_results)
        if not messages:
            return
        try:
            provider = await self.provider(key)
        except Exception as error:
            # The texts of our own errors name settings, never addresses.
            detail = error.detail if isinstance(error, CarillonError) else ""
            log.error("provider.open-failed", provider=key, detail=detail, **where(error))
            on_results(messages, [NOT_OPENED] * len(messages))
            return
        size = provider.batch_for(len(messages))
        parts = iter([messages[at : at + size] for at in range(0, len(messages), size)])
        slots = self._slots[key]

        async def work() -> None:
            await _call_each(provider, parts, slots, timeout_s, on_results, deadline, start_by)

        callers = min(provider.calls_at_once(), -(-len(messages) // size))
        if callers == 1:
            await work()
            return
        ended = await asyncio.gather(*(work() for _ in range(callers)), return_exceptions=True)
        for fault in ended:
            if fault is not None:
                raise fault


def _single_results(on_results: OnResults) -> OnResults:
    def report(sent: Sequence[OutboundMessage], results: Sequence[SendResult]) -> None:
        on_results(sent, [single_result(m, r) for m, r in zip(sent, results, strict=True)])

    return report


def _without_blocked(
    key: str, messages: Sequence[OutboundMessage], on_results: OnResults
) -> Sequence[OutboundMessage]:
    """Returns the messages whose service may be called; reports NOT_STARTED for the others."""
    if not any_trouble():
        return messages
    blocked = {
        index
        for index, message in enumerate(messages)
        if blocked_s(service_of(key, message.recipient)) > 0
    }
    if not blocked:
        return messages
    on_results([messages[index] for index in sorted(blocked)], [NOT_STARTED] * len(blocked))
    return [message for index, message in enumerate(messages) if index not in blocked]


def _without_simulated(
    messages: Sequence[OutboundMessage], on_results: OnResults
) -> Sequence[OutboundMessage]:
    """Reports the results of messages to the simulator's addresses; returns the others."""
    simulations = [(message, result) for message in messages if (result := simulated(message))]
    if not simulations:
        return messages
    on_results([message for message, _ in simulations], [result for _, result in simulations])
    done = {message.message_id for message, _ in simulations}
    return [message for message in messages if message.message_id not in done]


async def _close(key: str, provider: NotificationChannelProvider) -> None:
    try:
        async with asyncio.timeout(CLOSE_S):
            await provider.close()
    except Exception as error:
        log.warning("provider.close-failed", provider=key, **where(error))


async def _call_each(
    provider: NotificationChannelProvider,
    parts: Iterator[Sequence[OutboundMessage]],
    slots: asyncio.Semaphore,
    timeout_s: float,
    on_results: OnResults,
    deadline: Callable[[], float] | None,
    start_by: float | None,
) -> None:
    """Sends one part after another; several of these coroutines share one iterator of parts."""
    for part in parts:
        async with slots:
            now = clock.monotonic()
            too_late = deadline is not None and now >= deadline()
            if too_late or (start_by is not None and now > start_by):
                results: Sequence[SendResult] = [NOT_STARTED] * len(part)
            else:
                results = await call_safely(provider, part, timeout_s)
        on_results(part, results)
