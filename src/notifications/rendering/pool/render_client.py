"""Sends jobs to render processes: trial renders of versions, and all work on drafts."""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import structlog

from notifications.domain.errors import RenderingBusy, TemplateFault
from notifications.domain.messages import Content
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.packing import packed
from notifications.rendering.language.meter import LIMIT
from notifications.rendering.pool import wire
from notifications.rendering.pool.child import Died, RenderProcess, TooSlow
from notifications.rendering.pool.lending import Exhausted, ProcessPool
from notifications.rendering.render import CompiledVersion

log = structlog.get_logger("carillon.rendering")
WALL_SECONDS = 3.0
"""Seconds that a job may wait, and seconds that it may take."""
DRAFT_SECONDS = 12.0
"""Seconds that all jobs of one call about drafts may take together."""
_ATTEMPTS = 3
_GUILTY = 5  # jobs of a call that may be killed before the rest is refused
_DRAFTS_IDLE_SECONDS = 300.0
_TOO_MUCH = "it takes more CPU time or memory than a render may use"
_NOT_RENDERED = "it was not checked: the texts before it took more than a render may use"

DraftReply = (
    wire.Rendered | wire.Reviewed | wire.Previewed | wire.Compared | wire.Barriers | TemplateFault
)


class Task(NamedTuple):
    """A job and the version that it names."""

    job: wire.Job
    version: CompiledVersion | None = None


class Pools:
    """The two pools of render processes that a process has."""

    def __init__(self) -> None:
        settings = environment()
        self.pid = os.getpid()
        self.published = ProcessPool(settings.render_processes)
        self.drafts = ProcessPool(settings.preview_processes, idle_seconds=_DRAFTS_IDLE_SECONDS)

    def close(self) -> None:
        """Ends the processes of both pools."""
        self.published.close()
        self.drafts.close()


_pools: Pools | None = None


def pools() -> Pools:
    """Returns the pools of this process; a forked child gets its own."""
    global _pools
    if _pools is None or _pools.pid != os.getpid():
        _pools = Pools()
    return _pools


@atexit.register
def close_pools() -> None:
    """Ends the render processes of this process."""
    global _pools
    if _pools is not None and _pools.pid == os.getpid():
        _pools.close()
    _pools = None


def render_task(
    version: CompiledVersion,
    *,
    channel: str,
    locale: str,
    context: Mapping[str, Any],
    fit: bool = True,
) -> Task:
    """Returns the task that renders a message. See CompiledVersion.render.

    Raises:
        InvalidRequest: the context cannot be encoded: number_out_of_range, invalid_text.
    """
    packed_context = msgspec.Raw(packed(context))
    job = wire.RenderJob(name_of(version), channel, locale, packed_context, fit)
    return Task(job, version)


def render_published(tasks: Sequence[Task]) -> list[Content | TemplateFault]:
    """Renders published versions; returns a content or a fault for each task, in order.

    Tasks of one version go to a process together, so a group of sends costs one hop a version.

    Raises:
        RenderingBusy: no process replied in time.
    """
    groups: dict[str, list[int]] = {}
    for at, task in enumerate(tasks):
        assert task.version is not None
        groups.setdefault(name_of(task.version).hex(), []).append(at)
    found: list[Content | TemplateFault] = [_NOTHING] * len(tasks)
    for key, places in groups.items():
        mine = [tasks[at] for at in places]
        run = _Run(pools().published, key, mine, seconds=WALL_SECONDS)
        for at, reply in zip(places, run.together(), strict=True):
            found[at] = _content(reply)
    return found


def render_drafts(principal: str, tasks: Sequence[Task]) -> list[DraftReply]:
    """Runs tasks about drafts, one at a time for each principal; returns their results in order.

    Raises:
        RenderingBusy: no process replied in time.
    """
    run = _Run(pools().drafts, principal, tasks, seconds=DRAFT_SECONDS)
    return [
        _fault(each) if isinstance(each, wire.FaultReply) else each for each in run.one_by_one()
    ]


def name_of(version: CompiledVersion) -> bytes:
    """Returns the hash of a version's texts and of the versions that it is built with."""
    return _text_of(version)[0]


_NOTHING = Content("", "")


