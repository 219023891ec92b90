"""A version whose renders take too much CPU time: which messages fail, and what is stopped."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from directory.models import User
from notifications.domain.callers import SYSTEM, Caller
from notifications.domain.errors import InvalidRequest, NotFound
from notifications.domain.scopes import ALL_SCOPES
from notifications.features.operations.health import health
from notifications.features.templates.proving import prove_due
from notifications.features.templates.service import TemplateService
from notifications.models import (
    DeadLetter,
    KillSwitch,
    NotificationMessage,
    NotificationTemplate,
    OperatorAction,
    TemplateOverrun,
    TemplateVersion,
)
from notifications.rendering import versions
from notifications.rendering.guard import guard
from notifications.rendering.language import meter
from notifications.rendering.release import WANTED, failed, release
from notifications.services import OperationsService
from tests.integration.factories import make_template, make_user
from tests.integration.preferences.conftest import message, send, work

pytestmark = pytest.mark.django_db
LOOP = "{% for a in range(200) %}{{ amount }}{% endfor %}"
SLOW = "{{ user.id }}" * 7_500


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every loop of this process take too long; render processes have their own limits."""
    monkeypatch.setattr(meter, "RENDER_CPU_SECONDS", -1.0)


def caller(name: str) -> Caller:
    return Caller(name=name, is_service=True, is_staff=True, scopes=ALL_SCOPES)


def make(path: str, text: str = LOOP) -> NotificationTemplate:
    return make_template(path, email_body_template=text)


def sent(reader: User, count: int = 1, source: str = "key:1", path: str = "test.loop") -> list[Any]:
    return [send(reader, template_path=path, caller=caller(source)) for _ in range(count)]


def states(responses: list[Any]) -> list[str]:
    return [message(each).status for each in responses]


def stops() -> list[str]:
    return sorted(f"{row.scope}:{row.value}" for row in KillSwitch.objects.all())


@pytest.fixture
def key(db: None) -> int:
    """The version of `test.loop`."""
    made = make("test.loop").current_version_id
    assert made is not None
    return made


