"""Render processes: untrusted texts are processed where the process can be killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from notifications.domain.errors import InvalidRequest, RenderingBusy, TemplateFault
from notifications.domain.messages import Content
from notifications.rendering.pool import child, render_client
from notifications.rendering.pool.child import RenderProcess
from notifications.rendering.pool.lending import Exhausted, ProcessPool
from notifications.rendering.render import CompiledVersion
from tests.pace import pace

pytestmark = pytest.mark.processes
GOOD = "Hi\n\nHello {{ name }}"
SLOW = "{{ a }}" * 12_000
"""Compiling its code alone takes more than a render's CPU time."""
LARGE = (
    "<mjml><mj-body><mj-section><mj-column><mj-carousel>"
    + "<mj-carousel-image src='x' />" * 3_300
    + "</mj-carousel></mj-column></mj-section></mj-body></mjml>"
)


def version(source: str, field: str = "in_app_template", path: str = "a.b") -> CompiledVersion:
    return CompiledVersion(
        version_id=0,
        path=path,
        content={"en": {field: source}},
        required_variables=[],
        supported_channels=[],
        default_locale="en",
    )


def task(of: CompiledVersion, context: dict[str, Any] | None = None) -> render_client.Task:
    channel = of.channels[0]
    return render_client.render_task(
        of, channel=channel, locale="en", context={"name": "Ann", "a": 1, **(context or {})}
    )


def rendered(*tasks: render_client.Task) -> list[Content | TemplateFault]:
    return render_client.render_published(tasks)


def bodies(found: list[Content | TemplateFault]) -> list[str]:
    return [each.body if isinstance(each, Content) else each.code for each in found]


@pytest.fixture
def own_pools() -> Iterator[render_client.Pools]:
    """Gives the test its own pools; the processes of other tests are unaffected."""
    before, render_client._pools = render_client._pools, None
    made = render_client.pools()
    yield made
    made.close()
    render_client._pools = before


