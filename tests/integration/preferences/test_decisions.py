"""Decisions by preferences: what is refused, deferred or bypassed, and what explain shows."""

from __future__ import annotations

from datetime import timedelta

import pytest

from directory.models import ContactPoint, Suppression
from notifications.domain.callers import SYSTEM, Caller
from notifications.domain.errors import InvalidRequest, NotFound, Refused
from notifications.engine.journal import journal
from notifications.engine.prepare import prepare, terms_of
from notifications.engine.runs import keys_of
from notifications.features.preferences.service import PreferenceService
from notifications.models import (
    Category,
    FrequencyCount,
    Notification,
    NotificationCategoryPreference,
    OperatorAction,
    RefusedSend,
    SandboxMessage,
    UserNotificationPreference,
)
from notifications.policy.facts import load_facts
from notifications.queue import batches
from notifications.services import NotificationService
from tests.integration.factories import make_messages, make_template, make_user, make_willing_user
from tests.integration.preferences.conftest import events, message, send, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("stopped")]


def set_preferences(user, **values):
    UserNotificationPreference.objects.update_or_create(user=user, defaults=values)
    return user


def change(user, **overall):
    PreferenceService().update(changes={"global": overall}, caller=SYSTEM, identifier=user.pk)


def category(key, **values):
    Category.objects.filter(key=key).update(**values)


# -- refused when it is sent ----------------------------------------------------------------------


def refused(user, **more):
    with pytest.raises(Refused) as caught:
        send(user, **more)
    assert caught.value.code == "opted_out"
    return caught.value


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"email_enabled": False}, "channel_off"),
        ({"notifications_enabled": False}, "notifications_off"),
    ],
)
def test_a_send_refused_on_every_channel_gets_the_reasons(values, reason):
    make_template()

    error = refused(set_preferences(make_user(), **values))

    assert error.data["reasons"] == {"email": reason}
    assert not Notification.objects.exists()


def test_sms_is_opt_in():
    make_template()
    user = make_user(phone_number="+15555550100")

    assert refused(user, channel="sms").data["reasons"] == {"sms": "channel_off"}
    change(user, sms_enabled=True)
    response = send(user, channel="sms")
    work()
    assert message(response, "sms").status == "sent"


def test_a_channel_that_is_off_is_refused_even_without_an_address():
    make_template()

    assert refused(set_preferences(make_user(), push_enabled=False), channel="push")


def test_the_decision_of_a_refusal_can_be_explained():
    make_template()
    user = set_preferences(make_user(), notifications_enabled=False)

    error = refused(user, channels=["email", "in_app"])
    explained = NotificationService().explain(identifier=error.data["decision_id"], caller=SYSTEM)

    assert explained.status == "refused"
    assert [(story.channel, story.status) for story in explained.messages] == [
        ("email", "refused"),
        ("in_app", "refused"),
    ]
    steps = [(step.step, step.outcome) for step in explained.messages[0].steps]
    assert steps[-2:] == [("consent", "passed"), ("notifications", "notifications_off")]
    stored = RefusedSend.objects.get()
    assert (stored.user_id, stored.category, stored.actor) == (user.pk, "payment", SYSTEM.name)


def test_only_the_refused_caller_can_read_the_decision():
    make_template()
    user = set_preferences(make_user(), email_enabled=False)
    sender = Caller(name="key:1", is_service=True, scopes=frozenset({"notifications:send"}))
    other = Caller(name="key:2", is_service=True, scopes=frozenset({"notifications:send"}))

    decision = refused(user, caller=sender).data["decision_id"]

    assert NotificationService().explain(identifier=decision, caller=sender).status == "refused"
    with pytest.raises(NotFound):
        NotificationService().explain(identifier=decision, caller=other)


def test_a_partial_refusal_is_accepted_and_suppressed():
    make_template()
    user = set_preferences(make_user(), email_enabled=False)

    response = send(user, channels=["email", "in_app"])
    work()

    assert events(response) == [("suppressed", "channel_off")]
    assert message(response, "in_app").status == "delivered"


def test_a_scheduled_send_is_accepted_and_decided_when_it_is_due(frozen):
    make_template()
    user = set_preferences(make_user(), email_enabled=False)

    response = send(user, scheduled_at=(frozen.now + timedelta(hours=1)).isoformat())
    frozen.forward(3601)
    work()

    assert events(response) == [("suppressed", "channel_off")]


def test_the_preference_at_the_time_of_the_decision_counts():
    make_template()
    user = make_user()
    response = send(user)
    change(user, email_enabled=False)

    work()

    assert events(response) == [("suppressed", "channel_off")]


def test_a_critical_message_ignores_a_channel_that_is_off_and_explains_it():
    make_template()
    user = set_preferences(make_user(), email_enabled=False)

    response = send(user, priority=1)
    work()

    assert message(response).status == "sent"
    assert events(response)[0] == ("allowed", "critical_despite_channel_off")