@pytest.mark.usefixtures("slow")
class TestStops:
    def test_an_overrun_is_a_dead_letter_for_that_message_alone(self, key: int) -> None:
        make_template()
        reader = make_user()
        before, evil, after = send(reader), *sent(reader), send(reader)

        work()

        assert states([before, evil, after]) == ["sent", "failed", "sent"]
        letter = DeadLetter.objects.get()
        assert letter.code == "template_limit"
        assert reader.email not in letter.last_error
        assert stops() == []

    def test_the_third_overrun_stops_the_version_for_that_source_and_the_rest_waits(
        self, key: int
    ) -> None:
        make_template()
        reader = make_user()
        evil = sent(reader, 8)
        good = send(reader, caller=caller("key:1"))

        work()

        assert states(evil) == ["failed"] * 3 + ["pending"] * 5
        assert stops() == [f"version:{key}@key:1"]
        assert states([good]) == ["sent"]
        assert message(evil[4]).history()[-1]["reason"] == f"kill_switch:version:{key}@key:1"
        assert "test.loop v1" in KillSwitch.objects.get().reason

    def test_later_messages_wait_without_being_rendered(self, key: int) -> None:
        reader = make_user()
        sent(reader, 3)
        work()
        later = sent(reader, 2)
        work()

        assert states(later) == ["pending"] * 2
        assert TemplateOverrun.objects.get().count == 3

    def test_another_source_continues(self, key: int, monkeypatch: pytest.MonkeyPatch) -> None:
        reader = make_user()
        sent(reader, 3)
        work()
        monkeypatch.undo()
        other = sent(reader, 1, source="key:2")
        work()

        assert states(other) == ["sent"]

    def test_overruns_of_three_sources_stop_the_version_for_all(
        self, key: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reader = make_user()
        for source in ("key:1", "key:2", "users"):
            sent(reader, 1, source=source)
        work()
        assert stops() == [f"version:{key}"]
        monkeypatch.undo()
        other = sent(reader, 1, source="key:4")
        work()

        assert states(other) == ["pending"]

    def test_another_version_of_the_template_continues(
        self, key: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reader = make_user()
        for source in ("key:1", "key:2", "key:3"):
            sent(reader, 1, source=source)
        work()
        row = NotificationTemplate.objects.get(path="test.loop")
        row.email_body_template = "corrected {{ amount }}"
        row.save()
        corrected = sent(reader)
        work()

        assert states(corrected) == ["sent"]

    def test_overruns_of_another_day_do_not_add_up(self, key: int, frozen: Any) -> None:
        reader = make_user()
        for _ in range(4):
            sent(reader)
            work()
            frozen.now += timedelta(days=2)

        assert stops() == []
        assert TemplateOverrun.objects.get().count == 1

    def test_a_lifted_stop_restarts_the_count(
        self, key: int, monkeypatch: pytest.MonkeyPatch, frozen: Any
    ) -> None:
        reader = make_user()
        evil = sent(reader, 4)
        work()
        OperationsService().lift(scope="version", value=f"{key}@key:1", caller=SYSTEM)
        assert not TemplateOverrun.objects.exists()
        monkeypatch.undo()
        frozen.now += timedelta(minutes=10)
        work()

        assert states(evil) == ["failed"] * 3 + ["sent"]
        assert OperatorAction.objects.filter(action="kill-switch.stop", actor="system").exists()

    def test_health_names_the_stopped_version(self, key: int, frozen: Any) -> None:
        sent(make_user(), 3)
        work()

        found = health(now=frozen.now, in_full=lambda: True).checks["templates"]

        assert (found.status, found.count) == ("unhealthy", 1)
        assert f"{key}@key:1" in str(found.reason)
        assert "test.loop" in str(found.reason)


def test_a_text_that_grows_too_large_does_not_count_as_an_overrun(frozen: Any) -> None:
    make("test.big", "{% if current_time.year > 2030 %}{{ 'x' * 100000000 }}{% endif %}")
    reader = make_user()
    responses = [send(reader, template_path="test.big") for _ in range(5)]
    frozen.now += timedelta(days=365)

    work()

    assert states(responses) == ["failed"] * 5
    assert {letter.code for letter in DeadLetter.objects.all()} == {"template_error"}
    assert not TemplateOverrun.objects.exists()
    assert stops() == []


def test_a_kill_stops_the_version_for_its_source_at_once(key: int, frozen: Any) -> None:
    TemplateOverrun.objects.note(key, "key:7", at=frozen.now, is_kill=True)

    assert stops() == [f"version:{key}@key:7"]


def test_an_operator_may_stop_a_version_but_no_unknown_value(key: int) -> None:
    service = OperationsService()
    made = service.stop(scope="version", value=str(key), reason="wrong words", caller=SYSTEM)
    assert made.value == str(key)
    service.lift(scope="version", value=str(key), caller=SYSTEM)
    for value in ("0", "x", f"{key}x", "٣", "9" * 40, "@key:1"):
        with pytest.raises(InvalidRequest) as caught:
            service.stop(scope="version", value=value, reason="x", caller=SYSTEM)
        assert caught.value.code == "unknown_version"
    with pytest.raises(NotFound):
        service.lift(scope="version", value="12@key:1", caller=SYSTEM)


class TestProofs:
    def proofs(self) -> dict[str, str]:
        rows = TemplateVersion.objects.values_list("template__path", "number", "proved_by")
        return {f"{path} {number}": by for path, number, by in rows if path.startswith("test.")}

    def test_the_service_proves_what_it_publishes(self) -> None:
        service = TemplateService()
        body = {"name": "x", "path": "test.new", "in_app_template": "Hi"}
        made = service.create(body={**body, "status": "published"}, caller=SYSTEM)
        service.update(identifier=made.id, body={"in_app_template": "Ho"}, caller=SYSTEM)
        service.publish(identifier=made.id, caller=SYSTEM)
        service.rollback(identifier=made.id, caller=SYSTEM)

        assert self.proofs() == {f"test.new {n}": release() for n in (1, 2, 3)}

    def test_an_upgrade_proves_the_current_versions_in_the_background(self, frozen: Any) -> None:
        row = make("test.one")
        row.email_body_template = "second"
        row.save()
        make("test.off").__class__.objects.filter(path="test.off").update(is_active=False)
        TemplateVersion.objects.update(proved_by="of another release"[:16])

        assert prove_due(now=frozen.now) > 0
        assert self.proofs() == {
            "test.one 1": "of another releas"[:16],
            "test.one 2": release(),
            "test.off 1": "of another releas"[:16],
        }
        assert prove_due(now=frozen.now) == 0

    def test_a_version_whose_own_example_takes_too_much_is_stopped_for_all_once(
        self, frozen: Any
    ) -> None:
        key = make("test.slow", SLOW).current_version_id
        prove_due(now=frozen.now)
        assert stops() == [f"version:{key}"]
        assert self.proofs() == {"test.slow 1": failed()}
        OperationsService().lift(scope="version", value=str(key), caller=SYSTEM)
        prove_due(now=frozen.now)

        assert stops() == []

    def test_an_example_without_some_variables_does_not_prevent_the_proof(
        self, frozen: Any
    ) -> None:
        make("test.missing", "{{ un.known.name }}")
        prove_due(now=frozen.now)

        assert self.proofs() == {"test.missing 1": release()}
        assert stops() == []

    def test_a_version_that_a_worker_met_in_a_queued_message_is_proved(self, frozen: Any) -> None:
        row = make("test.old")
        old = row.current_version_id
        row.email_body_template = "second"
        row.save()
        assert old is not None
        met = versions.version_of(old)
        assert versions.refresh_proof(met) is False
        assert self.proofs()["test.old 1"] == WANTED
        prove_due(now=frozen.now)

        assert self.proofs()["test.old 1"] == release()
        assert versions.refresh_proof(met) is True

    def test_other_versions_wait_when_no_process_is_free(
        self, frozen: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make("test.one")

        def busy(*_: Any, **__: Any) -> None:
            raise guard_busy()

        from notifications.features.templates import proving

        guard_busy = proving.RenderingBusy
        monkeypatch.setattr(proving, "first_fault", busy)
        assert prove_due(now=frozen.now) == 0
        assert self.proofs() == {"test.one 1": ""}


@pytest.mark.once  # coverage, which is measured on PostgreSQL, turns interrupts into SystemErrors
class TestAGuardedWorker:
    """The guard of a worker process, tested within this process."""

    @pytest.fixture
    def guarded(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        made = guard.Guard()
        monkeypatch.setattr("notifications.engine.prepare.GUARD", made)
        with made.running():
            yield made

    def test_a_render_that_the_meter_does_not_see_is_interrupted(
        self, guarded: Any, key: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def for_ever(*_: Any, **__: Any) -> None:
            while True:
                pass

        make_template()
        reader = make_user()
        evil, good = sent(reader), [send(reader)]
        found = versions.version_of(key)
        monkeypatch.setattr(found, "render", for_ever)

        work()

        assert states(evil + good) == ["failed", "sent"]
        assert DeadLetter.objects.get().code == "template_limit"
        assert TemplateOverrun.objects.get().count == 1

    def test_dispatches_stop_while_an_unproved_version_renders(
        self, guarded: Any, key: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        closed: list[int] = []
        found = versions.version_of(key)
        real = found.render
        monkeypatch.setattr(
            found,
            "render",
            lambda **given: (closed.append(guard.DISPATCH_GATE._closed), real(**given))[1],
        )
        sent(make_user())
        work()
        versions.mark_proved(key)
        sent(make_user())
        work()

        assert closed == [1, 0]
        assert guard.DISPATCH_GATE._closed == 0
        reasons = list(NotificationMessage.objects.values_list("status", "last_error"))
        assert [status for status, _ in reasons] == ["sent", "sent"], reasons


def test_an_unreadable_version_does_not_prevent_the_proof_of_others(frozen: Any) -> None:
    made = [make(path, "{{ amount }}") for path in ("test.bad", "test.odd", "test.good")]
    NotificationTemplate.objects.filter(pk=made[1].pk).update(example_context=7)
    keys = [each.current_version_id for each in made]
    rows = TemplateVersion.objects.filter(pk__in=keys)
    rows.update(proved_by=WANTED)
    rows.filter(pk=keys[0]).update(pins={"layouts.mail": None})
    versions.forget_versions()
    prove_due(now=frozen.now)
    assert set(rows.values_list("proved_by", flat=True)) == {release()}
