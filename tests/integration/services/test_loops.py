"""Claims of loops, their takeover, and silent loops."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from carillon.celery import app
from notifications.domain import loops as specs
from notifications.domain.loops import LOOPS, RECEIPTS, TASKS, UPKEEP
from notifications.features.background.loops import LoopRunner, run_round, silent_loops
from notifications.features.upkeep.rounds import loop_calls
from notifications.infra import clock
from notifications.infra.process import identity as processes
from notifications.models import LoopReport, PeriodicLoop
from tests.functional.installation import wait_until

pytestmark = pytest.mark.django_db
rows = PeriodicLoop.objects


def silent() -> list[str]:
    return [each.name for each in silent_loops()]


class Monotonic:
    """The monotonic clock beside a frozen one: both move together."""

    def __init__(self, frozen: Any, monkeypatch: Any) -> None:
        self._frozen, self._at = frozen, 1_000.0
        monkeypatch.setattr(clock, "monotonic", lambda: self._at)

    def forward(self, seconds: float) -> None:
        self._at += seconds
        self._frozen.forward(seconds)


@pytest.fixture
def time(frozen: Any, monkeypatch: Any) -> Monotonic:
    return Monotonic(frozen, monkeypatch)


def test_loops_and_their_functions_match_one_to_one() -> None:
    assert {*loop_calls(), TASKS.name} == {spec.name for spec in LOOPS}
    app.loader.import_default_modules()
    by_beat = {app.tasks[entry["task"]].loop.name for entry in app.conf.beat_schedule.values()}
    assert by_beat == {spec.name for spec in LOOPS if spec.by_beat}
    assert all(spec.every_s <= spec.period_s and spec.period_s >= 10 for spec in LOOPS)


class TestSilence:
    def test_without_any_worker_no_loop_is_silent(self) -> None:
        assert silent() == []

    def test_a_loop_that_never_ran_has_three_periods_from_the_first_process_on(
        self, frozen: Any
    ) -> None:
        rows.register([RECEIPTS])
        frozen.forward(30)
        rows.register([RECEIPTS])  # a second process hides nothing
        assert silent() == []
        frozen.forward(1)
        assert silent() == ["receipts"]

    def test_a_loop_is_silent_after_three_periods_without_a_finished_round(
        self, frozen: Any
    ) -> None:
        for spec in LOOPS:
            run_round(spec, int, owner="task")
        frozen.forward(30)
        assert silent() == []
        frozen.forward(1)
        quick = ["audit sealer", "broadcasts", "campaigns", "expiring messages", "mail series"]
        assert silent() == [*quick, "queued tasks", "receipts", "scheduled broadcasts", "snoozes"]
        frozen.forward(40)
        assert silent_loops()[6].age_s == 71

    def test_rounds_that_fail_finish_nothing(self, frozen: Any) -> None:
        run_round(RECEIPTS, int, owner="task")
        for _ in range(4):
            frozen.forward(10)
            with pytest.raises(ZeroDivisionError):
                run_round(RECEIPTS, lambda: 1 / 0, owner="task")

        (found,) = silent_loops()
        assert (found.name, found.age_s) == ("receipts", 40)
        assert found.error.startswith("ZeroDivisionError (trace ")

    def test_a_start_after_a_pause_has_time_for_one_first_round(self, frozen: Any) -> None:
        run_round(RECEIPTS, int, owner="task")
        frozen.forward(3_600)
        assert silent() == ["receipts"]
        rows.register([RECEIPTS])
        assert silent() == []
        for _ in range(4):  # it starts again and again, and finishes nothing
            frozen.forward(10)
            rows.register([RECEIPTS])
        assert silent() == ["receipts"]

    def test_a_loop_that_this_version_does_not_know_is_never_silent(self, frozen: Any) -> None:
        rows.create(name="of old", period_s=1, registered_at=frozen.now)
        frozen.forward(100)
        assert silent() == []

    def test_readiness_and_health_name_the_silent_loop(self, frozen: Any, client: Client) -> None:
        assert client.get("/health/ready").status_code == 200
        rows.register([UPKEEP])
        frozen.forward(181)
        for path in ("/health/ready", "/health"):
            response = client.get(path)
            assert response.status_code == 503
            assert response.json()["checks"]["loops"]["status"] == "unhealthy"
            assert "upkeep for 181 s" in response.json()["reasons"][0]


class TestClaims:
    def test_two_processes_never_run_one_loop_at_once(self, frozen: Any) -> None:
        rows.register([RECEIPTS])
        assert rows.claim(["receipts"], owner="a", claim_s=10) == {"receipts"}
        assert rows.claim(["receipts"], owner="b", claim_s=10) == set()
        assert run_round(RECEIPTS, lambda: "ran", owner="task") is None
        frozen.forward(9)
        assert rows.renew([LoopReport("receipts")], owner="a", claim_s=10) == set()  # requested
        rows.release([LoopReport("receipts", 2.0)], owner="a")
        assert run_round(RECEIPTS, lambda: "ran", owner="task") == "ran"

    def test_the_claim_of_a_dead_process_expires(self, frozen: Any) -> None:
        rows.register([RECEIPTS])
        rows.claim(["receipts"], owner="dead", claim_s=10)
        frozen.forward(10)
        assert rows.claim(["receipts"], owner="b", claim_s=10) == {"receipts"}
        assert rows.renew([LoopReport("receipts", 1.0)], owner="dead", claim_s=10) == set()
        rows.release([LoopReport("receipts", 1.0)], owner="dead")
        assert rows.get().owner == "b"
        assert rows.get().finished_at is None

    def test_a_renewal_records_rounds_by_the_databases_clock(self, frozen: Any) -> None:
        rows.register([RECEIPTS, UPKEEP])
        rows.claim(["receipts", "upkeep"], owner="a", claim_s=10)
        frozen.forward(5)
        reports = [LoopReport("receipts", 2.0), LoopReport("upkeep", None, 3, "OSError")]
        assert rows.renew(reports, owner="a", claim_s=10) == {"receipts", "upkeep"}
        frozen.forward(1)
        assert [each.silent_s for each in rows.known(["receipts", "upkeep"])] == [3, 6]
        upkeep = rows.get(name="upkeep")
        assert (upkeep.failures, upkeep.last_error) == (3, "OSError")

    def test_a_loop_of_an_ended_process_is_claimed_at_once(
        self, time: Monotonic, monkeypatch: Any
    ) -> None:
        rows.register([RECEIPTS])
        rows.claim(["receipts"], owner="ended", claim_s=10)
        successor = LoopRunner({"receipts": int}, owner="successor")
        successor.tick()
        assert not successor.owns("receipts")
        monkeypatch.setattr(processes, "has_ended", lambda name: name == "ended")
        time.forward(1)
        successor.tick()
        assert successor.owns("receipts")


class TestLoopRunners:
    """Loop runners without their threads: the tests call the ticks themselves."""

    def runner(self, owner: str, *, standby: bool = False) -> LoopRunner:
        return LoopRunner({"receipts": int}, owner=owner, standby=standby)

    def test_the_first_process_claims_the_loop_and_the_second_waits(self, time: Monotonic) -> None:
        first, second = self.runner("first"), self.runner("second")
        for _ in range(20):
            first.tick()
            second.tick()
            assert (first.owns("receipts"), second.owns("receipts")) == (True, False)
            time.forward(1)
        waited = 0
        while not second.owns("receipts"):  # the first is dead
            time.forward(1)
            waited += 1
            second.tick()
        assert not first.owns("receipts")
        assert waited <= 10
        first.tick()  # it was only frozen
        assert (first.owns("receipts"), second.owns("receipts")) == (False, True)

    def test_a_hanging_loop_is_left_to_another_process(self, time: Monotonic) -> None:
        first, second = self.runner("first"), self.runner("second")
        first.tick()
        first._loops["receipts"].began_at = clock.monotonic()
        waited = 0
        while not second.owns("receipts"):
            time.forward(1)
            waited += 1
            first.tick()
            second.tick()
        assert 30 < waited <= 42

    def test_an_idle_loop_runner_makes_one_statement_in_three_seconds(
        self, time: Monotonic, django_assert_num_queries: Any
    ) -> None:
        runner = LoopRunner(loop_calls(), owner="only")
        runner.tick()
        with django_assert_num_queries(10):
            for _ in range(30):
                time.forward(1)
                runner.tick()

    def test_a_stand_in_claims_only_loops_without_a_recent_round_and_releases_them(
        self, time: Monotonic
    ) -> None:
        standby = self.runner("pool", standby=True)
        for _ in range(60):  # beat and broker are well
            assert run_round(RECEIPTS, lambda: "ran", owner="task") == "ran"
            standby.tick()
            assert not standby.owns("receipts")
            time.forward(2)

        waited = 0
        while not standby.owns("receipts"):  # the broker ends
            time.forward(1)
            waited += 1
            standby.tick()
        assert waited <= 16
        for _ in range(60):
            time.forward(1)
            standby.tick()
            assert standby.owns("receipts")

        tries = 0
        while run_round(RECEIPTS, lambda: "ran", owner="task") is None:  # it is back
            tries += 1
            time.forward(2)
            standby.tick()
        assert tries <= 3
        assert not standby.owns("receipts")

    def test_rows_that_a_restore_lost_are_created_again(self, time: Monotonic) -> None:
        runner = self.runner("only")
        runner.tick()
        rows.all().delete()
        for _ in range(6):
            time.forward(1)
            runner.tick()
        assert runner.owns("receipts")


@pytest.mark.django_db(transaction=True)
def test_a_loop_runner_runs_its_claimed_loops_and_releases_them_at_its_end() -> None:
    done: list[str] = []
    runner = LoopRunner({"receipts": lambda: done.append("round")}, owner="only")
    runner.start()
    wait_until(lambda: done)
    runner.stop()
    row = rows.get()
    assert (row.owner, row.claim_until) == ("only", None)
    assert row.finished_at is not None
    assert specs.BY_NAME["receipts"].period_s == row.period_s