# -- consent, both ways --------------------------------------------------------------------------


@pytest.mark.parametrize("default", [True, False])
def test_consent_is_required_only_where_it_is_the_legal_basis(override_environment, default):
    override_environment(default_consent=default)
    make_template()
    category("course", legal_basis="consent")
    user = make_user()

    assert send(user, category="payment")
    if default:
        assert send(user, category="course")
    else:
        assert refused(user, category="course").data["reasons"] == {"email": "no_consent"}


def test_marketing_needs_consent_and_the_marketing_flag():
    make_template()

    user = make_user()
    assert refused(user, category="marketing").data["reasons"] == {"email": "no_consent"}
    change(user, data_processing_consent=True)
    assert refused(user, category="marketing").data["reasons"] == {"email": "marketing_off"}
    change(user, marketing_enabled=True)
    response = send(user, category="marketing")
    work()
    assert message(response).status == "sent"


def test_an_address_without_a_user_has_no_consent():
    make_template()
    body = {
        "template_path": "test.hello",
        "context": {"amount": 5},
        "to": {"phone": "+15555550100"},
    }
    body["template_path"] = "test.stranger"
    make_template("test.stranger", sms_template="{{ amount }}")

    response = NotificationService().send(body=body, caller=SYSTEM)
    work()
    assert message(response, "sms").status == "sent"
    with pytest.raises(Refused) as caught:
        NotificationService().send(body={**body, "category": "marketing"}, caller=SYSTEM)
    assert caught.value.data["reasons"] == {"sms": "no_consent"}


# -- categories ----------------------------------------------------------------------------------


def test_a_category_default_applies_only_to_users_without_a_choice():
    make_template()
    category("payment", default_preferences={"sms_enabled": True})
    silent = make_user(phone_number="+15555550100")
    spoken = make_user(phone_number="+15555550101")
    change(spoken, sms_enabled=False)

    assert send(silent, channel="sms")
    assert refused(spoken, channel="sms")


def test_a_choice_for_a_category_applies_only_to_that_category():
    make_template()
    user = make_user()
    NotificationCategoryPreference.objects.create(
        user=user, category="payment", email_enabled=False
    )

    assert refused(user).data["reasons"] == {"email": "category_channel_off"}
    assert send(user, category="course")


# -- bypass --------------------------------------------------------------------------------------


def test_bypassing_preferences_needs_the_scope_and_is_recorded():
    make_template()
    user = set_preferences(make_user(), notifications_enabled=False)
    options = {"bypass_preferences": True}
    scopes = frozenset({"notifications:send"})
    caller = Caller(name="key:1", is_service=True, scopes=scopes)

    with pytest.raises(Refused) as caught:
        send(user, options=options, caller=caller)
    assert caught.value.data["scope"] == "preferences:bypass"
    assert not OperatorAction.objects.exists()

    caller = Caller(name="key:1", is_service=True, scopes=scopes | {"preferences:bypass"})
    response = send(user, options=options, caller=caller)
    work()
    assert message(response).status == "sent"
    assert events(response)[0] == ("allowed", "preferences_bypassed")
    noted = OperatorAction.objects.get()
    assert (noted.actor, noted.action, noted.target) == (
        "key:1",
        "preferences.bypassed",
        response.id.hex,
    )


def test_a_bulk_that_bypasses_preferences_is_recorded_once():
    make_template()
    NotificationService().send_bulk(
        body={
            "template_path": "test.hello",
            "channel": "email",
            "context": {"amount": 1},
            "recipients": [{"user_id": make_user().pk} for _ in range(3)],
            "options": {"bypass_preferences": True},
        },
        caller=SYSTEM,
    )

    assert OperatorAction.objects.get().target.startswith("job:")


# -- quiet hours ---------------------------------------------------------------------------------


def test_quiet_hours_defer_a_message_until_they_end(frozen):
    make_template()
    user = set_preferences(make_user(timezone="Asia/Tokyo"), quiet_hours_enabled=True)
    frozen.forward(3600)  # 22:00 in Tokyo

    response = send(user)
    work()
    assert (message(response).status, events(response)) == (
        "pending",
        [("deferred", "quiet_hours")],
    )
    assert message(response).scheduled_at == frozen.now + timedelta(hours=10)
    assert message(response).attempts == 0

    frozen.forward(10 * 3600)
    work()
    assert message(response).status == "sent"


def test_a_code_that_expires_during_quiet_hours_is_not_sent(frozen):
    make_template()
    user = set_preferences(make_user(), dnd_until=frozen.now + timedelta(hours=2))

    response = send(user, expires_at=(frozen.now + timedelta(minutes=5)).isoformat())
    work()
    frozen.forward(2 * 3600 + 1)
    work()

    assert message(response).status == "expired"


