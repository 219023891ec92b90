"""What services ask of render processes: trial renders of versions, and all about drafts."""

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
from notifications.rendering.pool.lending import Exhausted, Pool
from notifications.rendering.render import CompiledVersion

log = structlog.get_logger("carillon.rendering")
WALL_SECONDS = 3.0
"""How long a job may wait, and how long it may take."""
DRAFT_SECONDS = 12.0
"""How long all jobs of one call about drafts may take together."""
_TRIES = 3
_GUILTY = 5  # jobs of a call that may be killed before the rest is left
_DRAFTS_IDLE_SECONDS = 300.0
_TOO_MUCH = "it takes more CPU time or memory than a render may use"
_LEFT = "it was not looked at: the texts before it took more than a render may use"


class Task(NamedTuple):
    """A job, and the version that it names."""

    job: wire.Job
    version: CompiledVersion | None = None


class Pools:
    """The two pools of a process."""

    def __init__(self) -> None:
        settings = environment()
        self.pid = os.getpid()
        self.published = Pool(settings.render_processes)
        self.drafts = Pool(settings.preview_processes, idle_seconds=_DRAFTS_IDLE_SECONDS)

    def close(self) -> None:
        """Ends their processes."""
        self.published.close()
        self.drafts.close()


_pools: Pools | None = None


def pools() -> Pools:
    """This process's own: a forked child has none of its parent's."""
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
    """A message to be rendered. See CompiledVersion.render.

    Raises:
        InvalidRequest: the context cannot be handed on: number_out_of_range, invalid_text.
    """
    packed_context = msgspec.Raw(packed(context))
    job = wire.Render(name_of(version), channel, locale, packed_context, fit)
    return Task(job, version)


def render_published(tasks: Sequence[Task]) -> list[Content | TemplateFault]:
    """What published versions say; a task that fails has its fault in its place.

    Those of one version go to a process together, so a group of sends costs one hop a version.

    Raises:
        RenderingBusy: no process answered in time.
    """
    groups: dict[str, list[int]] = {}
    for at, task in enumerate(tasks):
        assert task.version is not None
        groups.setdefault(name_of(task.version).hex(), []).append(at)
    found: list[Content | TemplateFault] = [_NOTHING] * len(tasks)
    for key, places in groups.items():
        mine = [tasks[at] for at in places]
        run = _Run(pools().published, key, mine, seconds=WALL_SECONDS)
        for at, answer in zip(places, run.together(), strict=True):
            found[at] = _content(answer)
    return found


def render_drafts(
    principal: str, tasks: Sequence[Task]
) -> list[wire.Shown | wire.Reviewed | wire.Previewed | wire.Compared | TemplateFault]:
    """What comes of tasks about drafts. One a principal is at work at a time.

    Raises:
        RenderingBusy: no process answered in time.
    """
    run = _Run(pools().drafts, principal, tasks, seconds=DRAFT_SECONDS)
    return [_fault(each) if isinstance(each, wire.Fault) else each for each in run.one_by_one()]


def name_of(version: CompiledVersion) -> bytes:
    """The hash of a version's texts and of those that it is built with."""
    return _text_of(version)[0]


_NOTHING = Content("", "")


class _Run:
    """Tasks of one key on their way through a pool."""

    def __init__(self, pool: Pool, key: str, tasks: Sequence[Task], *, seconds: float) -> None:
        self._pool = pool
        self._keys = frozenset([key])
        self._tasks = tasks
        self._answers: list[wire.Reply] = []
        self._tries = self._killed = 0
        self._until = time.monotonic() + seconds

    def together(self) -> list[wire.Reply]:
        """All in one message; when a process dies, the rest goes to another."""
        while len(self._answers) < len(self._tasks):
            self._ask(len(self._tasks))
        return self._answers

    def one_by_one(self) -> list[wire.Reply]:
        """Each in a message of its own, giving way to others in between."""
        while len(self._answers) < len(self._tasks):
            self._ask(1)
            if self._killed >= _GUILTY:
                left = len(self._tasks) - len(self._answers)
                self._answers += [wire.Fault(_LEFT, LIMIT, {})] * left
        return self._answers

    def _ask(self, at_once: int) -> None:
        """Asks one process for as long as nobody else waits for it."""
        try:
            with self._pool.lend(self._keys, seconds=WALL_SECONDS) as process:
                self._until += process.started()
                while len(self._answers) < len(self._tasks):
                    if time.monotonic() > self._until:
                        raise _busy()
                    begin = len(self._answers)
                    self._take(process, self._tasks[begin : begin + at_once])
                    if self._pool.is_wanted or process.is_worn:
                        return
        except Died as death:
            self._after(death)
        except (Exhausted, TooSlow):
            raise _busy() from None
        except OSError as error:
            log.error("render.no-process", error=type(error).__name__)
            raise _busy() from error

    def _take(self, process: RenderProcess, tasks: Sequence[Task]) -> None:
        """Asks a process; what it did not answer before it died stays to be asked for."""
        versions: dict[bytes, wire.VersionText] = {}
        for task in tasks:
            if task.version is not None:
                _collect(task.version, versions)
        jobs = [task.job for task in tasks]
        try:
            for answer in process.ask(jobs, versions, now=clock.now(), seconds=WALL_SECONDS):
                self._answers.append(answer)
                self._tries = 0
        except Died as death:
            self._after(death)

    def _after(self, death: Died) -> None:
        if death.is_guilty:
            self._killed += 1
            self._answers.append(wire.Fault(_TOO_MUCH, LIMIT, {}))
            return
        self._tries += 1
        if self._tries >= _TRIES:
            raise _busy()


def _busy() -> RenderingBusy:
    return RenderingBusy(retry_after=1)


def _content(answer: wire.Reply) -> Content | TemplateFault:
    if isinstance(answer, wire.Shown):
        return Content(answer.title, answer.body, answer.html)
    assert isinstance(answer, wire.Fault)
    return _fault(answer)


def _fault(fault: wire.Fault) -> TemplateFault:
    data = dict(fault.data)
    place = data.pop(wire.PLACE, None)
    if place is not None:
        log.error("render.broken", error=fault.detail, place=place)
    return TemplateFault(fault.detail, code=fault.code, **data)


def _collect(version: CompiledVersion, found: dict[bytes, wire.VersionText]) -> None:
    """Adds a version and all that it is built with."""
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
