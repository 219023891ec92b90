"""A single send whose first channel is learned of its person."""

from __future__ import annotations

from typing import Any

import pytest

from directory.models import User
from notifications.domain.callers import SYSTEM
from notifications.domain.errors import InvalidRequest
from notifications.domain.learning.choice import LearningPlace, LearningRule
from notifications.features.learning.sends import HOLDOUT_PERCENT, SUBJECT
from notifications.models import Notification, NotificationMessage, NotificationTemplate
from notifications.services import NotificationService
from tests.integration.factories import make_template, make_user
from tests.integration.learning.conftest import known

pytestmark = pytest.mark.django_db
RULE = LearningRule(SUBJECT, HOLDOUT_PERCENT, 5)


def person(place: LearningPlace) -> User:
    """A person of whom enough is known, in the holdout or not."""
    for _ in range(99):
        found = make_user()
        if RULE.place("channel", found.pk, 99) is place:
            known(found, "email", {60: (9, 1)})
            known(found, "in_app", {60: (9, 8)})
            return found
    raise AssertionError("no one has this place")


def send(user: User, **options: Any) -> Notification:
    if not NotificationTemplate.objects.filter(path="test.hello").exists():
        make_template("test.hello")
    body = {
        "template_path": "test.hello",
        "user_id": user.pk,
        "channel": "email",
        "context": {"amount": 5},
        "options": {"fallback": ["push", "in_app"], "channel_choice": "learned", **options},
    }
    found = NotificationService().send(body=body, caller=SYSTEM)
    return Notification.objects.get(uuid=found.id)


def channels(found: Notification) -> list[str]:
    (message,) = NotificationMessage.objects.filter(notification=found)
    return [message.channel, *found.options["fallback"]]


def test_the_best_channel_comes_first_and_explain_says_why(learning, frozen):
    found = send(person(LearningPlace.LEARNED))
    assert channels(found)[0] == "in_app"
    assert found.variant == "learn:send:-l"
    shown = NotificationService().explain(identifier=found.uuid, caller=SYSTEM).learning
    assert shown is not None
    assert shown.channels.place == "learned"
    assert [each.channel for each in shown.channels.order] == channels(found)
    assert "First to in_app: of 9 messages there the person engaged with 8" in shown.explanation


def test_the_holdout_and_strangers_keep_the_given_order(learning, frozen):
    held = send(person(LearningPlace.HOLDOUT))
    assert (channels(held), held.variant) == (["email", "push", "in_app"], "learn:send:-h")
    stranger = send(make_user())
    assert (channels(stranger), stranger.variant) == (["email", "push", "in_app"], "learn:send:-s")


def test_a_send_that_does_not_ask_for_it_stays_as_it_is(learning, frozen):
    found = send(person(LearningPlace.LEARNED), channel_choice="given")
    assert channels(found) == ["email", "push", "in_app"]
    assert (found.variant, "learned" in found.options) == (None, False)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"channel_choice": "best"}, "given, learned"),
        ({"fallback": []}, "name the other channels in fallback"),
        ({"attachments": [{"filename": "a.txt", "content": "aGk="}]}, "with attachments"),
    ],
)
def test_what_cannot_be_chosen_is_refused(options, words, learning, frozen):
    with pytest.raises(InvalidRequest) as caught:
        send(make_user(), **options)
    (error,) = caught.value.errors
    assert (error.path, words in error.detail) == ("options.channel_choice", True)


def test_a_service_that_learns_nothing_refuses_it(frozen):
    with pytest.raises(InvalidRequest) as caught:
        send(make_user())
    assert "set CARILLON_LEARNING=on" in caught.value.errors[0].detail


def test_a_template_with_a_test_in_force_refuses_it(learning, frozen, running):
    running()
    user = make_user()
    with pytest.raises(InvalidRequest) as caught:
        send(user)
    (error,) = caught.value.errors
    assert (error.path, "has an A/B test" in error.detail) == ("options.channel_choice", True)
    assert send(user, channel_choice="given").ab_test_id is not None


def test_a_bulk_call_refuses_it(learning, frozen):
    make_template("test.hello")
    body = {
        "template_path": "test.hello",
        "channel": "email",
        "recipients": [{"user_id": make_user().pk}],
        "context": {"amount": 5},
        "options": {"fallback": ["in_app"], "channel_choice": "learned"},
    }
    with pytest.raises(InvalidRequest) as caught:
        NotificationService().send_bulk(body=body, caller=SYSTEM)
    assert caught.value.errors[0].path == "options.channel_choice"
