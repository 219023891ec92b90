"""Does anybody run the schedule, and what of it fails: as `/health` and the doctor say it."""

from __future__ import annotations

from typing import Any

import pytest
from celery.app.trace import build_tracer
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from carillon.celery import app
from carillon.cli import doctor
from notifications.domain.loops import CANCELLED, LOOPS, RECEIPTS, UPKEEP, LoopSpec
from notifications.features.access.authentication import new_drf_token
from notifications.features.background.loops import run_round
from notifications.features.operations import health_probes
from notifications.features.operations.health import health
from notifications.features.operations.health_results import CheckResponse
from notifications.infra import clock
from notifications.infra.process.probing import Probe
from notifications.models import ApiKey, KillSwitch, LoopReport, PeriodicLoop, QueuedTask
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
rows = PeriodicLoop.objects


@pytest.fixture(autouse=True)
def _writes_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """On SQLite a test's own transaction holds the lock that a true write would wait for."""
    monkeypatch.setattr(health_probes, "_writes", Probe("test", lambda: None))


def check(name: str, *, in_full: bool = True) -> CheckResponse:
    return health(now=clock.now(), in_full=lambda: in_full).checks[name]


def fail(spec: LoopSpec) -> None:
    def raises() -> None:
        raise RuntimeError("a secret")

    with pytest.raises(RuntimeError):
        run_round(spec, raises)


class TestNoBeat:
    def test_an_installation_whose_schedule_never_ran_has_no_beat(self) -> None:
        assert check("beat").reason == (
            "no beat: no round of the schedule was ever run:"
            " start `carillon worker`, or `carillon beat` beside workers"
        )

    def test_a_process_that_has_just_begun_has_a_minute_for_its_first_round(
        self, frozen: Any
    ) -> None:
        rows.register(LOOPS)
        frozen.forward(60)
        assert check("beat").status == "healthy"
        frozen.forward(1)
        assert "no beat: no round of the schedule has run for 61 s" in str(check("beat"))

    @pytest.mark.parametrize("spec", [RECEIPTS, UPKEEP, CANCELLED])
    def test_one_round_of_any_loop_is_a_beat_also_one_that_failed(
        self, frozen: Any, spec: LoopSpec
    ) -> None:
        rows.register(LOOPS)
        frozen.forward(100)
        run_round(spec, lambda: None)
        assert check("beat").status == "healthy"
        frozen.forward(61)
        fail(spec)
        assert check("beat").status == "healthy"
        frozen.forward(61)
        assert check("beat").status == "unhealthy"

    def test_work_outside_the_schedule_is_not_a_beat(self, frozen: Any) -> None:
        rows.register(LOOPS)
        frozen.forward(100)
        for spec in LOOPS:
            if not spec.by_beat:
                run_round(spec, lambda: None)
        assert check("beat").status == "unhealthy"

    def test_the_process_of_the_last_round_is_shown_only_in_full(
        self, frozen: Any, client: Client
    ) -> None:
        rows.register(LOOPS)
        at = clock.now()
        run_round(RECEIPTS, lambda: None, owner="host/9/worker")
        frozen.forward(90)

        said = f"host/9/worker ran the last, at {at:%Y-%m-%d %H:%M:%S} UTC"
        assert said in str(check("beat").reason)
        (found,) = [each for each in doctor._health() if each.name == "beat"]
        assert (found.well, said in found.detail) == (False, True)
        assert "carillon beat" in found.fix
        answer = client.get("/health")
        assert answer.status_code == 503
        assert "no beat: no round of the schedule has run for 90 s" in answer.content.decode()
        assert b"host/9" not in answer.content


