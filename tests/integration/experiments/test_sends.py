"""What people get while their template is tested: assignment, holdout, exposures, explain."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from directory.models import User
from notifications.domain.callers import SYSTEM
from notifications.domain.experiments.assignment import Inclusion, assign_variant
from notifications.features.experiments import catalog
from notifications.features.experiments.counting import count_test
from notifications.features.experiments.schemas import ABTestDeclareBody
from notifications.features.experiments.service import ABTestService
from notifications.infra import clock
from notifications.models import (
    Category,
    Notification,
    NotificationMessage,
    NotificationTemplate,
    SandboxMessage,
    UserNotificationPreference,
)
from notifications.services import NotificationService
from tests.integration.campaigns.factories import act, make_campaign
from tests.integration.experiments.conftest import (
    PATH,
    SHORT,
    deliver,
    draft,
    make_plain,
    messages_of,
    send,
    started,
)
from tests.integration.factories import make_willing_user

pytestmark = pytest.mark.django_db


def counts(test):
    return count_test(test, now=clock.now())


def sent(test, variant):
    return counts(test).of(variant, "email").handed_over


def bodies():
    found = {}
    for row in SandboxMessage.objects.all():
        found[row.message_id] = row.content["body"].strip()
    return found


def test_each_person_gets_the_text_of_their_variant(running, people):
    test = running()
    made = [send(person) for person in people]
    deliver()

    for person, notification in zip(people, made, strict=True):
        variant = assign_variant(test.split(), str(person.pk)).variant
        assert notification.ab_test_id == test.pk
        assert notification.variant == f"{test.pk}:{variant}"
        assert bodies()[notification.pk] == {"A": "Usual", "B": "Short"}[variant]
    assert sent(test, "A") + sent(test, "B") == len(people)
    assert sent(test, "A") == len(messages_of(f"{test.pk}:A")) > 5


def test_a_bulk_call_assigns_as_single_sends_do(running, people):
    test = running(traffic_percentage=60)
    recipients = [{"user_id": person.pk} for person in people]
    body = {"template_path": PATH, "recipients": recipients, "channel": "email"}
    NotificationService().send_bulk(body=body, caller=SYSTEM)
    deliver()

    rows = {row.user_id: row for row in Notification.objects.all()}
    for person in people:
        found = assign_variant(test.split(), str(person.pk))
        expected = f"{test.pk}:{found.variant}" if found.variant else f"{test.pk}:/outside"
        assert rows[person.pk].variant == expected
        shown = "Short" if found.variant == "B" else "Usual"
        assert bodies()[rows[person.pk].pk] == shown
    found = counts(test)
    assert found.outside == len(people) - sent(test, "A") - sent(test, "B") > 0


def test_a_person_counts_once_and_keeps_the_variant(running, people):
    test = running()
    first, again = send(people[0]), send(people[0])
    assert again.variant == f"{first.variant}/uncounted"
    assert again.template_version_id == first.template_version_id
    both = [{"user_id": people[0].pk}, {"user_id": people[1].pk}]
    NotificationService().send_bulk(
        body={"template_path": PATH, "recipients": both, "channel": "email"}, caller=SYSTEM
    )
    deliver()
    assert sent(test, "A") + sent(test, "B") == 2


def test_messages_on_other_channels_are_no_exposures(running, people):
    test = running()
    other = send(people[0], channel="in_app")
    assert other.variant.endswith("/uncounted")
    assert not send(people[0]).variant.endswith("/uncounted"), "the first on the test's channel"
    deliver()
    assert sent(test, "A") + sent(test, "B") == 1


def test_only_a_hand_over_is_an_exposure(running, people, frozen):
    test = running()
    suppressed, cancelled, waiting, handed_over = people[:4]
    made = {person.pk: send(person) for person in (cancelled, handed_over)}
    later = frozen.now + timedelta(hours=1)
    send(waiting, scheduled_at=later.isoformat())
    UserNotificationPreference.objects.create(user=suppressed, email_enabled=False)
    later_off = send(suppressed, scheduled_at=later.isoformat())
    NotificationService().cancel(identifier=made[cancelled.pk].pk, caller=SYSTEM)
    assert sent(test, "A") + sent(test, "B") == 0, "nothing is counted at assignment"
    deliver()
    assert sent(test, "A") + sent(test, "B") == 1

    frozen.forward(3_700)
    deliver()
    assert NotificationMessage.objects.get(pk=later_off.pk).status == "suppressed"
    assert sent(test, "A") + sent(test, "B") == 2, "the waiting one, not the suppressed one"


def test_the_holdout_gets_nothing_and_explain_says_why(frozen):
    marketing = Category.objects.get(key="marketing")
    make_plain(SHORT, "Short", category=marketing)
    template = make_plain(PATH, "Usual", category=marketing)
    key = draft(template, holdout_percentage=50)
    ABTestService().start(identifier=key, caller=SYSTEM)
    test = started(key)
    people = [make_willing_user() for _ in range(12)]
    made = [send(person) for person in people]
    while deliver():
        pass

    standings = {p.pk: assign_variant(test.split(), str(p.pk)).standing for p in people}
    held = [each for each in made if standings[each.user_id] is Inclusion.HELD_OUT]
    assert 0 < len(held) < len(made)
    for notification in held:
        message = NotificationMessage.objects.get(pk=notification.pk)
        assert (message.status, message.history()[-1]["reason"]) == ("suppressed", "held_out")
        found = NotificationService().explain(identifier=notification.pk, caller=SYSTEM)
        assert (found.ab_test.place, found.ab_test.variant) == ("held_out", "")
        assert (found.ab_test.id, found.ab_test.name) == (key, "Short or usual")
        assert found.messages[0].steps[-1].outcome == "held_out"
    assert counts(test).held_out == len(held)
    assert sent(test, "A") + sent(test, "B") == len(made) - len(held)


def test_a_holdout_withholds_nothing_that_is_no_marketing(running, people, frozen):
    marketing = Category.objects.get(key="marketing")
    make_plain("test.news", "News", category=marketing)
    variants = [{"name": "A"}, {"name": "B"}]
    key = draft(
        NotificationTemplate.objects.get(path="test.news"),
        variants=variants,
        holdout_percentage=50,
    )
    ABTestService().start(identifier=key, caller=SYSTEM)
    made = [send(each, path="test.news", category="payment") for each in people]
    assert not [each for each in made if each.variant.endswith("held_out")]
    assert any(each.variant.endswith("/outside") for each in made)


def test_what_a_variant_cannot_show_is_in_no_variant(template, people, running):
    make_plain("test.mail", "Mail", supported_channels=["email"])
    test = running(variants=[{"name": "A"}, {"name": "B", "template_path": "test.mail"}])
    made = [send(person, channel="push") for person in people]
    assert {each.variant for each in made} == {f"{test.pk}:/outside"}
    assert {each.template_version_id for each in made} == {template.current_version_id}


def test_what_the_service_gives_is_missing_at_no_door(people, frozen):
    """Single sends, bulk calls, broadcasts of campaigns and scheduled sends: one context."""
    given = ["user", "current_time", "app_name", "app_url"]
    make_plain(SHORT, "Short", required_variables=given)
    template = make_plain(PATH, "Usual", required_variables=given)
    key = draft(template)
    ABTestService().start(identifier=key, caller=SYSTEM)
    single, bulk, *students = people
    User.objects.filter(pk__in=[single.pk, bulk.pk]).update(role="teacher")
    assert {each.role for each in students} == {"student"}

    send(single)
    recipients = [{"user_id": bulk.pk}]
    body = {"template_path": PATH, "recipients": recipients, "channel": "email"}
    found = NotificationService().send_bulk(body=body, caller=SYSTEM)
    assert (found.accepted, found.rejected) == (1, [])
    act("launch", make_campaign(template_path=PATH, channels=["email"], context={}))
    made = Notification.objects.all()
    assert len(made) == len(people)
    assert not [each.variant for each in made if "/" in each.variant]


def test_one_bulk_call_counts_a_person_once(running, people):
    test = running()
    recipients = [{"user_id": people[0].pk, "context": {"n": n}} for n in range(5)]
    body = {"template_path": PATH, "recipients": recipients, "channel": "email"}
    NotificationService().send_bulk(body=body, caller=SYSTEM)
    deliver()
    assert sent(test, "A") + sent(test, "B") == 1


def test_the_holdout_gets_nothing_where_a_variant_cannot_be_shown_either(frozen):
    marketing = Category.objects.get(key="marketing")
    make_plain(SHORT, "Short", category=marketing, supported_channels=["email"])
    key = draft(make_plain(PATH, "Usual", category=marketing), holdout_percentage=50)
    ABTestService().start(identifier=key, caller=SYSTEM)
    test = started(key)
    people = [make_willing_user() for _ in range(12)]
    made = {person.pk: send(person, channel="push").variant for person in people}
    for person in people:
        standing = assign_variant(test.split(), str(person.pk)).standing
        place = "held_out" if standing is Inclusion.HELD_OUT else "outside"
        assert made[person.pk] == f"{key}:/{place}"
    assert len(set(made.values())) == 2


def test_a_winner_is_sent_where_the_other_variant_cannot_be_shown(running, people):
    make_plain("test.mail", "Mail", supported_channels=["email"])
    test = running(
        variants=[
            {"name": "A", "template_path": "test.mail"},
            {"name": "B", "template_path": SHORT},
        ]
    )
    body = ABTestDeclareBody(winner="B", reason="shorter is nicer")
    ABTestService().declare(identifier=test.pk, body=body, caller=SYSTEM)
    catalog.forget_tests()
    found = send(people[0], channel="push")
    assert found.variant == f"{test.pk}:B/ended"


def test_a_winner_of_another_category_keeps_its_version(running, people):
    marketing = Category.objects.get(key="marketing")
    winner = NotificationTemplate.objects.get(path=SHORT)
    test = running()
    body = ABTestDeclareBody(winner="B", reason="shorter is nicer")
    ABTestService().declare(identifier=test.pk, body=body, caller=SYSTEM)
    NotificationTemplate.objects.filter(pk=winner.pk).update(category=marketing)
    before = winner.current_version_id
    winner.refresh_from_db()
    winner.email_body_template = "Rewritten by other authors"
    winner.save()
    catalog.forget_tests()
    assert send(people[0]).template_version_id == before != winner.current_version_id


def test_addresses_and_test_keys_are_not_counted(running, people):
    test = running()
    body = {"template_path": PATH, "to": {"email": "new@example.com"}, "channel": "email"}
    NotificationService().send(body=body, caller=SYSTEM)
    assert Notification.objects.get().ab_test_id is None
    deliver()
    tester = replace(SYSTEM, name="key:9", is_test=True)
    body = {"template_path": PATH, "user_id": people[0].pk, "channel": "email"}
    made = NotificationService().send(body=body, caller=tester)
    assert Notification.objects.get(uuid=made.id).variant.endswith("/uncounted")
    deliver()
    assert sent(test, "A") + sent(test, "B") == 0


def test_a_template_under_test_costs_one_query_a_call_and_others_none(running, people):
    make_plain("test.other", "Other")
    bulk = [{"user_id": person.pk} for person in people]

    def queries(path):
        body = {"template_path": path, "recipients": bulk, "channel": "email"}
        NotificationService().send_bulk(body=body, caller=SYSTEM)  # caches what it reads
        with CaptureQueriesContext(connection) as found:
            NotificationService().send_bulk(body=body, caller=SYSTEM)
        return len(found)

    before = queries(PATH)
    running()
    assert queries("test.other") == before
    assert queries(PATH) == before + 1


def test_a_wildcard_template_is_tested_by_its_own_id(people, frozen):
    make_plain(SHORT, "Short")
    template = make_plain("user.course.*", "Usual")
    key = draft(template)
    ABTestService().start(identifier=key, caller=SYSTEM)
    assert send(people[0], path="user.course.enrolled").ab_test_id == key
