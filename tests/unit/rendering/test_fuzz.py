"""Random templates in a render process: none exceeds the limits of a render.

`make proof` renders many more.
"""

from __future__ import annotations

import os
import resource
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from notifications.infra.packing import packed
from notifications.rendering.pool import wire
from notifications.rendering.pool.child import Died, RenderProcess
from notifications.rendering.pool.process_limits import CPU_SECONDS, MEMORY_BYTES
from notifications.rendering.pool.render_client import Task, name_of
from notifications.rendering.render import CompiledVersion
from tests.unit.rendering.grammar import CONTEXT, Grammar

NOW = datetime(2026, 3, 8, 12, 0, tzinfo=UTC)
SLACK_S = 0.08  # two ticks of the kernel's clock, and the packing of a reply
SLACK_BYTES = 24 * 2**20  # the request itself, compiled code, and the allocator's overhead
TICKS = os.sysconf("SC_CLK_TCK")
SEEDS = 300
PROOF_SEEDS = 20_000


class Watched:
    """A render process and its use of CPU and memory."""

    def __init__(self) -> None:
        self.process = RenderProcess()
        self.process.wait_started()
        self.run(_task("warm {{ 1|currency }}{{ at|date }}", "in_app_template"))

    def run(self, task: Task) -> wire.Reply:
        assert task.version is not None
        name, text = name_of(task.version), task.version.on_the_wire[1]
        replies = self.process.run_jobs([task.job], {name: text}, now=NOW, seconds=30.0)
        return next(iter(list(replies)))

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def anonymous(self) -> int:
        return self._figure("RssAnon")

    def peak(self) -> int:
        return self._figure("VmHWM")

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def _figure(self, name: str) -> int:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def _task(source: str, field: str) -> Task:
    version = CompiledVersion(
        version_id=0,
        path="fuzz",
        content={"en": {field: source}},
        required_variables=[],
        supported_channels=[],
        default_locale="en",
    )
    channel = "email" if field.startswith("email") else "in_app"
    context = msgspec.Raw(packed({**CONTEXT, "current_time": NOW}))
    return Task(wire.RenderJob(name_of(version), channel, "en", context, True), version)


@pytest.fixture
def watched() -> Iterator[list[Watched]]:
    held = [Watched()]
    yield held
    held[0].process.kill()


def children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def try_out(held: list[Watched], seeds: range) -> Counter[str]:
    """Renders and measures the templates of some seeds; returns the number of each result."""
    became: Counter[str] = Counter()
    for seed in seeds:
        field = "email_body_template" if seed % 2 else "in_app_template"
        task = _task(Grammar(seed).template(), field)
        watched = held[0]
        watched.forget_peak()
        cpu, memory = watched.cpu(), watched.peak()
        try:
            reply = watched.run(task)
        except Died as death:
            became["killed" if death.is_guilty else f"seed {seed}: {death}"] += 1
            held[0] = Watched()
            continue
        became[reply.code if isinstance(reply, wire.FaultReply) else "shown"] += 1
        if isinstance(reply, wire.FaultReply):
            assert wire.PLACE not in reply.data, f"seed {seed}: {reply}"
        assert watched.cpu() - cpu <= CPU_SECONDS + SLACK_S, f"seed {seed}"
        assert watched.peak() - memory <= MEMORY_BYTES + SLACK_BYTES, f"seed {seed}"
        if watched.process.is_worn:
            watched.process.kill()
            held[0] = Watched()
    return became


@pytest.mark.processes
def test_no_template_exceeds_the_limits_of_a_render(watched: list[Watched]) -> None:
    became = try_out(watched, range(SEEDS))

    assert became["killed"] <= SEEDS // 50  # the meter stops nearly all of them before
    assert became["shown"] > SEEDS // 20
    assert set(became) <= {
        "killed",
        "missing_variable",
        "shown",
        "template_error",
        "template_limit",
        "template_syntax",
    }


@pytest.mark.proof
@pytest.mark.processes
@pytest.mark.timeout(7_200)
def test_no_template_of_many_exceeds_the_limits_of_a_render(watched: list[Watched]) -> None:
    try_out(watched, range(SEEDS, PROOF_SEEDS))


def test_the_same_seed_makes_the_same_template() -> None:
    assert [Grammar(n).template() for n in range(20)] == [Grammar(n).template() for n in range(20)]