class TestFailing:
    def test_a_loop_whose_rounds_fail_is_named_long_before_it_is_silent(
        self, frozen: Any, client: Client
    ) -> None:
        rows.register([CANCELLED])
        run_round(CANCELLED, lambda: None)
        frozen.forward(86_400)
        fail(CANCELLED)

        reason = str(check("loops").reason)
        assert "the last round failed of: cancelled notifications (RuntimeError (trace" in reason
        assert "a secret" not in reason
        assert client.get("/health/ready").status_code == 200
        run_round(CANCELLED, lambda: None)
        assert check("loops").reason is None

    def test_a_loop_that_may_recover_with_its_next_round_is_not_named(self, frozen: Any) -> None:
        rows.register([UPKEEP])
        run_round(UPKEEP, lambda: None)
        frozen.forward(119)
        fail(UPKEEP)
        assert check("loops").reason is None

    def test_a_silent_loop_is_named_once(self, frozen: Any) -> None:
        rows.register([UPKEEP])
        frozen.forward(181)
        fail(UPKEEP)
        reason = str(check("loops").reason)
        assert "upkeep for 181 s (RuntimeError (trace" in reason
        assert reason.count("upkeep") == 1

    def test_a_process_that_reports_a_good_round_ends_it(self, frozen: Any) -> None:
        rows.register([CANCELLED])
        frozen.forward(600)
        fail(CANCELLED)
        rows.claim([CANCELLED.name], owner="w", claim_s=10)
        rows.renew([LoopReport(CANCELLED.name, finished_s=0.0)], owner="w", claim_s=10)
        assert check("loops").reason is None

    def test_a_task_that_a_broker_brought_and_that_failed_is_named_for_a_day(
        self, frozen: Any
    ) -> None:
        @app.task(name="tests.broken")
        def broken() -> None:
            raise ValueError("a secret")

        try:
            for _ in range(3):  # as a worker runs it
                task = app.tasks["tests.broken"]
                request = {"id": "1", "is_eager": False, "task": task.name}
                _traced(task, request)
        finally:
            app.tasks.pop("tests.broken")
        assert QueuedTask.objects.count() == 1
        assert check("tasks").reason == (
            "1 queued tasks failed within a day: tests.broken (ValueError)"
        )
        frozen.forward(86_401)
        assert check("tasks").reason is None


def _traced(task: Any, request: dict[str, Any]) -> None:
    trace = build_tracer(task.name, task, app=app, propagate=False)
    trace("1", (), {}, request)


class TestStops:
    @pytest.fixture(autouse=True)
    def _stop(self) -> None:
        rows.register(LOOPS)
        for scope, value in (("channel", "sms"), ("version", "7")):
            KillSwitch.objects.create(
                scope=scope, value=value, reason="Bob misused it", actor="x", created_at=clock.now()
            )

    def reasons(self, client: Any, **more: Any) -> str:
        return " ".join(client.get("/health", **more).json()["reasons"])

    def test_the_public_sees_what_is_stopped_and_not_why(self, client: Client) -> None:
        reported = self.reasons(client)
        assert "stops: stopped until an operator lifts it: channel sms" in reported
        assert "templates: stopped until an operator lifts it: version 7" in reported
        assert "Bob" not in reported

    @pytest.mark.parametrize("header", ["Bearer a.b.c", "Token x", "Bearer ck_live_x", "é"])
    def test_an_invalid_credential_gets_the_public_view(self, client: Client, header: str) -> None:
        assert "Bob" not in self.reasons(client, headers={"Authorization": header})

    @pytest.mark.parametrize("is_staff", [False, True])
    def test_staff_see_the_reasons_by_session_and_by_header(
        self, client: Client, is_staff: bool
    ) -> None:
        user = make_user(is_staff=is_staff)
        header = f"Token {new_drf_token(user)}"
        by_header = self.reasons(client, headers={"Authorization": header})
        client.force_login(user)
        for reported in (by_header, self.reasons(client)):
            assert ("channel sms (Bob misused it)" in reported) is is_staff

    def test_a_key_sees_the_reasons_and_nothing_is_written_for_it(self, client: Client) -> None:
        """A write would wait where writes hang, and with it the thread of other checks."""
        _, text = ApiKey.make(name="watch", scopes=["operations"], kind="live")
        with CaptureQueriesContext(connection) as queries:
            reported = self.reasons(client, headers={"Authorization": f"Bearer {text}"})

        assert "channel sms (Bob misused it)" in reported
        assert not [each for each in queries if "UPDATE" in each["sql"]]

    def test_a_health_check_fetches_no_keys_of_the_platform(
        self, client: Client, override_environment: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fetched(*_: Any) -> None:
            raise AssertionError("keys were fetched")

        monkeypatch.setattr("notifications.features.access.authentication._key_for", fetched)
        override_environment(jwt_jwks_url="https://platform.example/keys")
        assert "Bob" not in self.reasons(client, headers={"Authorization": "Bearer a.b.c"})

    def test_the_doctor_shows_everything(self) -> None:
        reported = {each.name: each.detail for each in doctor._health()}
        assert reported["stops"].endswith("channel sms (Bob misused it)")
        assert reported["templates"].endswith("version 7 (Bob misused it)")