class TestProcesses:
    def test_a_process_has_no_secret_no_settings_and_no_database(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CARILLON_SECRET_KEY", "very-secret")
        process = RenderProcess()
        try:
            process.wait_started()
            seen = Path(f"/proc/{process.pid}/environ").read_bytes().decode()
            opened = [os.readlink(each) for each in Path(f"/proc/{process.pid}/fd").iterdir()]
        finally:
            process.kill()

        names = {each.partition("=")[0] for each in seen.split("\0") if each}
        assert names <= {"PYTHONPATH", "PYTHONPYCACHEPREFIX", "LANG", "LC_CTYPE"}
        assert "very-secret" not in seen
        assert not [
            each
            for each in opened
            if each.startswith("/") and "/dev/" not in each and "/proc/" not in each
        ]

    def test_a_process_loads_neither_django_nor_database_libraries(self) -> None:
        probe = f"import sys; import {child.MODULE}; print(*sorted(sys.modules))"
        result = subprocess.run(
            [sys.executable, "-c", probe], capture_output=True, text=True, check=True
        )

        modules = set(result.stdout.split()) - {"directory", "directory.texts"}
        loaded = {name.partition(".")[0] for name in modules}
        assert loaded.isdisjoint(
            {"django", "carillon", "directory", "celery", "psycopg", "redis", "cryptography"}
        )

    def test_a_process_ends_with_its_parent(self) -> None:
        code = (
            "import time; from notifications.rendering.pool.child import RenderProcess;"
            "p = RenderProcess(); p.wait_started(); print(p.pid, flush=True); time.sleep(60)"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
        ) as parent:
            assert parent.stdout is not None
            pid = int(parent.stdout.readline())
            assert is_running(pid)
            parent.kill()

        assert eventually(lambda: not is_running(pid))

    def test_an_idle_process_ends_itself_and_another_replaces_it(self) -> None:
        pool = ProcessPool(1, idle_seconds=0.05)
        with pool.lend(frozenset("a"), seconds=5) as first:
            first.wait_started()
        assert eventually(lambda: first._process.poll() == 0)
        run = render_client._Run(pool, "a", [task(version(GOOD))], seconds=5)

        assert [type(each).__name__ for each in run.together()] == ["Rendered"]
        pool.close()

    def test_a_version_travels_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        process, sent = RenderProcess(), []
        process.wait_started()
        of = version(GOOD + "x" * 50_000)
        name, text = render_client._text_of(of)
        real = child.wire.framed
        monkeypatch.setattr(
            child.wire, "framed", lambda value: (sent.append(len(real(value))), real(value))[1]
        )
        for _ in range(3):
            replies = process.run_jobs(
                [task(of).job], {name: text}, now=render_client.clock.now(), seconds=5
            )
            assert len(list(replies)) == 1
        process.kill()

        assert sent[0] > 50_000
        assert max(sent[1:]) < 1_000

    def test_a_process_caches_few_compiled_versions_and_stores_all_texts(self) -> None:
        versions = [version(f"{GOOD} {n} " + "x" * 90_000, path=f"a.b{n}") for n in range(40)]

        for _ in range(2):
            assert [each.startswith("Hello Ann") for each in bodies(rendered(*map(task, versions)))]


class TestExceededLimits:
    @pytest.mark.parametrize(
        "bad", [version(SLOW), version(LARGE, "email_html_template")], ids=["CPU time", "memory"]
    )
    def test_the_author_gets_template_limit_and_others_are_unaffected(
        self, own_pools: render_client.Pools, bad: CompiledVersion
    ) -> None:
        good = task(version(GOOD))

        found = bodies(rendered(good, task(bad), good))

        assert found == ["Hello Ann", "template_limit", "Hello Ann"]

    def test_when_a_process_is_killed_the_rest_of_its_request_goes_elsewhere(
        self, own_pools: render_client.Pools
    ) -> None:
        harmless = task(version(GOOD))
        run = render_client._Run(
            own_pools.published,
            "k",
            [harmless, task(version(SLOW)), harmless, task(version(SLOW)), harmless],
            seconds=10,
        )
        replies = [getattr(each, "body", getattr(each, "code", "")) for each in run.together()]
        assert replies == [
            "Hello Ann",
            "template_limit",
            "Hello Ann",
            "template_limit",
            "Hello Ann",
        ]

    def test_the_texts_of_a_draft_are_skipped_after_several_kills(
        self, own_pools: render_client.Pools
    ) -> None:
        tasks = [task(version(SLOW))] * 7

        found = render_client.render_drafts("user:1", tasks)

        assert [each.code for each in found if isinstance(each, TemplateFault)] == [
            "template_limit"
        ] * 7
        assert "not checked" in str(found[-1])

    def test_an_invalid_context_is_refused_before_it_is_sent(self) -> None:
        for value, code in ((2**64, "number_out_of_range"), ("\ud83c", "invalid_text")):
            with pytest.raises(InvalidRequest) as caught:
                task(version(GOOD), {"order": {"lines": [1, value]}})
            assert (caught.value.errors[0].path, caught.value.code) == (
                "context.order.lines[1]",
                code,
            )

    def test_half_a_character_of_a_text_is_a_fault(self) -> None:
        (found,) = rendered(task(version("{{ '\\ud83c' }}")))

        assert isinstance(found, TemplateFault)


class TestWaiting:
    def test_a_process_without_a_reply_is_a_503_and_never_a_limit(
        self, own_pools: render_client.Pools, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rendered(task(version(GOOD)))
        monkeypatch.setattr(render_client, "WALL_SECONDS", 0.2)
        (pid,) = own_pools.published.processes()
        os.kill(pid, signal.SIGSTOP)

        with pytest.raises(RenderingBusy) as caught:
            rendered(task(version(GOOD)))

        assert caught.value.data["retry_after"] == 1
        assert eventually(lambda: not is_running(pid))
        monkeypatch.undo()
        assert bodies(rendered(task(version(GOOD)))) == ["Hello Ann"]

    def test_a_killed_process_is_replaced(self, own_pools: render_client.Pools) -> None:
        rendered(task(version(GOOD)))
        (pid,) = own_pools.published.processes()
        os.kill(pid, signal.SIGKILL)

        assert bodies(rendered(task(version(GOOD)))) == ["Hello Ann"]
        assert own_pools.published.processes() != [pid]

    def test_a_key_uses_one_process_at_a_time_while_others_are_served(self) -> None:
        pool = ProcessPool(2)
        with pool.lend(frozenset("a"), seconds=5):
            with pytest.raises(Exhausted), pool.lend(frozenset("a"), seconds=0.05):
                pass
            with pool.lend(frozenset("b"), seconds=5) as other:
                assert not other.is_dead
        with pool.lend(frozenset("a"), seconds=5):
            pass
        pool.close()

    def test_waiting_threads_are_served_in_order(self) -> None:
        pool, order = ProcessPool(1), []

        def borrow(name: str) -> None:
            with pool.lend(frozenset(name), seconds=10):
                order.append(name)

        with pool.lend(frozenset("z"), seconds=5):
            threads = []
            for name in "abc":
                threads.append(threading.Thread(target=borrow, args=(name,)))
                threads[-1].start()
                assert eventually(lambda: len(pool._waiting) == len(threads))
        for thread in threads:
            thread.join()
        pool.close()

        assert order == ["a", "b", "c"]

    def test_there_are_never_more_processes_than_configured(self) -> None:
        pool, most = ProcessPool(2), []

        def borrow(name: str) -> None:
            with pool.lend(frozenset(name), seconds=10):
                most.append(pool._lent)

        threads = [threading.Thread(target=borrow, args=(name,)) for name in "abcdefgh"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        count = len(pool.processes())
        pool.close()

        assert max(most) <= 2
        assert count <= 2

    def test_a_forked_child_has_pools_of_its_own(self, own_pools: render_client.Pools) -> None:
        rendered(task(version(GOOD)))
        mine = own_pools.published.processes()
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:  # the child
            try:
                said = bodies(rendered(task(version(GOOD))))
                pids = render_client.pools().published.processes()
                theirs.sendall(repr((said, pids)).encode())
            finally:
                render_client.close_pools()
                os._exit(0)
        os.waitpid(pid, 0)
        said, pids = eval(ours.recv(1_000).decode())  # of our own child
        ours.close()
        theirs.close()

        assert said == ["Hello Ann"]
        assert set(pids).isdisjoint(mine)
        assert own_pools.published.processes() == mine
        assert bodies(rendered(task(version(GOOD)))) == ["Hello Ann"]


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def eventually(holds: Callable[[], bool]) -> bool:
    began = time.monotonic()
    while not holds():
        took = time.monotonic() - began
        if took > 10 and took > 10 * pace():
            return False
        time.sleep(0.01)
    return True
