"""Drafts, start, pause, stop and declare: what each allows, freezes and changes for sends."""

from __future__ import annotations

import msgspec
import pytest

from notifications.domain.callers import SYSTEM, Caller
from notifications.domain.errors import Conflict, InvalidRequest, NotFound, Refused
from notifications.features.experiments.catalog import forget_tests
from notifications.features.experiments.schemas import ABTestChangeBody, ABTestDeclareBody
from notifications.features.experiments.service import ABTestService
from notifications.models import (
    ABTestStatus,
    Goal,
    NotificationABTest,
    NotificationTemplate,
    OperatorAction,
)
from tests.integration.experiments.conftest import PATH, SHORT, draft, make_plain, send, started

pytestmark = pytest.mark.django_db


def change(key, **fields):
    body = msgspec.convert(fields, ABTestChangeBody)
    found = ABTestService().change(identifier=key, body=body, caller=SYSTEM)
    forget_tests()  # no transaction commits in a test
    return found


def declare(key, winner):
    body = ABTestDeclareBody(winner=winner, reason="shorter is nicer")
    found = ABTestService().declare(identifier=key, body=body, caller=SYSTEM)
    forget_tests()
    return found


def act(action, key):
    found = getattr(ABTestService(), action)(identifier=key, caller=SYSTEM)
    forget_tests()
    return found


def versions(people, **more):
    """The template versions that these people get."""
    return {send(person, **more).template_version_id for person in people}


def version_of(path):
    return NotificationTemplate.objects.get(path=path).current_version_id


def codes(error):
    return {(each.path, each.code) for each in error.value.errors}


def test_a_draft_changes_nothing_and_may_change(template, people):
    key = draft(template)
    assert send(people[0]).ab_test_id is None
    found = change(key, traffic_percentage=10, variants=[{"name": "X"}, {"name": "A"}])
    assert (found.traffic_percentage, found.status) == (10, "draft")
    assert [each.template_path for each in found.variants] == [PATH, PATH]
    act("delete", key)
    with pytest.raises(NotFound) as error:
        act("get", key)
    assert error.value.code == "unknown_ab_test"


def test_a_start_freezes_what_is_compared(running, people):
    test = running(traffic_percentage=50)
    for fields in (
        {"variants": [{"name": "A"}, {"name": "B", "weight": 9}]},
        {"control": "B"},
        {"holdout_percentage": 0},
        {"expected_lift": 0.5},
        {"metric": "open_rate"},
        {"window_days": 3},
        {"traffic_percentage": 40},
    ):
        with pytest.raises(Conflict) as error:
            change(test.pk, **fields)
        assert error.value.code == "ab_test_started", fields
    assert change(test.pk, traffic_percentage=80, name="Other").traffic_percentage == 80

    before = {person.pk: send(person).template_version_id for person in people}
    row = started(test.pk)
    row.variants = [
        {**each, "weight": 1_000 if each["name"] == "B" else 1} for each in row.variants
    ]
    row.save()  # by hand: the frozen weights count
    assert {person.pk: send(person).template_version_id for person in people} == before
    assert started(test.pk).weights == {"A": 1, "B": 1}


def test_running_variants_keep_their_versions(running, people):
    running()
    old = {version_of(PATH), version_of(SHORT)}
    for path in (PATH, SHORT):
        row = NotificationTemplate.objects.get(path=path)
        row.email_body_template = "Rewritten"
        row.save()
    assert versions(people) == old


def test_a_named_version_is_sent(template, people, running):
    first = version_of(SHORT)
    row = NotificationTemplate.objects.get(path=SHORT)
    row.email_body_template = "Rewritten"
    row.save()
    running(variants=[{"name": "A"}, {"name": "B", "template_path": SHORT, "version": 1}])
    assert versions(people) == {version_of(PATH), first}


def test_a_paused_test_sends_control_and_goes_on(running, people):
    test = running()
    before = {person.pk: send(person).template_version_id for person in people}
    act("pause", test.pk)
    paused = send(people[0])
    assert (paused.template_version_id, paused.variant) == (
        version_of(PATH),
        f"{test.pk}:A/paused",
    )
    assert versions(people) == {version_of(PATH)}
    with pytest.raises(Conflict):
        act("pause", test.pk)
    act("start", test.pk)
    assert {person.pk: send(person).template_version_id for person in people} == before


def test_a_stopped_test_sends_the_template_again(running, people):
    test = running()
    found = act("stop", test.pk)
    assert (found.status, found.winner, found.ended_by) == ("completed", None, "stopped")
    assert not found.in_force
    assert send(people[0]).ab_test_id is None
    for action in ("start", "pause", "stop"):
        with pytest.raises(Conflict) as error:
            act(action, test.pk)
        assert error.value.code == "ab_test_status"


def test_a_stopped_test_sends_the_control_where_that_is_another_text(running, people):
    running(control="B")
    test = NotificationABTest.objects.get()
    assert act("stop", test.pk).in_force
    assert send(people[0]).variant == f"{test.pk}:B/ended"
    assert versions(people) == {version_of(SHORT)}