# -- limits --------------------------------------------------------------------------------------


def test_a_cap_limits_messages_in_a_window_and_counts_each_once(frozen):
    make_template()
    category("payment", caps=[{"limit": 2, "window_s": 3600}])
    user, other = make_user(), make_user()
    responses = [send(user) for _ in range(3)] + [send(other)]

    work()

    assert sorted(message(a).status for a in responses[:3]) == ["sent", "sent", "suppressed"]
    assert message(responses[3]).status == "sent"
    loser = next(a for a in responses if message(a).status == "suppressed")
    assert events(loser) == [("suppressed", "frequency_cap:payment")]
    assert message(loser).attempts == 0
    assert SandboxMessage.objects.count() == 3

    frozen.forward(3601)
    later = send(user)
    work()
    assert message(later).status == "sent"


def test_a_cap_of_one_channel_does_not_limit_the_others():
    make_template()
    category("payment", caps=[{"limit": 1, "window_s": 3600, "channel": "email"}])
    user = make_user()
    responses = [send(user, channels=["email", "in_app"]) for _ in range(2)]

    work()

    assert sorted(message(a).status for a in responses) == ["sent", "suppressed"]
    assert {message(a, "in_app").status for a in responses} == {"delivered"}


def test_a_refused_send_does_not_count_towards_a_cap():
    make_template()
    category("payment", caps=[{"limit": 1, "window_s": 3600}])
    user = set_preferences(make_user(), email_enabled=False)
    send(user, channels=["email", "in_app"])

    work()

    assert len(FrequencyCount.objects.get().entries.split()) == 1


def test_the_journal_counts_messages_and_refuses_those_over_a_limit(settings):
    from dataclasses import replace

    settings.CARILLON = replace(settings.CARILLON, email_provider="smtp")
    category("payment", caps=[{"limit": 2, "window_s": 3600}])
    make_messages(3)
    (held,) = batches.lease(owner="w", lane="default", seconds=60)
    ready = prepare("email", keys_of([held])).ready
    assert len(ready) == 3

    going = journal(ready, owner="w")
    assert len(going) == 2
    assert len(journal(going, owner="w")) == 2  # counted already

    left = [item.message.id for item in ready if item not in going]
    (outcome,) = prepare("email", {left[0]: held}).outcomes
    assert "frequency_cap:payment" in outcome.trail


def test_a_throttle_key_and_a_dedupe_window_refuse_repetitions(frozen):
    make_template()
    user = make_user()
    throttle = {"throttle": {"key": "likes", "window_s": 60}}
    first, second = send(user, options=throttle), send(user, options=throttle)
    work()
    assert sorted([message(first).status, message(second).status]) == ["sent", "suppressed"]

    dedupe = {"collapse_key": "balance", "options": {"dedupe_s": 60}}
    one = send(user, **dedupe)
    work()
    frozen.forward(30)
    two = send(user, **dedupe)
    work()
    frozen.forward(61)
    three = send(user, **dedupe)
    work()
    assert [message(a).status for a in (one, two, three)] == ["sent", "suppressed", "sent"]
    assert events(two) == [("suppressed", "duplicate:balance")]


@pytest.mark.parametrize(
    ("options", "path", "code"),
    [
        ({"throttle": {"key": "a"}}, "options.throttle.window_s", "required"),
        ({"throttle": {"window_s": 5}}, "options.throttle.key", "required"),
        ({"throttle": {"key": "a", "window_s": 0}}, "options.throttle.window_s", "invalid"),
        ({"throttle": {"key": "a", "window_s": "5"}}, "options.throttle.window_s", "wrong_type"),
        ({"throttle": {"key": "a", "window_s": 5, "x": 1}}, "options.throttle.x", "unknown_field"),
        ({"throttle": "often"}, "options.throttle", "wrong_type"),
        ({"dedupe_s": 60}, "options.dedupe_s", "invalid"),
        ({"dedupe_s": True}, "options.dedupe_s", "wrong_type"),
    ],
)
def test_limits_in_a_request_are_validated(options, path, code):
    make_template()

    with pytest.raises(InvalidRequest) as caught:
        send(make_user(), options=options)

    assert [(e.path, e.code) for e in caught.value.errors] == [(path, code)]


# -- facts ---------------------------------------------------------------------------------------