class _Run:
    """Runs the tasks of one key on the processes of a pool."""

    def __init__(
        self, pool: ProcessPool, key: str, tasks: Sequence[Task], *, seconds: float
    ) -> None:
        self._pool = pool
        self._keys = frozenset([key])
        self._tasks = tasks
        self._replies: list[wire.Reply] = []
        self._attempts = self._killed = 0
        self._until = time.monotonic() + seconds

    def together(self) -> list[wire.Reply]:
        """Sends all tasks in one message; when a process dies, the rest goes to another."""
        while len(self._replies) < len(self._tasks):
            self._run_on_one_process(len(self._tasks))
        return self._replies

    def one_by_one(self) -> list[wire.Reply]:
        """Sends each task in its own message, so that other callers get turns in between."""
        while len(self._replies) < len(self._tasks):
            self._run_on_one_process(1)
            if self._killed >= _GUILTY:
                left = len(self._tasks) - len(self._replies)
                self._replies += [wire.FaultReply(_NOT_RENDERED, LIMIT, {})] * left
        return self._replies

    def _run_on_one_process(self, at_once: int) -> None:
        """Sends tasks to one process until another caller waits for it."""
        try:
            with self._pool.lend(self._keys, seconds=WALL_SECONDS) as process:
                self._until += process.wait_started()
                while len(self._replies) < len(self._tasks):
                    if time.monotonic() > self._until:
                        raise _busy()
                    begin = len(self._replies)
                    self._request(process, self._tasks[begin : begin + at_once])
                    if self._pool.has_waiters or process.is_worn:
                        return
        except Died as death:
            self._count_death(death)
        except (Exhausted, TooSlow):
            raise _busy() from None
        except OSError as error:
            log.error("render.no-process", error=type(error).__name__)
            raise _busy() from error

    def _request(self, process: RenderProcess, tasks: Sequence[Task]) -> None:
        """Sends tasks to a process and stores its replies.

        Tasks without a reply remain open when the process dies.
        """
        versions: dict[bytes, wire.VersionText] = {}
        for task in tasks:
            if task.version is not None:
                _collect(task.version, versions)
        jobs = [task.job for task in tasks]
        try:
            for reply in process.run_jobs(jobs, versions, now=clock.now(), seconds=WALL_SECONDS):
                self._replies.append(reply)
                self._attempts = 0
        except Died as death:
            self._count_death(death)

    def _count_death(self, death: Died) -> None:
        if death.is_guilty:
            self._killed += 1
            self._replies.append(wire.FaultReply(_TOO_MUCH, LIMIT, {}))
            return
        self._attempts += 1
        if self._attempts >= _ATTEMPTS:
            raise _busy()


def _busy() -> RenderingBusy:
    return RenderingBusy(retry_after=1)


def _content(reply: wire.Reply) -> Content | TemplateFault:
    if isinstance(reply, wire.Rendered):
        return Content(reply.title, reply.body, reply.html)
    assert isinstance(reply, wire.FaultReply)
    return _fault(reply)


def _fault(fault: wire.FaultReply) -> TemplateFault:
    data = dict(fault.data)
    place = data.pop(wire.PLACE, None)
    if place is not None:
        log.error("render.broken", error=fault.detail, place=place)
    return TemplateFault(fault.detail, code=fault.code, **data)


def _collect(version: CompiledVersion, found: dict[bytes, wire.VersionText]) -> None:
    """Adds a version and every version that it is built with."""
    name, text = _text_of(version)
    if name not in found:
        found[name] = text
        for part in version.parts.values():
            _collect(part, found)


def _text_of(version: CompiledVersion) -> tuple[bytes, wire.VersionText]:
    if version.on_the_wire is None:
        text = wire.VersionText(
            path=version.path,
            content={locale: dict(texts) for locale, texts in version.content.items()},
            required_variables=list(version.required_variables),
            supported_channels=sorted(version.listed),
            default_locale=version.default_locale,
            locale=version.defaults.locale,
            timezone=version.defaults.timezone,
            parts={path: name_of(part) for path, part in version.parts.items()},
        )
        version.on_the_wire = (wire.hash_of(text), text)
    found: tuple[bytes, wire.VersionText] = version.on_the_wire
    return found