def test_the_rest_gets_the_declared_winner_until_it_is_withdrawn(running, people, template):
    test = running()
    found = declare(test.pk, "B")
    assert (found.status, found.winner, found.ended_by) == ("completed", "B", "declared")
    assert found.conclusion == "shorter is nicer"
    assert versions(people) == {version_of(SHORT)}
    row = NotificationTemplate.objects.get(path=SHORT)
    row.email_body_template = "Rewritten"
    row.save()
    forget_tests()
    assert versions(people) == {version_of(SHORT)}, "authors go on writing it"

    change(test.pk, in_force=False)
    assert versions(people) == {version_of(PATH)}
    with pytest.raises(Conflict):
        change(test.pk, in_force=True)
    with pytest.raises(InvalidRequest):
        declare(act("start", draft(template)).id, "C")


def test_a_template_has_one_test_and_the_next_one_takes_over(running, people, template):
    first = running()
    second = draft(template)
    with pytest.raises(Conflict) as error:
        act("start", second)
    assert error.value.code == "template_in_test"
    with pytest.raises(Conflict):
        act("delete", first.pk)
    declare(first.pk, "B")
    act("start", second)
    assert not started(first.pk).in_force
    assert send(people[0]).ab_test_id == second


def test_a_deleted_template_of_a_variant_harms_no_send(running, people):
    test = running()
    NotificationABTest.objects.filter(pk=test.pk).update(
        frozen={**test.frozen, "versions": {"A": version_of(PATH), "B": 999_999}}
    )
    forget_tests()
    made = send(people[0])
    assert (made.variant, made.template_version_id) == (
        f"{test.pk}:/outside",
        version_of(PATH),
    )


def test_a_row_that_cannot_be_read_harms_no_send(running, people):
    test = running()
    NotificationABTest.objects.filter(pk=test.pk).update(frozen={"variants": []})
    forget_tests()
    assert send(people[0]).ab_test_id is None


def test_every_change_is_recorded(running):
    test = running()
    act("pause", test.pk)
    declare(test.pk, "A")
    rows = OperatorAction.objects.filter(target=f"ab-test:{test.pk}").order_by("pk")
    assert [row.action.partition(".")[2] for row in rows] == [
        "created",
        "started",
        "paused",
        "declared",
    ]


def test_wrong_drafts_are_refused_with_every_error(template):
    Goal.objects.create(name="Bought", event="bought")
    with pytest.raises(InvalidRequest) as error:
        draft(
            template,
            variants=[{"name": "A"}, {"name": "A"}],
            control="Z",
            channel="pigeon",
            metric="smiles",
            holdout_percentage=10,
        )
    assert codes(error) == {
        ("variants", "invalid"),
        ("control", "unknown_variant"),
        ("channel", "invalid_channel"),
        ("metric", "invalid_choice"),
        ("holdout_percentage", "holdout_not_marketing"),
    }
    with pytest.raises(InvalidRequest) as error:
        draft(template, metric="conversion_rate")
    assert codes(error) == {("goal", "required")}
    with pytest.raises(InvalidRequest) as error:
        draft(template, metric="conversion_rate", goal="Nothing")
    assert codes(error) == {("goal", "unknown_goal")}
    assert draft(template, metric="conversion_rate", goal="Bought")


@pytest.mark.parametrize(
    ("variant", "code"),
    [
        ({"template_path": "test.nowhere"}, "unknown_template"),
        ({"template_path": SHORT, "version": 9}, "unknown_version"),
        ({"template_path": "test.push"}, "channel_not_in_template"),
        ({"template_path": "test.needy"}, "missing_variable"),
    ],
)
def test_a_variant_that_cannot_be_sent_does_not_start(template, variant, code):
    make_plain("test.push", "Push", supported_channels=["push"])
    needy = make_plain("test.needy", "{{ name }}")
    needy.required_variables = ["name"]
    needy.save()
    key = draft(template, variants=[{"name": "A"}, {"name": "B", **variant}])
    with pytest.raises(InvalidRequest) as error:
        act("start", key)
    assert codes(error) == {("variants[1].template_path", code)}
    assert started(key).status == ABTestStatus.DRAFT


def test_writers_of_templates_write_tests_and_no_one_else(template):
    key = draft(template)
    reader = Caller(name="key:2", is_service=True, scopes=frozenset({"analytics:read"}))
    with pytest.raises(Refused):
        ABTestService().start(identifier=key, caller=reader)
    with pytest.raises(Refused):
        ABTestService().get(identifier=key, caller=reader)
    assert ABTestService().results(identifier=key, caller=reader).arms[0].exposures == 0
    limited = Caller(
        name="user:3", scopes=frozenset({"templates:write"}), categories=frozenset({999})
    )
    with pytest.raises(Refused) as error:
        ABTestService().start(identifier=key, caller=limited)
    assert error.value.code == "category_not_allowed"