def test_the_facts_of_a_slice_are_loaded_in_four_queries(django_assert_max_num_queries):
    make_template()
    category("payment", caps=[{"limit": 2, "window_s": 3600}])
    people = [set_preferences(make_user(), email_enabled=n % 2 == 0) for n in range(20)]
    for n, user in enumerate(people):
        send(user, channels=["email", "in_app"], collapse_key=f"c{n}", ordering_key=f"o{n}")
        send(user, channels=["email", "in_app"], collapse_key=f"c{n}")
    keys = keys_of(
        [h for h in batches.lease(owner="w", lane="default", seconds=60) if h.channel == "email"]
    )
    loaded = prepare("email", keys).messages
    assert len(loaded) == 40

    with django_assert_max_num_queries(4):
        facts = load_facts(loaded, "email", terms_of)

    assert len(facts.users) == len(facts.here.preferences) == 20
    assert len(facts.superseded) == 20


def test_addresses_without_a_user_are_checked_against_the_suppression_list(
    django_assert_max_num_queries,
):
    make_template("test.stranger", email_body_template="{{ amount }}")
    body = {"template_path": "test.stranger", "context": {"amount": 5}}
    user = make_user()
    send_to = NotificationService().send
    for to in ("ada@example.org", "bob@example.org"):
        send_to(body={**body, "to": {"email": to}}, caller=SYSTEM)
    Suppression.objects.create(kind="email", address="bob@example.org")
    send_to(body={**body, "user_id": user.pk, "channel": "email"}, caller=SYSTEM)
    keys = keys_of(batches.lease(owner="w", lane="default", seconds=60))

    work_ = prepare("email", keys)

    assert sorted(c.address for c in work_.facts.contacts.values()) == sorted(
        ["ada@example.org", "bob@example.org", user.email]
    )
    assert [c.address for c in work_.facts.contacts.values() if c.suppressed] == ["bob@example.org"]


def test_users_are_read_with_all_columns_and_types():
    user = make_user(timezone="Asia/Tokyo", is_active=False)
    make_messages(1, user=user)
    (held,) = batches.lease(owner="w", lane="default", seconds=60)

    facts = prepare("email", keys_of([held])).facts

    row = facts.users[user.pk]
    assert (row[1], row[7], row[10]) == (user.uuid, "Asia/Tokyo", user.date_joined)
    assert facts.inactive == {user.pk}


# -- explain and simulate ------------------------------------------------------------------------


def steps(story):
    return {step.step: step.outcome for step in story.steps}


def test_explain_shows_every_step_of_a_sent_message():
    make_template()
    response = send(make_user())
    waiting = NotificationService().explain(identifier=response.id, caller=SYSTEM)
    assert waiting.messages[0].steps == []
    work()

    (story,) = NotificationService().explain(identifier=response.id, caller=SYSTEM).messages

    assert set(steps(story).values()) == {"passed"}
    assert (story.provider, story.digest) == ("sandbox", None)


def test_explain_stops_at_the_step_that_refused():
    make_template()
    user = make_user()
    response = send(user)
    ContactPoint.objects.filter(user=user).update(state="bounced")
    work()

    (story,) = NotificationService().explain(identifier=response.id, caller=SYSTEM).messages

    assert story.steps[-1].outcome == "contact_bounced"
    assert steps(story)["template"] == "passed"
    assert "consent" not in steps(story)


def simulate(user, **more):
    body = {
        "template_path": "test.hello",
        "user_id": user.pk,
        "channels": ["email", "in_app", "sms"],
        "context": {"amount": 5},
        **more,
    }
    return NotificationService().simulate(body=body, caller=SYSTEM)


def test_simulate_returns_the_decision_and_writes_nothing(frozen):
    make_template()
    user = set_preferences(
        make_willing_user(phone_number="+15555550100"), in_app_enabled=False, sms_enabled=True
    )

    explained = simulate(user)

    assert explained.accepted
    assert [(m.channel, m.decision, m.reason, m.provider) for m in explained.messages] == [
        ("email", "send", "allowed", "sandbox"),
        ("in_app", "suppress", "channel_off", "in_app"),
        ("sms", "send", "allowed", "sandbox"),
    ]
    assert explained.messages[0].content.body == "Hello Ada: 5"
    assert explained.messages[1].content is None
    assert not Notification.objects.exists()
    assert not RefusedSend.objects.exists()


def test_simulate_shows_a_refusal_a_deferral_and_a_digest(frozen):
    make_template()
    user = set_preferences(make_user(), notifications_enabled=False)
    assert not simulate(user).accepted
    assert simulate(user, scheduled_at=(frozen.now + timedelta(days=1)).isoformat()).accepted

    muted = set_preferences(make_user(), dnd_until=frozen.now + timedelta(hours=1))
    shown = simulate(muted).messages[0]
    assert (shown.decision, shown.until) == ("defer", frozen.now + timedelta(hours=1))

    gathered = set_preferences(make_user(), digest_frequency="daily")
    shown = simulate(gathered).messages[0]
    assert (shown.decision, shown.digest is None) == ("digest", False)
    assert shown.until > frozen.now
