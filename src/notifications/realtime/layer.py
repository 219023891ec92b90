"""A channel layer of Channels, over the wake-ups of inboxes.

A message to a group reaches the consumers of all processes, and the sockets of the hub where the
group is `user_5` or `room.course.5`. It is not stored: a process that does not listen misses it. So
it serves code written for Channels; inboxes do not use it.

`send` reaches a channel of another process if its name has a `!`, as `new_channel` makes it. A
plain name is of its own process, as in Channels' layer in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import threading
from collections import deque
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import structlog
from channels.exceptions import ChannelFull
from channels.layers import BaseChannelLayer

from notifications.features.rooms.payloads import GroupMessage, read_payload, send_message
from notifications.infra import clock
from notifications.infra.process import inbox_wakeups
from notifications.infra.process.inbox_listener import InboxListener

log = structlog.get_logger("carillon.realtime")
GROUP_EXPIRY_S = 86_400
_SWEEP_S = 10.0
_FLUSH_S = 1.0
Message = dict[str, Any]


class _Channel:
    """What waits for a consumer, and the consumers that wait."""

    __slots__ = ("messages", "waiting")

    def __init__(self) -> None:
        #: When each message is dropped, and the message.
        self.messages: deque[tuple[float, Message]] = deque()
        self.waiting: list[asyncio.Future[None]] = []


class HubChannelLayer(BaseChannelLayer):  # type: ignore[misc]  # channels has no types
    """`CHANNEL_LAYERS = {"default": {"BACKEND": "notifications.realtime.layer.HubChannelLayer"}}`.

    The data of a message to other processes has at most 6 KB. Any thread and event loop may use it.
    """

    extensions = ("groups", "flush")
    _listener: InboxListener | None

    def __init__(
        self,
        *,
        expiry: float = 60,
        capacity: int = 100,
        channel_capacity: Mapping[str, int] | None = None,
        group_expiry: float = GROUP_EXPIRY_S,
    ) -> None:
        """Creates it.

        Args:
            expiry: seconds after which a message without a receiver is dropped.
            capacity: the most messages that wait for a channel.
            channel_capacity: others for channels whose names match a pattern.
            group_expiry: seconds after which a channel leaves a group.
        """
        super().__init__(expiry=expiry, capacity=capacity)
        self.channel_capacity = self.compile_capacities(channel_capacity or {})
        self.group_expiry = group_expiry
        self._lock = threading.Lock()
        self._pid = 0
        self._begin()

    async def new_channel(self, prefix: str = "specific") -> str:
        """Returns the name of a channel that only this process receives."""
        self._follow_fork()
        return f"{prefix}.{self._process}!{secrets.token_hex(8)}"

    async def send(self, channel: str, message: Message) -> None:
        """Sends to a channel.

        Raises:
            ChannelFull: too many messages wait for a channel of this process.
            RoomDataTooLarge: the message goes to another process, and is too large.
        """
        self._follow_fork()
        assert isinstance(message, dict), "message is not a dict"
        self.require_valid_channel_name(channel)
        if self._is_elsewhere(channel):
            await self._publish(channel, message)
        else:
            self._put(channel, message)

    async def receive(self, channel: str) -> Message:
        """Waits for the next message of a channel."""
        self._follow_fork()
        self.require_valid_channel_name(channel)
        self._listen()
        loop = asyncio.get_running_loop()
        while True:
            with self._lock:
                found = self._channels.setdefault(channel, _Channel())
                _drop_expired(found)
                if found.messages:
                    message = found.messages.popleft()[1]
                    self._forget_if_idle(channel, found)
                    return message
                turn: asyncio.Future[None] = loop.create_future()
                found.waiting.append(turn)
            try:
                await turn
            finally:
                self._stop_waiting(channel, turn)

    async def group_add(self, group: str, channel: str) -> None:
        """Adds a channel to a group."""
        self._follow_fork()
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        self._listen()
        with self._lock:
            self._groups.setdefault(group, {})[channel] = clock.monotonic()

    async def group_discard(self, group: str, channel: str) -> None:
        """Removes a channel from a group; does nothing where it is not in it."""
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        with self._lock:
            channels = self._groups.get(group, {})
            channels.pop(channel, None)
            if not channels:
                self._groups.pop(group, None)

    async def group_send(self, group: str, message: Message) -> None:
        """Sends to a group, in all processes. Channels that are full miss it.

        Raises:
            RoomDataTooLarge: the message has more than 6 KB.
        """
        self._follow_fork()
        assert isinstance(message, dict), "message is not a dict"
        self.require_valid_group_name(group)
        await self._publish(group, message)

    async def flush(self) -> None:
        """Forgets all groups, channels and messages of this process."""
        with self._lock:
            self._groups.clear()
            self._channels.clear()

    def close(self) -> None:
        """Stops listening."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.stop()

    def _begin(self) -> None:
        """Begins in this process: names of channels and threads are of one process."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._process = secrets.token_hex(6)
        self._channels: dict[str, _Channel] = {}
        #: group -> channel -> when it joined.
        self._groups: dict[str, dict[str, float]] = {}
        self._listener = None
        self._swept_at = clock.monotonic()

    def _follow_fork(self) -> None:
        if self._pid != os.getpid():
            self._begin()

    def _listen(self) -> None:
        with self._lock:
            if self._listener is None:
                self._listener = InboxListener(self._on_payload)
                self._listener.start()

    async def _publish(self, target: str, message: Message) -> None:
        send_message(target, message)
        if self._listener is None:  # a script, or a worker: it may end right after
            await asyncio.to_thread(inbox_wakeups.flush, _FLUSH_S)

    def _on_payload(self, payload: str) -> None:
        """Takes a payload, in a thread of the listener or of the publisher."""
        text = inbox_wakeups.frame_in(payload)
        if text is None:
            return
        try:
            found = read_payload(text)
        except ValueError:
            log.warning("inbox.frame_unreadable")
            return
        if isinstance(found, GroupMessage):
            self._sweep()
            for channel in self._targets(found.target):
                with contextlib.suppress(ChannelFull):
                    self._put(channel, found.message)

    def _targets(self, target: str) -> list[str]:
        """Returns the channels of this process that a message is for."""
        if "!" in target:
            return [] if self._is_elsewhere(target) else [target]
        with self._lock:
            return list(self._groups.get(target, ()))

    def _is_elsewhere(self, channel: str) -> bool:
        """Whether a channel is received in another process only."""
        return "!" in channel and not channel.partition("!")[0].endswith(f".{self._process}")

    def _put(self, channel: str, message: Message) -> None:
        """Raises: ChannelFull."""
        with self._lock:
            found = self._channels.setdefault(channel, _Channel())
            _drop_expired(found)
            if len(found.messages) >= self.get_capacity(channel):
                raise ChannelFull(channel)
            found.messages.append((clock.monotonic() + self.expiry, deepcopy(message)))
            waiting, found.waiting = found.waiting, []
        for turn in waiting:
            with contextlib.suppress(RuntimeError):  # its loop has ended
                turn.get_loop().call_soon_threadsafe(_wake, turn)

    def _stop_waiting(self, channel: str, turn: asyncio.Future[None]) -> None:
        with self._lock:
            found = self._channels.get(channel)
            if found is None:
                return
            if turn in found.waiting:
                found.waiting.remove(turn)
            self._forget_if_idle(channel, found)

    def _forget_if_idle(self, channel: str, found: _Channel) -> None:
        if not (found.waiting or found.messages):
            self._channels.pop(channel, None)

    def _sweep(self) -> None:
        """Forgets expired messages and members of groups, every ten seconds."""
        now = clock.monotonic()
        with self._lock:
            if now - self._swept_at < _SWEEP_S:
                return
            self._swept_at = now
            for channel, found in tuple(self._channels.items()):
                _drop_expired(found)
                self._forget_if_idle(channel, found)
            for group, channels in tuple(self._groups.items()):
                for channel, since in tuple(channels.items()):
                    if now - since > self.group_expiry:
                        del channels[channel]
                if not channels:
                    del self._groups[group]


def _drop_expired(channel: _Channel) -> None:
    now = clock.monotonic()
    while channel.messages and channel.messages[0][0] <= now:
        channel.messages.popleft()


def _wake(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
